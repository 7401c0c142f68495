using Baton.Core.Engine.Simulated;
using Baton.Core.Randomness;
using Baton.Core.Ranks;
using Baton.Scheduling;
using Baton.Simulation.Cluster;
using Baton.Simulation.Faults;
using Baton.Simulation.Network;
using Baton.Simulation.Workloads;

namespace Baton.Simulation.Swarm;

/// <summary>Everything about one run, drawn from its seed: cluster, traffic and faults.</summary>
public sealed record SwarmPlan(ulong Seed, ClusterOptions Cluster, Workload Workload, IReadOnlyList<Fault> Faults)
{
    /// <summary>Nothing goes wrong and nothing is scarce: then no request may fail.</summary>
    public bool IsCalm { get; init; }

    /// <summary>By then every request has to have ended. Virtual time.</summary>
    public TimeSpan Limit { get; init; } = TimeSpan.FromSeconds(900);

    /// <summary>Every fault ends, so the cluster has to be well again afterwards.</summary>
    public bool IsHealed => Faults.All(fault => fault.IsHealed) && Faults.Count(fault => fault is Fault.Kill) == Faults.Count(fault => fault is Fault.Restart);

    public static SwarmPlan Draw(ulong seed)
    {
        SeededRandom random = new(seed);
        bool isCalm = random.NextBool(0.3);
        ClusterOptions cluster = DrawCluster(random.Fork(1), isCalm);
        Workload workload = DrawWorkload(random.Fork(2), cluster, isCalm, seed);
        IReadOnlyList<Fault> faults = isCalm ? [] : new FaultDraw(random.Fork(3), cluster, workload).Draw();
        return new SwarmPlan(seed, cluster, workload, faults) { IsCalm = isCalm };
    }

    private static ClusterOptions DrawCluster(SeededRandom random, bool isCalm)
    {
        int chunk = random.NextBetween(4, 32);
        int context = random.NextBetween(80, 300);
        SimulatedEngineOptions prefill = new()
        {
            VocabSize = 1000,
            ContextTokens = context,
            CellCount = isCalm ? 100_000 : random.NextBetween(context, 3 * context),
            MaxSequences = isCalm ? 256 : random.NextBetween(1, 8),
            MaxBatchTokens = 512,
            Cost = new CostModel { FixedMs = random.NextBetween(1, 10), PromptTokenMs = random.NextBetween(1, 20) * 0.05, RowMs = 0.1, CopyTokenMs = 0.001 },
        };
        SimulatedEngineOptions decode = prefill with
        {
            CellCount = isCalm ? 100_000 : random.NextBetween(context, 3 * context),
            MaxSequences = isCalm ? 256 : random.NextBetween(1, 8),
        };
        SchedulerOptions scheduler = new()
        {
            ChunkedPrefillSize = chunk,
            ReservedDecodeTokens = random.NextBetween(1, 40),
            MaxQueuedRequests = isCalm ? 1000 : random.NextBetween(4, 60),
            QueueTimeout = isCalm ? TimeSpan.FromSeconds(600) : TimeSpan.FromSeconds(random.NextBetween(5, 30)),
            BootstrapTimeout = isCalm ? TimeSpan.FromSeconds(300) : TimeSpan.FromSeconds(random.NextBetween(5, 20)),
            WaitingTimeout = isCalm ? TimeSpan.FromSeconds(300) : TimeSpan.FromSeconds(random.NextBetween(5, 20)),
            MaxUnclaimedCellShare = random.NextBetween(0, 10) / 10.0,
            MaxExportsPerStep = random.NextBetween(1, 8),
            MaxImportsPerStep = random.NextBetween(1, 8),
        };
        LoadBalanceMethod[] methods = Enum.GetValues<LoadBalanceMethod>();
        return new ClusterOptions
        {
            PrefillWorkers = random.NextBetween(1, 2),
            PrefillDpSize = random.NextBetween(1, 4),
            DecodeWorkers = random.NextBetween(1, 2),
            DecodeDpSize = random.NextBetween(1, 3),
            PrefillMethod = methods[random.NextInt32(methods.Length)],
            DecodeMethod = random.NextBool(0.5) ? LoadBalanceMethod.LeastWork : LoadBalanceMethod.RoundRobin,
            PrefillSteps = random.NextBool(0.2) ? StepModel.Lockstep : StepModel.Independent,
            RouterPinsRanks = random.NextBool(0.4),
            ForceQuery = random.NextBool(0.2),
            RouterCancelsLegs = isCalm || random.NextBool(0.6),
            PrefillEngine = prefill,
            DecodeEngine = decode,
            PrefillScheduler = scheduler,
            DecodeScheduler = scheduler,
            Network = new NetworkOptions
            {
                Latency = TimeSpan.FromMicroseconds(random.NextBetween(20, 5000)),
                BytesPerSecond = random.NextBool(0.5) ? double.PositiveInfinity : random.NextBetween(200_000, 5_000_000),
                CarriesBytes = true,
            },
            // A window of a few chunks, so that it is full now and then.
            WindowBytes = random.NextBetween(2, 6) * chunk * SimulatedEngine.BytesPerToken,
            ResolveTimeout = isCalm ? TimeSpan.FromSeconds(300) : TimeSpan.FromSeconds(random.NextBetween(5, 20)),
            Bounds = isCalm ? new ClusterBounds() : DrawBounds(random.Fork(4)),
        };
    }

    /// <summary>Small ones in half of the runs, so that they are reached.</summary>
    private static ClusterBounds DrawBounds(SeededRandom random) => random.NextBool(0.5) ? new ClusterBounds() : new ClusterBounds
    {
        PendingRooms = random.NextBetween(1, 20),
        EarlyClaims = random.NextBetween(1, 20),
        EndedRooms = random.NextBetween(1, 50),
        RegisteredRooms = random.NextBetween(2, 40),
        TableRooms = random.NextBetween(2, 40),
        InboxFrames = random.NextBetween(1, 50),
    };

    private static Workload DrawWorkload(SeededRandom random, ClusterOptions cluster, bool isCalm, ulong seed)
    {
        int longest = cluster.PrefillEngine.ContextTokens;
        LengthDistribution prompts = new LengthDistribution.Uniform(1, isCalm ? longest / 2 : longest + 5);
        LengthDistribution outputs = new LengthDistribution.Uniform(1, isCalm ? longest / 3 : 60);
        return Workload.Draw(random.NextBetween(5, 50), new ArrivalProcess.Poisson(random.NextBetween(2, 40)), prompts, outputs, seed);
    }
}
