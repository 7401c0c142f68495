using Baton.Simulation.Cluster;

namespace Baton.Simulation.Figures;

/// <summary>What users are promised.</summary>
/// <param name="Ttft">Bound on the time from arrival to first token; null for none.</param>
/// <param name="Itl">Bound on every gap between two tokens of an answer; null for none.</param>
/// <param name="Attainment">Share of requests that must be inside both, in (0, 1].</param>
public sealed record ServiceGoals(TimeSpan? Ttft, TimeSpan? Itl, double Attainment)
{
    /// <summary>The request ended well and inside both bounds, as <c>baton bench</c> counts goodput.</summary>
    public bool Holds(RequestRecord record) =>
        record is { EndedAt: not null, Failure: null, Ttft: { } ttft } && (Ttft is not { } first || ttft <= first) && (Itl is not { } gap || record.WorstGap <= gap);
}
