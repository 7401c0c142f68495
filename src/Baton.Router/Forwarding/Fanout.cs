using System.Text.Json;
using Baton.Router.Answers;
using Baton.Router.Bodies;
using Baton.Router.Errors;

namespace Baton.Router.Forwarding;

/// <summary>Serves one request as several, each with a room, a route and retries of its own, and merges the answers.</summary>
/// <remarks>The first part that fails for good ends the others, and its error is the answer.</remarks>
internal sealed class Fanout(PdForwarder forwarder, FanoutPlan plan, RequestHead head, IClientReply reply, TimeSpan stallTimeout, TimeProvider time)
{
    private const int MaxAnswerBytes = 64 * 1024 * 1024;
    private readonly DataEndpoint _endpoint = plan.Body.Facts.Endpoint;

    public Task<RouterError?> RunAsync(CancellationToken clientGone) => plan.Body.Facts.Stream ? StreamAsync(clientGone) : WholeAsync(clientGone);

    private async Task<RouterError?> WholeAsync(CancellationToken clientGone)
    {
        CapturedReply[] replies = [.. Enumerable.Range(0, plan.Count).Select(_ => new CapturedReply(MaxAnswerBytes))];
        if (await RunAllAsync(k => replies[k], clientGone) is { } error) return error;
        clientGone.ThrowIfCancellationRequested();
        byte[] merged;
        try
        {
            merged = PartMerge.Whole(_endpoint, plan.Order, [.. replies.Select(r => r.Body.ToArray())]);
        }
        catch (JsonException e)
        {
            return new RouterError(502, "merge_failed", $"The answers to {plan.Count} {plan.Noun}s could not be merged: {e.Message}") { Leg = ErrorLeg.Decode };
        }
        reply.Start(replies[0].Status, [.. replies[0].Headers.Where(h => !h.Key.Equals("content-length", StringComparison.OrdinalIgnoreCase)), new("content-length", merged.Length.ToString())]);
        await reply.WriteAsync(merged, clientGone);
        return null;
    }

    private async Task<RouterError?> StreamAsync(CancellationToken clientGone)
    {
        using PartStream stream = new(_endpoint, plan.Order, reply, stallTimeout, time, clientGone);
        RouterError? error = await RunAllAsync(stream.Part, clientGone);
        if (clientGone.IsCancellationRequested) return null;
        if (error is null) await stream.FinishAsync();
        else if (reply.HasStarted && !reply.TellsEnd) await stream.CutAsync(error);
        return error;
    }

    /// <summary>Runs every part, so many at once as the plan allows; the first failure cancels the others.</summary>
    private async Task<RouterError?> RunAllAsync(Func<int, IClientReply> replyOf, CancellationToken clientGone)
    {
        using CancellationTokenSource stop = CancellationTokenSource.CreateLinkedTokenSource(clientGone);
        RouterError? first = null;
        int next = 0;
        await Task.WhenAll(Enumerable.Range(0, Math.Min(plan.AtOnce, plan.Count)).Select(_ => RunInTurnAsync()));
        return first;

        async Task RunInTurnAsync()
        {
            while (Interlocked.Increment(ref next) - 1 is var part && part < plan.Count && !stop.IsCancellationRequested)
            {
                if (await RunOneAsync(part, replyOf(part), stop.Token) is not { } error) continue;
                Interlocked.CompareExchange(ref first, error, null);
                await stop.CancelAsync();
            }
        }
    }

    private async Task<RouterError?> RunOneAsync(int part, IClientReply own, CancellationToken stopped)
    {
        try
        {
            RouterError? error = await plan.RunAsync(part, forwarder, head, own, stopped);
            if (stopped.IsCancellationRequested) return null;
            if (error is not null) return error with { Message = $"{Name(part)}: {error.Message}" };
            if (own is PartStream.PartReply { Failure: { } words })
                return new RouterError(502, "decode_error", $"{Name(part)}: the decode worker ended its stream with an error: {words.Message}") { Leg = ErrorLeg.Decode, Param = words.Param, WorkerCode = words.Code, WorkerType = words.Type };
            return own is CapturedReply { IsWhole: false } ? Broken($"{Name(part)}: the answer broke off.") : null;
        }
        catch (OperationCanceledException) when (stopped.IsCancellationRequested)
        {
            // Another part failed, or the client left.
            return null;
        }
        catch (InvalidDataException e)
        {
            return Broken($"{Name(part)}: {e.Message}");
        }
        catch (BodyException e)
        {
            return new RouterError(400, e.Code, $"{Name(part)}: {e.Message}");
        }
    }

    private string Name(int part) => $"{char.ToUpperInvariant(plan.Noun[0])}{plan.Noun[1..]} {part + 1} of {plan.Count}";

    private static RouterError Broken(string message) => new(502, "read_response_failed", message) { Leg = ErrorLeg.Decode };
}
