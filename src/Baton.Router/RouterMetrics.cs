using System.Diagnostics.Metrics;
using Baton.Core.Ids;
using Baton.Router.Bodies;
using Baton.Router.Choice;
using Baton.Router.Errors;
using Baton.Router.Workers;

namespace Baton.Router;

/// <summary>What a request's measurements are told apart by.</summary>
/// <param name="Model">A name that the fleet knows, <c>default</c> or <c>other</c>: never a client's own invention.</param>
public readonly record struct RequestTags(string Model, string Endpoint, bool Stream);

/// <summary>Every instrument of the router, by its one name; docs/router.md lists them. Tags have few values: never a room, never a client.</summary>
public sealed partial class RouterMetrics : IDisposable
{
    public const string MeterName = "Baton.Router";

    private static readonly InstrumentAdvice<double> Shares = new() { HistogramBucketBoundaries = [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1] };

    // Tag values are objects: made once, not with every measurement.
    private static readonly object[] Numbers = [.. Enumerable.Range(0, 600).Select(number => (object)number)];

    private readonly Meter _meter = new(MeterName);
    private readonly PdRouter _router;
    private readonly RemovedWorkers _removed;
    private readonly InstrumentAdvice<double> _seconds;
    private readonly Counter<long> _httpRequests, _responses, _limited, _requests, _errors, _tokens;
    private readonly Counter<long> _bootstrapFailures, _transferFailures, _branches, _selections, _workerErrors, _checks, _retries, _exhausted, _cancelled, _registered, _deregistered, _leasesEnded;
    private readonly Histogram<double> _httpDuration, _duration, _ttft, _tpot, _stage, _pdTtft, _prefill, _overhead, _backoff, _sync, _hitShare;
    private int _active;

    /// <param name="openConnections">Of clients, now.</param>
    /// <param name="durationBuckets">In seconds, ascending; null is the default.</param>
    public RouterMetrics(PdRouter router, Func<int> openConnections, TimeProvider time, IReadOnlyList<double>? durationBuckets = null)
    {
        _router = router;
        _removed = new RemovedWorkers(time);
        _seconds = new InstrumentAdvice<double> { HistogramBucketBoundaries = durationBuckets ?? new RouterOptions().DurationBuckets };
        _httpRequests = Counter("baton.http.requests", "Requests, by method and path.");
        _responses = Counter("baton.http.responses", "Answers, by method, path and status.");
        _httpDuration = Histogram("baton.http.request_duration", "First byte in to last byte out, of every path.");
        _limited = Counter("baton.http.rate_limit", "Requests that asked for a place, by decision: admitted, rate_limited, queue_full, queue_timeout or left.");
        _requests = Counter("baton.router.requests", "Requests for tokens.");
        _errors = Counter("baton.router.request_errors", "Requests that ended with an error, by its code.");
        _duration = Histogram("baton.router.request_duration", "First byte in to last byte out.");
        _ttft = Histogram("baton.router.ttft", "First byte in, without the queue, to decode's first byte.");
        _tpot = Histogram("baton.router.tpot", "Streams: from the first byte to the last, for each token after the first.");
        _tokens = Counter("baton.router.tokens", "Tokens that workers counted in their answers, by type: prompt or completion.");
        _stage = Histogram("baton.router.stage_duration", "Steps of a request: read, queue, select, send, first_byte, relay.");
        _overhead = Histogram("baton.router.overhead", "First byte in to both legs handed to their connections, without the queue.");
        _pdTtft = Histogram("baton.pd.ttft", "Legs sent to decode's first byte, by pair.");
        _prefill = Histogram("baton.pd.prefill_duration", "Prefill leg sent to its answer read, by pair.");
        _bootstrapFailures = Counter("baton.pd.bootstrap_failures", "Legs that failed because the halves did not find each other, by what the worker said.");
        _transferFailures = Counter("baton.pd.kv_transfer_failures", "Legs that failed because the KV cache did not arrive, by what the worker said.");
        _branches = Counter("baton.policy.branch", "Choices, by role, policy and the branch that decided.");
        _hitShare = _meter.CreateHistogram("baton.cache_hit_chars_ratio", null, "cache_aware: share of the prompt by which a candidate was chosen, 0 when no match was long enough.", tags: null, Shares);
        _selections = Counter("baton.worker.selection", "Choices, by worker, role, rank and policy.");
        _workerErrors = Counter("baton.worker.errors", "Failed legs, by worker and error code.");
        _checks = Counter("baton.worker.health_checks", "Health checks, by worker and result.");
        _retries = Counter("baton.worker.retries", "Attempts after the first, by the role that failed the one before.");
        _exhausted = Counter("baton.worker.retries_exhausted", "Retryable failures that were not retried, by reason.");
        _backoff = Histogram("baton.worker.retry_backoff", "Waits before attempts after the first.");
        _cancelled = Counter("baton.cancelled_legs", "Legs that the router cut, by leg and reason.");
        _registered = Counter("baton.discovery.registrations", "Workers added, by source: cli, file, api, lease or kubernetes.");
        _leasesEnded = Counter("baton.discovery.leases_ended", "Workers taken out because they did not renew their lease, by source.");
        _deregistered = Counter("baton.discovery.deregistrations", "Workers removed, by source.");
        _sync = Histogram("baton.discovery.sync_duration", "Readings of the workers file, and full lists of pods.");
        LatePrefillFailures = Counter("baton.late_prefill_failures", "Prefill failures after decode's first byte.");
        Truncated = Counter("baton.stream_truncated", "Decode streams that ended without their terminal event.");
        Continuations = Counter("baton.stream_continuations", "Streams that another pair went on with after decode died.");
        RankMismatches = Counter("baton.dp_rank_mismatch", "Answers that named another rank than the one asked for.");
        SoftAborts = Counter("baton.prefill_soft_abort", "Prefill answers of 200 whose finish reason is abort.");
        MergeFailures = Counter("baton.merge_failures", "Answers passed on unmerged because a side was not as expected.");
        Replays = Counter("baton.stale_replays", "Legs sent again because a kept-alive connection turned out closed.");
        _meter.CreateObservableGauge("baton.http.connections_active", openConnections, description: "Connections of clients.");
        _meter.CreateObservableGauge("baton.http.requests_active", () => Volatile.Read(ref _active), description: "Requests being answered now.");
        ObserveFleet();
    }

    public Counter<long> LatePrefillFailures { get; }
    public Counter<long> Truncated { get; }
    public Counter<long> Continuations { get; }
    public Counter<long> RankMismatches { get; }
    public Counter<long> SoftAborts { get; }
    public Counter<long> MergeFailures { get; }
    public Counter<long> Replays { get; }

    /// <summary>Tells of measurements that a collector had no place for.</summary>
    public void ObserveDropped(Func<IEnumerable<(string Instrument, long Count)>> read) => _meter.CreateObservableCounter("baton.metrics.dropped",
        () => read().Select(one => new Measurement<long>(one.Count, Tag("instrument", one.Instrument))), description: "Measurements that found no place because their instrument had too many series, by instrument.");

    public bool Owns(Meter meter) => meter == _meter;

    public void Entered() => Interlocked.Increment(ref _active);

    public void Came(string method, string path) =>
        _httpRequests.Add(1, Tag("method", method), Tag("path", path));

    public void Answered(string method, string path, int status, TimeSpan took)
    {
        Interlocked.Decrement(ref _active);
        _responses.Add(1, Tag("method", method), Tag("path", path), Tag("status", BoxOf(status)));
        _httpDuration.Record(took.TotalSeconds, Tag("method", method), Tag("path", path));
    }

    /// <param name="decision"><c>admitted</c>, or why not.</param>
    public void Limited(string decision) => _limited.Add(1, Tag("decision", decision));

    public RequestTags TagsOf(RequestFacts facts) => new(_router.ModelTag(facts.Model), facts.Endpoint.Path, facts.Stream);

    public void Request(in RequestTags tags) => _requests.Add(1, Tag("model", tags.Model), Tag("endpoint", tags.Endpoint), Tag("stream", BoxOf(tags.Stream)));

    public void Failed(in RequestTags tags, RouterError error) => _errors.Add(1, Tag("model", tags.Model), Tag("endpoint", tags.Endpoint), Tag("error", error.Code));

    public void Finished(in RequestTags tags, TimeSpan took) =>
        _duration.Record(took.TotalSeconds, Tag("model", tags.Model), Tag("endpoint", tags.Endpoint), Tag("stream", BoxOf(tags.Stream)));

    /// <param name="since">The request's first byte in, without the queue.</param>
    /// <param name="sinceSent">Both legs sent.</param>
    public void FirstByte(in RequestTags tags, Route route, TimeSpan since, TimeSpan sinceSent)
    {
        _ttft.Record(since.TotalSeconds, Tag("model", tags.Model), Tag("endpoint", tags.Endpoint), Tag("stream", BoxOf(tags.Stream)));
        if (route.Prefill is { } prefill)
            _pdTtft.Record(sinceSent.TotalSeconds, Tag("model", tags.Model), Tag("prefill", prefill.Worker.Url), Tag("decode", route.Decode.Worker.Url));
        Stage("first_byte", sinceSent);
    }

    public void TimePerToken(in RequestTags tags, TimeSpan each) => _tpot.Record(each.TotalSeconds, Tag("model", tags.Model), Tag("endpoint", tags.Endpoint));

    public void Tokens(in RequestTags tags, long prompt, long completion)
    {
        if (prompt > 0) _tokens.Add(prompt, Tag("model", tags.Model), Tag("endpoint", tags.Endpoint), Tag("type", "prompt"));
        if (completion > 0) _tokens.Add(completion, Tag("model", tags.Model), Tag("endpoint", tags.Endpoint), Tag("type", "completion"));
    }

    public void Stage(string stage, TimeSpan took) => _stage.Record(took.TotalSeconds, Tag("stage", stage));

    public void PrefillDone(in RequestTags tags, Route route, TimeSpan took) =>
        _prefill.Record(took.TotalSeconds, Tag("model", tags.Model), Tag("prefill", route.Prefill!.Value.Worker.Url), Tag("decode", route.Decode.Worker.Url));

    public void LegsSent(TimeSpan since) => _overhead.Record(since.TotalSeconds);

    /// <summary>A leg failed, and its worker is named.</summary>
    public void LegFailed(in RequestTags tags, Route route, RouterError error)
    {
        _workerErrors.Add(1, Tag("worker", error.Worker), Tag("role", FailureMapping.Name(error.Leg)), Tag("reason", error.Code));
        if (route.Prefill is not { } prefill || FailureMapping.HandoverOf(error) is not { } failed) return;
        (failed == HandoverFailure.Bootstrap ? _bootstrapFailures : _transferFailures)
            .Add(1, Tag("model", tags.Model), Tag("prefill", prefill.Worker.Url), Tag("decode", route.Decode.Worker.Url));
    }

    public void Chosen(WorkerRole role, string policy, in Candidate candidate, in PolicyPick pick)
    {
        string name = RoleName(role);
        _branches.Add(1, Tag("role", name), Tag("policy", policy), Tag("branch", pick.Branch));
        _selections.Add(1, Tag("worker", candidate.Worker.Url), Tag("role", name), Tag("rank", candidate.Rank is { } rank ? BoxOf(rank) : "none"), Tag("policy", policy));
        if (pick.MatchedShare is { } share) _hitShare.Record(share, Tag("role", name));
    }

    public void HealthChecked(string worker, bool isGood) => _checks.Add(1, Tag("worker", worker), Tag("result", isGood ? "ok" : "failed"));

    /// <param name="attempt">The number of the attempt that follows.</param>
    public void Retried(ErrorLeg leg, string endpoint, int attempt, TimeSpan backoff)
    {
        _retries.Add(1, Tag("role", FailureMapping.Name(leg)), Tag("endpoint", endpoint), Tag("attempt", BoxOf(attempt)));
        _backoff.Record(backoff.TotalSeconds, Tag("attempt", BoxOf(attempt)));
    }

    public void NotRetried(ErrorLeg leg, string endpoint, string why) => _exhausted.Add(1, Tag("role", FailureMapping.Name(leg)), Tag("endpoint", endpoint), Tag("reason", why));

    public void Cancelled(string leg, string why) => _cancelled.Add(1, Tag("leg", leg), Tag("why", why));

    public void Registered(WorkerSource source) => _registered.Add(1, Tag("source", source.Name));

    public void Deregistered(Worker worker)
    {
        _removed.Add(worker);
        _deregistered.Add(1, Tag("source", worker.Source.Name));
    }

    public void LeaseEnded(WorkerSource source) => _leasesEnded.Add(1, Tag("source", source.Name));

    public void Synced(WorkerSource source, TimeSpan took) => _sync.Record(took.TotalSeconds, Tag("source", source.Name));

    public void Dispose() => _meter.Dispose();

    public static string RoleName(WorkerRole role) => role switch { WorkerRole.Prefill => "prefill", WorkerRole.Decode => "decode", _ => "regular" };

    private Counter<long> Counter(string name, string description) => _meter.CreateCounter<long>(name, description: description);

    private Histogram<double> Histogram(string name, string description) => _meter.CreateHistogram(name, "s", description, tags: null, _seconds);

    private static object BoxOf(int number) => (uint)number < Numbers.Length ? Numbers[number] : number;

    private static string BoxOf(bool value) => value ? "true" : "false";

    private static KeyValuePair<string, object?> Tag(string name, object? value) => new(name, value);
}
