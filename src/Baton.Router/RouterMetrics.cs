using System.Diagnostics.Metrics;
using Baton.Core.Ids;
using Baton.Router.Errors;
using Baton.Router.Workers;

namespace Baton.Router;

/// <summary>Every instrument of the router, by its one name. Tags have few values: never a room, never a client.</summary>
public sealed class RouterMetrics : IDisposable
{
    public const string MeterName = "Baton.Router";

    // From 100 us, the router's own cost, to 120 s, a long answer.
    private static readonly InstrumentAdvice<double> Seconds = new()
    {
        HistogramBucketBoundaries = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120],
    };

    // Tag values are objects: made once, not with every measurement.
    private static readonly object True = true, False = false;
    private static readonly object[] Statuses = [.. Enumerable.Range(0, 600).Select(status => (object)status)];

    private readonly Meter _meter = new(MeterName);
    private readonly Counter<long> _requests, _errors, _responses, _branches, _workerErrors, _retries, _exhausted, _cancelled;
    private readonly Histogram<double> _duration, _ttft, _prefill, _overhead, _queue;
    private int _active;

    public RouterMetrics(PdRouter router)
    {
        _responses = _meter.CreateCounter<long>("baton.http.responses", description: "Answers, by path and status.");
        _requests = _meter.CreateCounter<long>("baton.router.requests", description: "Requests for tokens, by endpoint.");
        _errors = _meter.CreateCounter<long>("baton.router.request_errors", description: "Requests that ended with an error, by its code.");
        _duration = Histogram("baton.router.request_duration", "First byte in to last byte out.");
        _ttft = Histogram("baton.router.ttft", "First byte in to decode's first byte.");
        _prefill = Histogram("baton.pd.prefill_duration", "Prefill leg sent to its answer read.");
        _overhead = Histogram("baton.router.overhead", "First byte in to both legs handed to their connections, without the queue.");
        _queue = Histogram("baton.router.queue_wait", "Waiting for a place under --max-concurrent-requests.");
        _branches = _meter.CreateCounter<long>("baton.policy.branch", description: "Choices, by role, policy and the branch that decided.");
        _workerErrors = _meter.CreateCounter<long>("baton.worker.errors", description: "Failed legs, by worker and error code.");
        _retries = _meter.CreateCounter<long>("baton.worker.retries", description: "Attempts after the first.");
        _exhausted = _meter.CreateCounter<long>("baton.worker.retries_exhausted", description: "Retryable failures that were not retried, by reason.");
        _cancelled = _meter.CreateCounter<long>("baton.cancelled_legs", description: "Legs that the router cut, by leg and reason.");
        LatePrefillFailures = _meter.CreateCounter<long>("baton.late_prefill_failures", description: "Prefill failures after decode's first byte.");
        Truncated = _meter.CreateCounter<long>("baton.stream_truncated", description: "Decode streams that ended without their terminal event.");
        RankMismatches = _meter.CreateCounter<long>("baton.dp_rank_mismatch", description: "Answers that named another rank than the one asked for.");
        SoftAborts = _meter.CreateCounter<long>("baton.prefill_soft_abort", description: "Prefill answers of 200 whose finish reason is abort.");
        MergeFailures = _meter.CreateCounter<long>("baton.merge_failures", description: "Answers passed on unmerged because a side was not as expected.");
        Replays = _meter.CreateCounter<long>("baton.stale_replays", description: "Legs sent again because a kept-alive connection turned out closed.");
        _meter.CreateObservableCounter("baton.room_collisions", () => router.RoomCollisions, description: "Rooms drawn again because they were still remembered.");
        _meter.CreateObservableCounter("baton.panic_choices", () => router.PanicChoices, description: "Requests sent although every breaker of a role was open.");
        _meter.CreateObservableGauge("baton.http.connections_active", () => Volatile.Read(ref _active), description: "Requests being answered now.");
        _meter.CreateObservableGauge("baton.worker.pool_size", () => PoolSizes(router.Fleet.Now), description: "Workers, by role and status.");
        PerWorker(router, "baton.worker.health", "1 when ready.", w => w.Status == WorkerStatus.Ready ? 1 : 0);
        PerRank(router, "baton.worker.requests_active", "Sequences in flight.", r => r.Requests);
        PerRank(router, "baton.dp_rank_tokens", "Estimated prompt tokens in flight.", r => r.PromptTokens);
        PerRank(router, "baton.worker.cb_state", "Breaker: 0 closed, 1 open, 2 half-open.", r => (int)r.Breaker.State);
        PerRank(router, "baton.worker.cb_consecutive_failures", "Failures in a row.", r => r.Breaker.ConsecutiveFailures);
        PerRank(router, "baton.worker.cb_transitions", "Moves of the breaker since the start.", r => r.Breaker.Transitions);
        PerRank(router, "baton.engine.running_requests", "By the rank's last report.", r => r.Report?.RunningRequests);
        PerRank(router, "baton.engine.waiting_requests", "By the rank's last report.", r => r.Report?.WaitingRequests);
        PerRank(router, "baton.engine.token_usage", "Share of KV cells in use, by the rank's last report.", r => r.Report?.TokenUsage);
        PerRank(router, "baton.engine.gen_throughput", "Tokens per second, by the rank's last report.", r => r.Report?.GenThroughput);
        PerRank(router, "baton.engine.cache_hit_rate", "By the rank's last report.", r => r.Report?.CacheHitRate);
    }

    public Counter<long> LatePrefillFailures { get; }
    public Counter<long> Truncated { get; }
    public Counter<long> RankMismatches { get; }
    public Counter<long> SoftAborts { get; }
    public Counter<long> MergeFailures { get; }
    public Counter<long> Replays { get; }

    public bool Owns(Meter meter) => meter == _meter;

    public void Entered() => Interlocked.Increment(ref _active);

    public void Answered(string path, int status)
    {
        Interlocked.Decrement(ref _active);
        _responses.Add(1, Tag("path", path), Tag("status", BoxOf(status)));
    }

    public void Request(string endpoint, bool stream) => _requests.Add(1, Tag("endpoint", endpoint), Tag("stream", stream ? True : False));

    public void Failed(string endpoint, RouterError error) => _errors.Add(1, Tag("endpoint", endpoint), Tag("error", error.Code));

    public void Finished(string endpoint, bool stream, TimeSpan duration) => _duration.Record(duration.TotalSeconds, Tag("endpoint", endpoint), Tag("stream", stream ? True : False));

    public void FirstByte(string endpoint, TimeSpan since) => _ttft.Record(since.TotalSeconds, Tag("endpoint", endpoint));

    public void PrefillDone(TimeSpan took) => _prefill.Record(took.TotalSeconds);

    public void LegsSent(TimeSpan since) => _overhead.Record(since.TotalSeconds);

    public void Queued(TimeSpan waited) => _queue.Record(waited.TotalSeconds);

    public void Chosen(string role, string policy, string branch) => _branches.Add(1, Tag("role", role), Tag("policy", policy), Tag("branch", branch));

    public void WorkerError(string worker, string code) => _workerErrors.Add(1, Tag("worker", worker), Tag("reason", code));

    public void Retried(string leg) => _retries.Add(1, Tag("role", leg));

    public void NotRetried(string why) => _exhausted.Add(1, Tag("reason", why));

    public void Cancelled(string leg, string why) => _cancelled.Add(1, Tag("leg", leg), Tag("why", why));

    public void Dispose() => _meter.Dispose();

    private Histogram<double> Histogram(string name, string description) => _meter.CreateHistogram(name, "s", description, tags: null, Seconds);

    private void PerWorker(PdRouter router, string name, string description, Func<Worker, double> read) => _meter.CreateObservableGauge(name,
        () => router.Fleet.Now.All.Select(w => new Measurement<double>(read(w), Tag("worker", w.Url), Tag("role", RoleName(w.Role)))), description: description);

    private void PerRank(PdRouter router, string name, string description, Func<RankState, double?> read) => _meter.CreateObservableGauge(name,
        () => router.Fleet.Now.All.SelectMany(w => w.Ranks.Select((rank, i) => (w, i, value: read(rank)))).Where(x => x.value is not null)
            .Select(x => new Measurement<double>(x.value!.Value, Tag("worker", x.w.Url), Tag("rank", x.i))), description: description);

    private static IEnumerable<Measurement<int>> PoolSizes(WorkerFleet.Snapshot fleet) => fleet.All
        .GroupBy(w => (w.Role, w.Status))
        .Select(g => new Measurement<int>(g.Count(), Tag("role", RoleName(g.Key.Role)), Tag("status", g.Key.Status.ToString().ToLowerInvariant())));

    public static string RoleName(WorkerRole role) => role switch { WorkerRole.Prefill => "prefill", WorkerRole.Decode => "decode", _ => "regular" };

    private static object BoxOf(int status) => (uint)status < Statuses.Length ? Statuses[status] : status;

    private static KeyValuePair<string, object?> Tag(string name, object? value) => new(name, value);
}
