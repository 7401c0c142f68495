using Baton.Router.Bodies;
using Baton.Router.Choice;
using Baton.Router.Errors;
using Baton.Router.Legs;
using Baton.Router.Workers;
using Microsoft.Extensions.Logging;

namespace Baton.Router.Forwarding;

/// <summary>Carries one client request through its attempts, until the client has an answer or an error.</summary>
public sealed class PdForwarder(PdRouter router, ILegTransport transport, RouterOptions options, TimeProvider time, ILogger<PdForwarder> logger)
{
    private int _tails;

    /// <summary>Prefill legs that outlived their client and are being read to their end.</summary>
    public int Tails => Volatile.Read(ref _tails);

    /// <summary>Answers the request. Never throws for what a worker or the client does.</summary>
    /// <param name="clientGone">Cancelled when the client closes its connection.</param>
    public async Task ForwardAsync(ClientBody body, RequestHead head, IClientReply reply, CancellationToken clientGone)
    {
        TimeSpan now = time.GetElapsedTime(0);
        (Route? route, RouterError? error) = router.Choose(body.Facts, head.RoutingKey, body.Utf8[body.PromptRange], [], now);
        if (route is not null)
        {
            PdAttempt attempt = new(this, transport, options, time, route, body, null, head, reply);
            error = await attempt.RunAsync(clientGone);
        }
        if (error is null || clientGone.IsCancellationRequested) return;
        if (!reply.HasStarted) await WriteErrorAsync(reply, error, head, clientGone);
        else logger.StreamCut(head.RequestId, error.Code, error.Message);
    }

    internal static async Task WriteErrorAsync(IClientReply reply, RouterError error, RequestHead head, CancellationToken ct)
    {
        byte[] json = error.ToJson();
        List<KeyValuePair<string, string>> headers =
        [
            new("content-type", "application/json"), new("content-length", json.Length.ToString()),
            new("x-baton-error-code", error.Code), new("x-request-id", head.RequestId),
        ];
        if (error.RetryAfter is { } after) headers.Add(new("retry-after", ((int)Math.Ceiling(after.TotalSeconds)).ToString()));
        reply.Start(error.Status, headers);
        await reply.WriteAsync(json, ct);
    }

    internal void BeginTail() => Interlocked.Increment(ref _tails);

    internal void EndTail() => Interlocked.Decrement(ref _tails);

    internal void LatePrefillFailure(Worker worker, RouterError error) => logger.LatePrefillFailure(worker.Url, error.Message);
}
