using System.Text.Json;
using Baton.Router.Answers;
using Baton.Router.Bodies;
using Baton.Router.Errors;

namespace Baton.Router.Forwarding;

/// <summary>Serves <c>n &gt; 1</c> as <c>n</c> requests of one sample, each with a room, a route and retries of its own, and merges the answers.</summary>
internal sealed class SampleFanout(PdForwarder forwarder, ClientBody body, RequestHead head, IClientReply reply, TimeSpan stallTimeout, TimeProvider time)
{
    private const int MaxAnswerBytes = 64 * 1024 * 1024;
    private readonly int _count = body.Facts.SampleCount;
    private readonly RequestFacts _one = body.Facts with { SampleCount = 1 };

    public Task<RouterError?> RunAsync(CancellationToken clientGone) => body.Facts.Stream ? StreamAsync(clientGone) : WholeAsync(clientGone);

    private async Task<RouterError?> WholeAsync(CancellationToken clientGone)
    {
        CapturedReply[] replies = [.. Enumerable.Range(0, _count).Select(_ => new CapturedReply(MaxAnswerBytes))];
        if (await RunAllAsync(k => replies[k], clientGone) is { } error) return error;
        clientGone.ThrowIfCancellationRequested();
        byte[] merged;
        try
        {
            merged = SampleMerge.Whole(_one.Endpoint, [.. replies.Select(r => r.Body.ToArray())]);
        }
        catch (JsonException e)
        {
            return new RouterError(502, "merge_failed", $"The {_count} answers for n = {_count} could not be merged: {e.Message}") { Leg = ErrorLeg.Decode };
        }
        reply.Start(replies[0].Status, [.. replies[0].Headers.Where(h => !h.Key.Equals("content-length", StringComparison.OrdinalIgnoreCase)), new("content-length", merged.Length.ToString())]);
        await reply.WriteAsync(merged, clientGone);
        return null;
    }

    private async Task<RouterError?> StreamAsync(CancellationToken clientGone)
    {
        using SampleStream stream = new(_one.Endpoint, _count, reply, stallTimeout, time, clientGone);
        RouterError? error = await RunAllAsync(stream.Sample, clientGone);
        if (clientGone.IsCancellationRequested) return null;
        if (error is null) await stream.FinishAsync();
        else if (reply.HasStarted) await stream.CutAsync(error);
        return error;
    }

    /// <summary>Runs every sample; the first failure cancels the others.</summary>
    private async Task<RouterError?> RunAllAsync(Func<int, IClientReply> replyOf, CancellationToken clientGone)
    {
        using CancellationTokenSource stop = CancellationTokenSource.CreateLinkedTokenSource(clientGone);
        RouterError? first = null;
        await Task.WhenAll(Enumerable.Range(0, _count).Select(RunOneAsync));
        return first;

        async Task RunOneAsync(int sample)
        {
            try
            {
                IClientReply own = replyOf(sample);
                RouterError? error = await forwarder.RunAsync(body, _one, body.EditsForSample(sample), head, own, stop.Token);
                if (error is null && own is CapturedReply { IsWhole: false } && !stop.IsCancellationRequested)
                    error = new RouterError(502, "read_response_failed", $"The answer to sample {sample} of {_count} broke off.") { Leg = ErrorLeg.Decode };
                if (error is null || stop.IsCancellationRequested) return;
                Interlocked.CompareExchange(ref first, error, null);
                await stop.CancelAsync();
            }
            catch (OperationCanceledException) when (stop.IsCancellationRequested)
            {
                // Another sample failed, or the client left.
            }
            catch (InvalidDataException e)
            {
                Interlocked.CompareExchange(ref first, new RouterError(502, "read_response_failed", e.Message) { Leg = ErrorLeg.Decode }, null);
                await stop.CancelAsync();
            }
        }
    }
}
