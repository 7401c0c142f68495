using System.Collections.Concurrent;

namespace Baton.Simulation.Swarm;

/// <summary>Many plans, on all cores; each run has one thread of its own.</summary>
public static class SwarmSweep
{
    /// <param name="first">First seed.</param>
    /// <param name="last">Last seed, included.</param>
    /// <param name="stopAtViolation">Leave out the seeds behind the first that is bad.</param>
    /// <returns>Outcomes in order of their seeds.</returns>
    public static IReadOnlyList<SwarmOutcome> Run(ulong first, ulong last, Plant plant = Plant.None, bool stopAtViolation = false, CancellationToken ct = default) =>
        Run((int)(last - first + 1), i => SwarmPlan.Draw(first + (ulong)i), plant, stopAtViolation, ct);

    /// <param name="plan">Makes one plan; called from any thread.</param>
    public static IReadOnlyList<SwarmOutcome> Run(int count, Func<int, SwarmPlan> plan, Plant plant = Plant.None, bool stopAtViolation = false, CancellationToken ct = default)
    {
        SwarmOutcome?[] outcomes = new SwarmOutcome?[count];
        ParallelOptions parallel = new() { MaxDegreeOfParallelism = Environment.ProcessorCount, CancellationToken = ct };
        // One by one and not in stretches: with stopAtViolation nobody runs far ahead.
        Parallel.ForEach(Partitioner.Create(Enumerable.Range(0, count), EnumerablePartitionerOptions.NoBuffering), parallel, (i, state) =>
        {
            if (state.ShouldExitCurrentIteration) return;
            SwarmOutcome outcome = SwarmRun.Run(plan(i), plant);
            outcomes[i] = outcome;
            if (stopAtViolation && outcome.Violation is not null) state.Break();
        });
        return [.. outcomes.OfType<SwarmOutcome>()];
    }
}
