using Baton.Core.Ranks;

namespace Baton.Simulation.Ttft;

/// <summary>Finds the lockstep costs that best explain the published baseline column, without looking at the other one.</summary>
public static class PublishedFit
{
    /// <param name="Error">Root mean square of ln(simulated / published) over the rates.</param>
    public sealed record Candidate(PrefillCost Cost, double Error, IReadOnlyList<double> BaselineMs);

    private static readonly int[] PromptsPerStep = [1, 2, 4, 8, 11, 16];

    /// <summary>A pattern search over the two times for each step size; the best first.</summary>
    /// <param name="settings">Seeds, scale and request count of the runs; costs and methods are the search's own.</param>
    public static IReadOnlyList<Candidate> Run(TtftSettings settings, CancellationToken ct = default) =>
        [.. PromptsPerStep.Select(prompts => Search(settings, prompts, ct)).OrderBy(found => found.Error)];

    private static Candidate Search(TtftSettings settings, int promptsPerStep, CancellationToken ct)
    {
        Candidate best = Try(settings, new PrefillCost(0.9, 0.4, promptsPerStep), ct);
        for (double factor = 1.3; factor > 1.04; factor = 1 + (factor - 1) / 2)
        {
            for (bool isBetter = true; isBetter;)
            {
                isBetter = false;
                foreach ((double prompt, double step) in new[] { (factor, 1), (1 / factor, 1), (1, factor), (1, 1 / factor), (factor, 1 / factor), (1 / factor, factor) })
                {
                    PrefillCost cost = best.Cost with { SecondsPerPrompt = best.Cost.SecondsPerPrompt * prompt, SecondsPerStep = best.Cost.SecondsPerStep * step };
                    Candidate next = Try(settings, cost, ct);
                    if (next.Error >= best.Error) continue;
                    (best, isBetter) = (next, true);
                }
            }
        }
        return best;
    }

    private static Candidate Try(TtftSettings settings, PrefillCost cost, CancellationToken ct)
    {
        double[] means = new double[PublishedRow.All.Length];
        Parallel.For(0, means.Length, new ParallelOptions { MaxDegreeOfParallelism = Environment.ProcessorCount, CancellationToken = ct }, i =>
            means[i] = TtftExperiment.RunCell(
                settings with { Cost = cost, Steps = Cluster.StepModel.Lockstep }, PublishedRow.All[i].RequestsPerSecond, LoadBalanceMethod.FollowBootstrapRoom, ct).MeanMs);
        double sum = 0;
        for (int i = 0; i < means.Length; i++)
        {
            double error = Math.Log(means[i] / PublishedRow.All[i].BaselineMs);
            sum += error * error;
        }
        return new Candidate(cost, Math.Sqrt(sum / means.Length), means);
    }
}
