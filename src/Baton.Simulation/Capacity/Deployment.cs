using System.Globalization;
using Baton.Core.Engine.Simulated;
using Baton.Core.Ranks;
using Baton.Scheduling;
using Baton.Simulation.Cluster;
using Baton.Simulation.Events;
using Baton.Simulation.Figures;
using Baton.Simulation.Network;
using Baton.Simulation.Workloads;

namespace Baton.Simulation.Capacity;

/// <summary>What every rank of a planned cluster is like. Only the <see cref="Split"/> is left open. Names and meanings are <c>baton serve</c>'s.</summary>
public sealed record Deployment
{
    public CostModel Cost { get; init; } = new();
    /// <summary>Null: as prefill.</summary>
    public CostModel? DecodeCost { get; init; }
    public int ChunkedPrefillSize { get; init; } = 256;
    public int MaxBatchTokens { get; init; } = 512;
    public int MaxRunningRequests { get; init; } = 64;
    public int MaxQueuedRequests { get; init; } = 1024;
    public int ContextTokens { get; init; } = 8192;
    /// <summary>KV cells of one rank.</summary>
    public int CellCount { get; init; } = 65_536;
    public int ReservedDecodeTokens { get; init; } = 512;
    public LoadBalanceMethod PrefillMethod { get; init; } = LoadBalanceMethod.LeastWork;
    public StepModel PrefillSteps { get; init; }
    /// <summary>The router's, as <c>baton router --dp-mode auto</c>; false leaves ranks to the workers.</summary>
    public bool RouterPinsRanks { get; init; } = true;
    /// <summary>One way, for every message.</summary>
    public TimeSpan Latency { get; init; } = TimeSpan.FromMicroseconds(100);
    /// <summary>Of one KV link.</summary>
    public double KvBytesPerSecond { get; init; } = double.PositiveInfinity;
    /// <summary>Of the model that is planned for. The simulated cells are smaller; the link is slowed down as much.</summary>
    public int KvBytesPerToken { get; init; } = SimulatedEngine.BytesPerToken;

    /// <summary>Plays a workload on a cluster of this kind.</summary>
    /// <param name="limit">Virtual time after which the run is stopped: what has not ended by then counts as outside the goals.</param>
    public SimulatedCluster Run(Split split, Workload workload, TimeSpan limit, ulong seed)
    {
        SimulatedCluster cluster = new(new EventLoop(), ToCluster(split), seed);
        cluster.Play(workload, limit);
        return cluster;
    }

    /// <summary>Plays each workload on a cluster of its own and puts the figures together.</summary>
    public ClusterFigures Measure(Split split, IReadOnlyList<Workload> workloads, ServiceGoals goals, TimeSpan limit, ulong seed)
    {
        List<SimulatedCluster> runs = [];
        for (int i = 0; i < workloads.Count; i++) runs.Add(Run(split, workloads[i], limit, seed + (ulong)i));
        return ClusterFigures.Of(runs, workloads.Sum(workload => workload.Requests.Count), goals);
    }

    public ClusterOptions ToCluster(Split split)
    {
        SimulatedEngineOptions engine = new()
        {
            Cost = Cost,
            ContextTokens = ContextTokens,
            CellCount = CellCount,
            MaxSequences = MaxRunningRequests,
            MaxBatchTokens = MaxBatchTokens,
        };
        SchedulerOptions scheduler = new()
        {
            ChunkedPrefillSize = ChunkedPrefillSize,
            MaxRunningRequests = MaxRunningRequests,
            MaxQueuedRequests = MaxQueuedRequests,
            ReservedDecodeTokens = ReservedDecodeTokens,
        };
        double shrink = (double)SimulatedEngine.BytesPerToken / KvBytesPerToken;
        ClusterOptions defaults = new();
        return new ClusterOptions
        {
            PrefillWorkers = split.PrefillWorkers,
            PrefillDpSize = split.PrefillDpSize,
            DecodeWorkers = split.DecodeWorkers,
            DecodeDpSize = split.DecodeDpSize,
            PrefillMethod = PrefillMethod,
            PrefillSteps = PrefillSteps,
            RouterPinsRanks = RouterPinsRanks,
            PrefillEngine = engine,
            DecodeEngine = engine with { Cost = DecodeCost ?? Cost },
            PrefillScheduler = scheduler,
            DecodeScheduler = scheduler,
            Network = new NetworkOptions { Latency = Latency, BytesPerSecond = KvBytesPerSecond * shrink },
            // A window smaller than one chunk would never let it through.
            WindowBytes = Math.Max((long)(defaults.WindowBytes * shrink), (long)ChunkedPrefillSize * SimulatedEngine.BytesPerToken),
        };
    }

    public override string ToString() => string.Create(CultureInfo.InvariantCulture,
        $"cost {Cost}{(DecodeCost is null ? "" : $"; decode {DecodeCost}")}; chunks of {ChunkedPrefillSize}, {MaxRunningRequests} running, {CellCount} KV cells a rank");
}
