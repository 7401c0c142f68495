using Baton.Core.Engine.Simulated;
using Baton.Core.Ranks;
using Baton.Scheduling;
using Baton.Simulation.Network;

namespace Baton.Simulation.Cluster;

/// <summary>How the ranks of a prefill worker step.</summary>
public enum StepModel
{
    /// <summary>Each on its own: plain data parallelism.</summary>
    Independent,
    /// <summary>All together: attention data parallelism.</summary>
    Lockstep,
}

/// <summary>A cluster to simulate.</summary>
public sealed record ClusterOptions
{
    public int PrefillWorkers { get; init; } = 1;
    public int PrefillDpSize { get; init; } = 4;
    public int DecodeWorkers { get; init; } = 1;
    public int DecodeDpSize { get; init; } = 1;
    /// <summary>Null is the oracle: one central queue, from which a rank takes its next prompt when it has nothing left to compute.</summary>
    public LoadBalanceMethod? PrefillMethod { get; init; } = LoadBalanceMethod.LeastWork;
    public LoadBalanceMethod DecodeMethod { get; init; } = LoadBalanceMethod.LeastWork;
    public StepModel PrefillSteps { get; init; }
    /// <summary>The router chooses ranks as well as workers.</summary>
    public bool RouterPinsRanks { get; init; }
    public bool ForceQuery { get; init; }
    /// <summary>When one leg fails the router cancels the other, as Baton's does. SGLang's balancers leave it to its own deadline.</summary>
    public bool RouterCancelsLegs { get; init; } = true;
    public SimulatedEngineOptions PrefillEngine { get; init; } = new();
    public SimulatedEngineOptions DecodeEngine { get; init; } = new();
    public SchedulerOptions PrefillScheduler { get; init; } = new();
    public SchedulerOptions DecodeScheduler { get; init; } = new();
    public NetworkOptions Network { get; init; } = new();
    /// <summary>Payload bytes under way on one KV link.</summary>
    public long WindowBytes { get; init; } = 64L << 20;
    public TimeSpan ResolveTimeout { get; init; } = TimeSpan.FromSeconds(300);
    public ClusterBounds Bounds { get; init; } = new();
}

/// <summary>Bounds of queues and tables, as the product has them; a checker makes them small.</summary>
public sealed record ClusterBounds
{
    /// <summary>Rooms that the resolver of one decode worker looks for at the same time.</summary>
    public int PendingRooms { get; init; } = 100_000;
    /// <summary>Claims that one prefill rank keeps for requests that have not come.</summary>
    public int EarlyClaims { get; init; } = 8192;
    /// <summary>Ended rooms that one prefill rank remembers.</summary>
    public int EndedRooms { get; init; } = 65_536;
    /// <summary>Rooms that one prefill worker tells its bootstrap server about at the same time.</summary>
    public int RegisteredRooms { get; init; } = 100_000;
    /// <summary>Entries of a bootstrap server's room table.</summary>
    public int TableRooms { get; init; } = 2_000_000;
    /// <summary>Frames that wait in front of one rank; the links stop reading when they are used up.</summary>
    public int InboxFrames { get; init; } = 16_384;
}
