using System.Collections.Immutable;

namespace Baton.Simulation.Ttft;

/// <summary>The measurement of SGLang's pull request #14726: 4 prefill ranks, prompts of 3,500 tokens, 5 output tokens, 200 requests.</summary>
/// <param name="RequestsPerSecond">Infinity: all at once.</param>
/// <param name="BaselineMs">Mean TTFT with the prefill rank tied to the room.</param>
/// <param name="BalancedMs">Mean TTFT with the rank chosen by the dispatcher.</param>
public sealed record PublishedRow(double RequestsPerSecond, double BaselineMs, double BalancedMs)
{
    /// <summary>In percent of the baseline.</summary>
    public double Reduction => 100 * (1 - BalancedMs / BaselineMs);

    public static readonly ImmutableArray<PublishedRow> All =
    [
        new(1, 1860.30, 1432.17),
        new(2, 3896.73, 2669.39),
        new(2.6, 5976.88, 3854.59),
        new(3.2, 10446.72, 4816.37),
        new(4, 15599.93, 12293.58),
        new(double.PositiveInfinity, 37264.81, 37184.89),
    ];
}
