using System.Diagnostics;
using Baton.Core.Ids;
using Baton.Router.Bodies;
using Baton.Router.Choice;
using Baton.Router.Errors;
using Baton.Router.Legs;
using Baton.Router.Rooms;
using Baton.Router.Trouble;
using Baton.Router.Workers;
using Microsoft.Extensions.Logging;

namespace Baton.Router.Forwarding;

/// <summary>Carries one client request through the queue and its attempts, until the client has an answer or an error.</summary>
public sealed class PdForwarder(
    PdRouter router, ILegTransport transport, RouterOptions options, RouterMetrics metrics, RouteJournal journal, TimeProvider time, ulong seed, ILogger<PdForwarder> logger)
{
    private readonly AdmissionQueue _admission = new(options.Admission, time);
    private readonly RetryBudget _budget = new();
    private readonly RouterRandom _jitter = new(seed);

    /// <summary>Requests that hold a place now, and that wait for one.</summary>
    public (int Running, int Waiting) Admitted => (_admission.Running, _admission.Waiting);

    /// <summary>Cancelled when running requests have to end: the grace period of a shutdown is over.</summary>
    public CancellationToken Shutdown { get; init; }

    private TimeSpan Now => time.GetElapsedTime(0);

    /// <summary>Answers the request. Never throws for what a worker does.</summary>
    /// <param name="clientGone">Cancelled when the client closes its connection.</param>
    /// <exception cref="OperationCanceledException">The client left while it waited in the queue.</exception>
    public async Task ForwardAsync(ClientBody body, RequestHead head, IClientReply reply, CancellationToken clientGone)
    {
        RequestFacts facts = body.Facts;
        using Activity? span = RouterTrace.StartRoute(head);
        RequestTags tags = metrics.TagsOf(facts);
        metrics.Request(tags);
        _budget.CountRequest(Now);
        TimeSpan queuedAt = Now;
        RouterError? error = await EnterAsync(head, clientGone);
        // Only from here on: who waits in the queue can still be told 408 by the status.
        await using HeartbeatReply? beating = error is null && facts.Stream && options.SseHeartbeat > TimeSpan.Zero
            ? new HeartbeatReply(reply, head.RequestId, options.SseHeartbeat, time, clientGone) : null;
        reply = beating ?? reply;
        if (error is null)
        {
            TimeSpan waited = Now - queuedAt;
            // The queue is not the router's own cost: overhead and TTFT begin behind it and in front of it.
            RequestHead admitted = head with { ReceivedAt = head.ReceivedAt + waited };
            try
            {
                Task<RouterError?> running = facts is { IsBatch: true, BatchSize: > 1 } && options.BatchFanout > 0
                    ? RunBatchAsync(body, admitted, reply, clientGone) : RunSamplesAsync(body, admitted, reply, clientGone);
                metrics.Stage("read", queuedAt - head.ReceivedAt);
                metrics.Stage("queue", waited);
                error = await running;
            }
            finally
            {
                _admission.Leave(head.Tenant);
            }
        }
        metrics.Finished(tags, Now - head.ReceivedAt);
        if (error is null || clientGone.IsCancellationRequested) return;
        metrics.Failed(tags, error);
        span?.SetTag("error", error.Code);
        if (!reply.HasStarted) await WriteErrorAsync(reply, error, head.RequestId, clientGone);
        else logger.StreamCut(head.RequestId, error.Code, error.Message);
    }

    private async ValueTask<RouterError?> EnterAsync(RequestHead head, CancellationToken clientGone)
    {
        try
        {
            RouterError? refused = await _admission.EnterAsync(head.Priority, head.Tenant, clientGone);
            metrics.Limited(refused?.Code ?? "admitted");
            return refused;
        }
        catch (OperationCanceledException)
        {
            metrics.Limited("left");
            throw;
        }
    }

    /// <summary>Every prompt of a batch by itself.</summary>
    private async Task<RouterError?> RunBatchAsync(ClientBody body, RequestHead head, IClientReply reply, CancellationToken clientGone)
    {
        try
        {
            return await new Fanout(this, BatchPlan.Of(body, options.BatchFanout), head, reply, options.StallTimeout, time).RunAsync(clientGone);
        }
        catch (BodyException e)
        {
            return new RouterError(400, e.Code, e.Message);
        }
    }

    /// <summary>A body as it is, or every sample of it by itself.</summary>
    internal Task<RouterError?> RunSamplesAsync(ClientBody body, RequestHead head, IClientReply reply, CancellationToken clientGone) =>
        body.Facts is { SampleCount: > 1, BestOf: 1 } && options.SampleMode == SampleMode.Fanout
            ? new Fanout(this, new SamplePlan(body), head, reply, options.StallTimeout, time).RunAsync(clientGone)
            : options is { StreamContinuation: true, Retry.IsEnabled: true } && ContinuableBody.Of(body) is { } rest
            ? new StreamContinuation(this, rest, head, reply, options.Retry.MaxAttempts, options.StallTimeout, time).RunAsync(body, clientGone)
            : RunAsync(body, body.Facts, null, head, reply, clientGone);

    /// <summary>A part of a batch has its share of retries, as the request that it would be alone.</summary>
    internal void CountPart() => _budget.CountRequest(Now);

    /// <summary>The router-wide brake on retries has one left.</summary>
    internal bool TakeRetry() => _budget.TryTake(Now);

    internal void NoteContinued(RequestHead head, RouterError error, int tokens)
    {
        metrics.Continuations.Add(1);
        logger.Continuing(head.RequestId, tokens, error.Code, error.Message);
    }

    /// <summary>Workers of this fleet stream increments from <c>/generate</c>.</summary>
    internal bool StreamsIncrements => router.Fleet.Now.All.Any(w => w.Info.StreamsIncrements);

    /// <summary>Attempts until one succeeds, the client has bytes, or nothing more may be tried. Every attempt has fresh rooms.</summary>
    /// <param name="avoid">The URL of a worker that failed this request before.</param>
    internal async Task<RouterError?> RunAsync(ClientBody body, RequestFacts facts, ByteEdits? edits, RequestHead head, IClientReply reply, CancellationToken clientGone, string? avoid = null)
    {
        (facts, edits) = ResolveAlias(body, facts, edits);
        TimeSpan began = Now;
        List<Worker> failed = avoid is not null && router.Fleet.Find(avoid) is { } dead ? [dead] : [];
        RouterError? last = null;
        Candidate? keepDecode = null;
        for (int number = 1; ; number++)
        {
            RouteQuery query = head.Query(body, facts, options.AllowClientRank) with { Avoid = failed, KeepDecode = keepDecode };
            TimeSpan asked = Now;
            (Route? route, RouterError? refused) = router.Choose(query, asked);
            if (route is null) return last ?? refused;
            TimeSpan chosen = Now;
            Task<RouterError?> attempt = new PdAttempt(Context(body, facts, edits, head, route, number), reply).RunAsync(clientGone);
            // Both legs are on their way: what is noted here costs no latency.
            metrics.Stage("select", chosen - asked);
            CountChoice(route);
            RouteEntry entry = journal.Add(head.RequestId, facts, route, number, chosen);
            RouterError? error = await attempt;
            entry.End(clientGone.IsCancellationRequested ? "client_gone" : error?.Code ?? "ok", Now);
            if (error is null || clientGone.IsCancellationRequested || reply.HasStarted || !error.IsRetryable) return error;
            Worker? guilty = error.Leg == ErrorLeg.Prefill ? route.Prefill?.Worker : route.Decode.Worker;
            if (Delay(error, guilty?.Spec.Tuning ?? WorkerTuning.None, facts.Endpoint, number, began) is not { } delay) return error;

            logger.Retrying(head.RequestId, number, error.Code, error.Message, delay.TotalMilliseconds);
            metrics.Retried(error.Leg, facts.Endpoint.Path, number + 1, delay);
            await Task.Delay(delay, time, clientGone);
            if (guilty is not null) failed.Add(guilty);
            keepDecode = error.Leg == ErrorLeg.Prefill ? route.Decode : null;
            last = error;
        }
    }

    /// <summary>One attempt through one given pair, past the queue and without retries: a probe.</summary>
    internal async Task<RouterError?> ProbeAsync(ClientBody body, RequestHead head, IClientReply reply, Worker? prefill, Worker decode, CancellationToken ct)
    {
        (Route? route, RouterError? refused) = router.Choose(new RouteQuery(body.Facts, null, default) { PinPrefill = prefill, PinDecode = decode }, Now);
        return route is null ? refused : await new PdAttempt(Context(body, body.Facts, null, head, route, 1), reply).RunAsync(ct);
    }

    private AttemptContext Context(ClientBody body, RequestFacts facts, ByteEdits? edits, RequestHead head, Route route, int number) => new()
    {
        Transport = transport,
        Tags = metrics.TagsOf(facts),
        Options = options,
        Metrics = metrics,
        Time = time,
        Logger = logger,
        Route = route,
        Body = body,
        Edits = edits,
        Facts = facts,
        Head = head,
        Attempt = number,
        Shutdown = Shutdown,
        // The samples of a fan-out and all retries are parts of the one request.
        Span = Activity.Current?.Source == RouterTrace.Source ? Activity.Current : null,
    };

    internal static async Task WriteErrorAsync(IClientReply reply, RouterError error, string requestId, CancellationToken ct)
    {
        byte[] json = error.ToJson();
        List<KeyValuePair<string, string>> headers =
        [
            new("content-type", "application/json"), new("content-length", json.Length.ToString()),
            new("x-baton-error-code", error.Code), new("x-request-id", requestId),
        ];
        if (error.RetryAfter is { } after) headers.Add(new("retry-after", ((int)Math.Ceiling(after.TotalSeconds)).ToString()));
        reply.Start(error.Status, headers);
        await reply.WriteAsync(json, ct);
    }

    /// <summary>How long to wait before the next attempt, or null when there is to be none.</summary>
    /// <param name="worker">What the worker that failed has of its own.</param>
    private TimeSpan? Delay(RouterError error, WorkerTuning worker, DataEndpoint endpoint, int attempts, TimeSpan began)
    {
        RetryOptions retry = options.Retry;
        if (!retry.IsEnabled || worker.IsRetryDisabled || attempts >= (worker.MaxAttempts ?? retry.MaxAttempts)) return Refuse("attempts");
        TimeSpan delay = retry.Delay(attempts - 1, _jitter);
        if (error.RetryAfter > delay) delay = error.RetryAfter.Value;
        if (Now + delay - began > retry.TotalTime) return Refuse("time");
        return _budget.TryTake(Now) ? delay : Refuse("budget");

        TimeSpan? Refuse(string why)
        {
            metrics.NotRetried(error.Leg, endpoint.Path, why);
            return null;
        }
    }

    private (RequestFacts, ByteEdits?) ResolveAlias(ClientBody body, RequestFacts facts, ByteEdits? edits)
    {
        if (facts.Model is not { } name || !options.ModelAliases.TryGetValue(name, out string? canonical)) return (facts, edits);
        edits ??= new ByteEdits();
        body.ReplaceModel(edits, canonical);
        return (facts with { Model = canonical }, edits);
    }

    private void CountChoice(Route route)
    {
        if (route.Prefill is { } prefill) metrics.Chosen(WorkerRole.Prefill, router.PrefillPolicy.Name, prefill, route.PrefillPick);
        metrics.Chosen(route.Decode.Worker.Role, router.DecodePolicy.Name, route.Decode, route.DecodePick);
    }
}
