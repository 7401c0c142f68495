using Baton.Simulation.Figures;
using Baton.Simulation.Workloads;

namespace Baton.Simulation.Capacity;

/// <summary>What a capacity search is asked.</summary>
public sealed record CapacityQuestion
{
    public required Deployment Deployment { get; init; }
    /// <summary>Each is played on a cluster of its own; attainment is over all of them.</summary>
    public required IReadOnlyList<Workload> Workloads { get; init; }
    public required ServiceGoals Goals { get; init; }
    /// <summary>Largest cluster to consider, prefill and decode ranks together.</summary>
    public int MaxRanks { get; init; } = 32;
    /// <summary>Ranks of one worker at most.</summary>
    public int MaxDpSize { get; init; } = 8;
    public ulong Seed { get; init; } = 1;
    /// <summary>Virtual time that one run may take.</summary>
    public required TimeSpan Limit { get; init; }

    /// <summary>Long enough that a request which is still open at the end has missed its goals: an overloaded cluster is not run to its end.</summary>
    public static TimeSpan LimitOf(IReadOnlyList<Workload> workloads, ServiceGoals goals)
    {
        // In a closed loop the ends decide when the last request is sent.
        if (workloads.Any(workload => workload.Concurrency > 0 || workload.Requests.Any(request => request.Conversation >= 0))) return TimeSpan.FromDays(7);
        TimeSpan last = workloads.Max(workload => workload.Requests[^1].ArrivesAt);
        int longest = workloads.Max(workload => workload.Requests.Max(request => request.OutputTokens));
        if (goals.Ttft is not { } ttft || goals.Itl is not { } itl) return TimeSpan.FromDays(7);
        return last + ttft + longest * itl;
    }
}

/// <summary>One cluster that was tried.</summary>
public sealed record CapacityTrial(Split Split, ClusterFigures Figures, bool Holds);
