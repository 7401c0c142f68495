using System.Diagnostics.Metrics;
using Baton.Router.KvEvents;
using Baton.Router.Trouble;
using Baton.Router.Workers;

namespace Baton.Router;

/// <content>What is read off the fleet when somebody asks, and costs requests nothing. A worker that left takes its series along, but for its breaker's state.</content>
public sealed partial class RouterMetrics
{
    private void ObserveFleet()
    {
        _meter.CreateObservableCounter("baton.room_collisions", () => _router.RoomCollisions, description: "Rooms drawn again because they were still remembered.");
        _meter.CreateObservableCounter("baton.panic_choices", () => _router.PanicChoices, description: "Requests sent although every breaker of a role was open.");
        _meter.CreateObservableGauge("baton.worker.pool_size", PoolSizes, description: "Workers, by role and status.");
        _meter.CreateObservableGauge("baton.discovery.workers_discovered", Discovered, description: "Workers that are known, by source: cli, file, api, lease or kubernetes.");
        _meter.CreateObservableGauge("baton.worker.health",
            () => Workers.Select(w => new Measurement<int>(w.Status == WorkerStatus.Ready ? 1 : 0, Tag("worker", w.Url), Tag("role", RoleName(w.Role)))), description: "1 when ready.");
        PerRank("baton.worker.requests_active", "Sequences in flight.", r => r.Requests);
        PerRank("baton.dp_rank_tokens", "Estimated prompt tokens in flight.", r => r.PromptTokens);
        _meter.CreateObservableGauge("baton.worker.cb_state", BreakerStates, description: "Breaker: 0 closed, 1 open, 2 half-open, -1 of a worker that was removed.");
        PerRank("baton.worker.cb_consecutive_failures", "Failures in a row.", r => r.Breaker.ConsecutiveFailures);
        PerRank("baton.worker.cb_consecutive_successes", "Successes in a row while not closed.", r => r.Breaker.ConsecutiveSuccesses);
        PerRank("baton.worker.cb_probes_active", "Probes of a half-open breaker under way: 0 or 1.", r => r.Breaker.IsProbing ? 1 : 0);
        _meter.CreateObservableCounter("baton.worker.cb_transitions", Transitions, description: "Moves of breakers, by where from and where to.");
        _meter.CreateObservableCounter("baton.worker.cb_outcomes", Outcomes, description: "Legs as breakers counted them: success, failure or neutral.");
        PerRank("baton.engine.running_requests", "By the rank's last report.", r => r.Report?.RunningRequests);
        PerRank("baton.engine.waiting_requests", "By the rank's last report.", r => r.Report?.WaitingRequests);
        PerRank("baton.engine.token_usage", "Share of KV cells in use, by the rank's last report.", r => r.Report?.TokenUsage);
        PerRank("baton.engine.gen_throughput", "Tokens per second, by the rank's last report.", r => r.Report?.GenThroughput);
        PerRank("baton.engine.cache_hit_rate", "By the rank's last report.", r => r.Report?.CacheHitRate);
        PerRank("baton.engine.pd_kv_transfer_latency_ms", "By the rank's last report, where it tells.", r => r.Report?.KvTransferLatencyMs);
        PerRank("baton.engine.pd_kv_transfer_speed_gb_s", "By the rank's last report, where it tells.", r => r.Report?.KvTransferSpeedGbS);
        PerRank("baton.engine.pd_prefill_queue_reqs", "Bootstrap and inflight queue, by the rank's last report.", r => r.Report?.PrefillQueueRequests);
        PerRank("baton.engine.pd_decode_queue_reqs", "Prealloc, transfer and retracted queue, by the rank's last report.", r => r.Report?.DecodeQueueRequests);
        PerRank("baton.kv_events.live", "1 while the rank's KV events are listened to.", r => r.Blocks.IsFollowed ? r.Blocks.IsLive ? 1 : 0 : null);
        PerRank("baton.kv_events.blocks", "Blocks of tokens in the rank's KV cache, as far as its events told.", r => r.Blocks.IsFollowed ? r.Blocks.Count : null);
        _meter.CreateObservableCounter("baton.kv_events.batches", () => Followed.Select(r => new Measurement<long>(r.State.Blocks.Batches, Tag("worker", r.Worker.Url), Tag("rank", r.Rank))), description: "Batches of KV events read.");
        _meter.CreateObservableCounter("baton.kv_events.forgotten", Forgotten, description: "Times that what a rank's KV events told was thrown away, by reason: gap, lost, restarted or full.");
    }

    private IReadOnlyList<Worker> Workers => _router.Fleet.Now.All;

    private IEnumerable<(Worker Worker, int Rank, RankState State)> Ranks => Workers.SelectMany(w => w.Ranks.Select((state, rank) => (w, rank, state)));

    private IEnumerable<(Worker Worker, int Rank, RankState State)> Followed => Ranks.Where(r => r.State.Blocks.IsFollowed);

    private IEnumerable<Measurement<long>> Forgotten() => Followed.SelectMany(r => Enum.GetValues<KvForgotten>().Select(why =>
        new Measurement<long>(r.State.Blocks.ForgottenBy(why), Tag("worker", r.Worker.Url), Tag("rank", r.Rank), Tag("reason", why.ToString().ToLowerInvariant()))));

    private void PerRank(string name, string description, Func<RankState, double?> read) => _meter.CreateObservableGauge(name,
        () => Ranks.Select(r => (r.Worker, r.Rank, Value: read(r.State))).Where(r => r.Value is not null)
            .Select(r => new Measurement<double>(r.Value!.Value, Tag("worker", r.Worker.Url), Tag("rank", r.Rank))), description: description);

    private IEnumerable<Measurement<double>> BreakerStates() =>
    [
        .. Ranks.Select(r => new Measurement<double>((int)r.State.Breaker.State, Tag("worker", r.Worker.Url), Tag("rank", r.Rank))),
        .. _removed.Recent().Where(gone => _router.Fleet.Find(gone.Url) is null)
            .SelectMany(gone => Enumerable.Range(0, gone.DpSize).Select(rank => new Measurement<double>(-1, Tag("worker", gone.Url), Tag("rank", rank)))),
    ];

    private IEnumerable<Measurement<long>> Transitions() => Ranks.SelectMany(r => r.State.Breaker.Moves.Select(m =>
        new Measurement<long>(m.Count, Tag("worker", r.Worker.Url), Tag("rank", r.Rank), Tag("from", NameOf(m.From)), Tag("to", NameOf(m.To)))));

    private IEnumerable<Measurement<long>> Outcomes() => Ranks.SelectMany(r => Enum.GetValues<LegOutcome>().Select(o =>
        new Measurement<long>(r.State.Breaker.Count(o), Tag("worker", r.Worker.Url), Tag("rank", r.Rank), Tag("outcome", o.ToString().ToLowerInvariant()))));

    private IEnumerable<Measurement<int>> PoolSizes() => Workers.GroupBy(w => (w.Role, w.Status))
        .Select(g => new Measurement<int>(g.Count(), Tag("role", RoleName(g.Key.Role)), Tag("status", g.Key.Status.ToString().ToLowerInvariant())));

    private IEnumerable<Measurement<int>> Discovered() => Workers.GroupBy(w => w.Source).Select(g => new Measurement<int>(g.Count(), Tag("source", g.Key.Name)));

    private static string NameOf(BreakerState state) => state switch { BreakerState.Open => "open", BreakerState.HalfOpen => "half_open", _ => "closed" };
}
