using System.Diagnostics.Metrics;
using Baton.Core.Failures;
using Baton.Core.Ids;
using Baton.Core.Ranks;
using Baton.Core.Requests;

namespace Baton.Serving;

/// <summary>A worker's instruments. Names as in SGLang where SGLang has them, so dashboards keep working.</summary>
public sealed class ServingMetrics : IDisposable
{
    public const string MeterName = "Baton.Serving";

    private readonly Meter _meter;
    private readonly Counter<long> _accepted;
    private readonly Counter<long> _failed;
    private readonly Counter<long> _promptTokens;
    private readonly Counter<long> _outputTokens;
    private readonly Counter<long> _handoverBytes;
    private readonly Histogram<double> _ttft;
    private readonly Histogram<double> _e2el;
    private readonly Histogram<double> _queue;
    private readonly Histogram<double> _handover;

    public ServingMetrics(Func<IEnumerable<RankLoad>> loads)
    {
        // A meter of this worker alone: two workers in one process must not count into each other.
        _meter = new Meter(MeterName);
        _accepted = _meter.CreateCounter<long>("baton.request.accepted", "{request}", "Sequences that were given to the DP controller.");
        _failed = _meter.CreateCounter<long>("baton.request.failed", "{request}", "Sequences that ended with a failure, by reason.");
        _promptTokens = _meter.CreateCounter<long>("baton.request.prompt_tokens", "{token}", "Prompt tokens of ended sequences.");
        _outputTokens = _meter.CreateCounter<long>("baton.request.output_tokens", "{token}", "Output tokens of ended sequences.");
        _handoverBytes = _meter.CreateCounter<long>("baton.handover.bytes", "By", "KV bytes that were handed over.");
        _ttft = _meter.CreateHistogram<double>("baton.request.ttft", "s", "Request accepted to first token.", advice: Buckets);
        _e2el = _meter.CreateHistogram<double>("baton.request.e2el", "s", "Request accepted to last token.", advice: Buckets);
        _queue = _meter.CreateHistogram<double>("baton.request.queue_time", "s", "Waiting before the first computation or the claim.", advice: Buckets);
        _handover = _meter.CreateHistogram<double>("baton.handover.duration", "s", "Claim to last frame.", advice: Buckets);
        Gauge("baton.rank.running_requests", "{request}", "Sequences that hold KV cells.", load => load.RunningRequests);
        Gauge("baton.rank.waiting_requests", "{request}", "Sequences in any queue.", load => load.WaitingRequests);
        Gauge("baton.rank.used_cells", "{cell}", "KV cells that are reserved.", load => load.UsedCells);
        Gauge("baton.rank.cells", "{cell}", "KV cells of the rank.", load => load.CellCount);
        Gauge("baton.rank.bootstrap_queue", "{request}", "Prefill: waiting for decode's claim.", load => load.BootstrapQueue);
        Gauge("baton.rank.inflight_queue", "{request}", "Prefill: computed, not yet delivered.", load => load.InflightQueue);
        Gauge("baton.rank.prealloc_queue", "{request}", "Decode: waiting for rank, slot and cells.", load => load.PreallocQueue);
        Gauge("baton.rank.transfer_queue", "{request}", "Decode: waiting for KV.", load => load.TransferQueue);
        Gauge("baton.rank.retracted_queue", "{request}", "Sequences whose cells were taken back.", load => load.RetractedQueue);

        void Gauge(string name, string unit, string description, Func<RankLoad, long> read) => _meter.CreateObservableGauge(
            name, () => loads().Select(load => new Measurement<long>(read(load), new KeyValuePair<string, object?>("dp_rank", load.DpRank))), unit, description);
    }

    private static readonly InstrumentAdvice<double> Buckets = new()
    {
        HistogramBucketBoundaries = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300],
    };

    /// <summary>For a collector that shows this worker's instruments and no other's.</summary>
    public Meter Meter => _meter;

    public void Accepted(WorkerRole role) => _accepted.Add(1, Tag(role));

    public void Failed(WorkerRole role, FailureReason reason) => _failed.Add(1, Tag(role), new KeyValuePair<string, object?>("reason", reason.Code));

    public void FirstToken(WorkerRole role, TimeSpan ttft) => _ttft.Record(ttft.TotalSeconds, Tag(role));

    public void Ended(WorkerRole role, GenerationEnd end, TimeSpan e2el)
    {
        if (end.Failure is { } failure) Failed(role, failure.Reason);
        _promptTokens.Add(end.PromptTokens, Tag(role));
        _outputTokens.Add(end.CompletionTokens, Tag(role));
        _e2el.Record(e2el.TotalSeconds, Tag(role));
        _queue.Record(end.QueueTime.TotalSeconds, Tag(role));
        if (end.HandoverBytes == 0) return;
        _handoverBytes.Add(end.HandoverBytes, Tag(role));
        _handover.Record(end.HandoverTime.TotalSeconds, Tag(role));
    }

    public void Dispose() => _meter.Dispose();

    private static KeyValuePair<string, object?> Tag(WorkerRole role) => new("role", role switch
    {
        WorkerRole.Prefill => "prefill",
        WorkerRole.Decode => "decode",
        _ => "unified",
    });
}
