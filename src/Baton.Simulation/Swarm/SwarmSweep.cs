namespace Baton.Simulation.Swarm;

/// <summary>Many seeds, on all cores; each run has one thread of its own.</summary>
public static class SwarmSweep
{
    /// <param name="first">First seed.</param>
    /// <param name="last">Last seed, included.</param>
    /// <param name="stopAtViolation">Leave out the seeds behind the first that is bad.</param>
    /// <returns>Outcomes in order of their seeds.</returns>
    public static IReadOnlyList<SwarmOutcome> Run(ulong first, ulong last, Plant plant = Plant.None, bool stopAtViolation = false, CancellationToken ct = default)
    {
        SwarmOutcome?[] outcomes = new SwarmOutcome?[last - first + 1];
        ParallelOptions parallel = new() { MaxDegreeOfParallelism = Environment.ProcessorCount, CancellationToken = ct };
        Parallel.For(0, outcomes.Length, parallel, (i, state) =>
        {
            if (state.ShouldExitCurrentIteration) return;
            SwarmOutcome outcome = SwarmRun.Run(first + (ulong)i, plant);
            outcomes[i] = outcome;
            if (stopAtViolation && outcome.Violation is not null) state.Break();
        });
        return [.. outcomes.OfType<SwarmOutcome>()];
    }
}
