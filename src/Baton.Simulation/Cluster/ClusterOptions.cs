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
    public SimulatedEngineOptions PrefillEngine { get; init; } = new();
    public SimulatedEngineOptions DecodeEngine { get; init; } = new();
    public SchedulerOptions PrefillScheduler { get; init; } = new();
    public SchedulerOptions DecodeScheduler { get; init; } = new();
    public NetworkOptions Network { get; init; } = new();
    /// <summary>Payload bytes under way on one KV link.</summary>
    public long WindowBytes { get; init; } = 64L << 20;
    public TimeSpan ResolveTimeout { get; init; } = TimeSpan.FromSeconds(300);
}
