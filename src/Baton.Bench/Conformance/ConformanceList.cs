namespace Baton.Bench.Conformance;

/// <summary>The conformance list of a PD router, run by the tests and by <c>baton conformance</c> alike.</summary>
public static class ConformanceList
{
    public static IReadOnlyList<ConformanceCheck> All { get; } =
        [.. BodyChecks.All.Concat(SampleChecks.All).Concat(CouplingChecks.All).Concat(TroubleChecks.All).Concat(ControlChecks.All).OrderBy(c => c.Id, StringComparer.Ordinal)];
}
