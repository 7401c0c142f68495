using Baton.Core.Engine.Simulated;
using Baton.Core.Ranks;
using Baton.Simulation.Cluster;
using Baton.Simulation.Workloads;

namespace Baton.Simulation.Ttft;

/// <summary>One experiment: the same arrivals under every dispatch method.</summary>
public sealed record TtftSettings
{
    public const int PromptTokens = 3500;

    public StepModel Steps { get; init; } = StepModel.Lockstep;
    public LengthDistribution Lengths { get; init; } = new LengthDistribution.Fixed(PromptTokens);
    public PrefillCost Cost { get; init; } = PrefillCost.Published;
    /// <summary>An engine's own costs, such as fitted ones, instead of <see cref="Cost"/>, whose prompts of a step still bound lockstep steps.</summary>
    public CostModel? Engine { get; init; }
    public IReadOnlyList<double> Rates { get; init; } = [.. PublishedRow.All.Select(row => row.RequestsPerSecond)];
    public int Ranks { get; init; } = 4;
    public int Requests { get; init; } = 200;
    public int OutputTokens { get; init; } = 5;
    public int ArrivalSeeds { get; init; } = 20;
    public ulong Seed { get; init; } = 1;
    /// <summary>Real tokens that one simulated token stands for. Costs grow with it, so times stay; lengths are rounded to it.</summary>
    public int TokenScale { get; init; } = 50;

    /// <summary>The oracle is the null method.</summary>
    public static readonly IReadOnlyList<LoadBalanceMethod?> Methods =
    [
        LoadBalanceMethod.FollowBootstrapRoom, LoadBalanceMethod.RoundRobin, LoadBalanceMethod.TotalRequests, LoadBalanceMethod.TotalTokens,
        LoadBalanceMethod.LeastWork, null,
    ];

    public static string NameOf(LoadBalanceMethod? method) => method?.WireName ?? "oracle";
}
