using Baton.Router.Answers;
using Baton.Router.Bodies;
using Baton.Router.Errors;

namespace Baton.Router.Forwarding;

/// <summary>Goes on with a stream whose decode worker died: the prompt and what was said so far are given to another pair, and the client sees one stream.</summary>
/// <remarks>An attempt that broke before its first byte is repeated as always. After it nothing is, except here.</remarks>
internal sealed class StreamContinuation(PdForwarder forwarder, ContinuableBody body, RequestHead head, IClientReply reply, int maxAttempts, TimeSpan stallTimeout, TimeProvider time)
{
    /// <param name="first">The client's own body.</param>
    /// <returns>As <see cref="PdForwarder.RunAsync"/>.</returns>
    public async Task<RouterError?> RunAsync(ClientBody first, CancellationToken clientGone)
    {
        ContinuedReply whole = new(first.Facts.Endpoint, forwarder.StreamsIncrements, reply);
        RouterError? error = await forwarder.RunAsync(first, first.Facts, null, head, whole, clientGone);
        RouterError? broke = error;
        for (int continued = 1; error is not null && reply.HasStarted && !clientGone.IsCancellationRequested; continued++)
        {
            // The first failure is the cause; that the rest could not be had elsewhere is said behind it.
            if (!whole.HasStarted) return await CutAsync(whole, broke! with { Message = $"{broke.Message} It could not be continued: {error.Message}" });
            broke = error;
            if (!error.IsWorkerFault || whole.IsDone || whole.IsTooLong || continued >= maxAttempts || !forwarder.TakeRetry()) return await CutAsync(whole, error);
            if ((whole.Tokens == 0 ? first : body.Rest(whole.Text, whole.Tokens)) is not { } rest) return await CutAsync(whole, error);
            forwarder.NoteContinued(head, error, whole.Tokens);
            whole.BeginNext();
            error = await forwarder.RunAsync(rest, rest.Facts, null, head, whole, clientGone, avoid: error.Worker);
        }
        return error;
    }

    private async Task<RouterError> CutAsync(ContinuedReply whole, RouterError error)
    {
        // A stream that ends early without an error ends so for the client as well.
        if (error.Code == "stream_truncated" || whole.IsDone) return error;
        using CancellationTokenSource patience = new(stallTimeout, time);
        try
        {
            await whole.CutAsync(error, patience.Token);
        }
        catch (OperationCanceledException)
        {
            // The client does not listen.
        }
        return error;
    }
}
