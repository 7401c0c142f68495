namespace Baton.Simulation.Fitting;

/// <summary>One measured time and what the engine did in it. The cost model is linear in these counts.</summary>
/// <param name="Ms">Measured.</param>
/// <param name="Steps">Steps in it.</param>
/// <param name="PromptTokens">Prompt tokens computed.</param>
/// <param name="PromptPairs">Sum over those of the positions before each.</param>
/// <param name="Rows">Decode rows.</param>
/// <param name="RowPositions">Sum over the rows of the positions before each.</param>
/// <param name="Requests">1 for a time to first token, which the way there and back is part of; 0 for a gap.</param>
internal readonly record struct StepSample(double Ms, double Steps, double PromptTokens, double PromptPairs, double Rows, double RowPositions, double Requests);

/// <summary>Finds the times in a measurement whose steps are known.</summary>
internal static class StepSamples
{
    /// <summary>Times to first token of requests that met no other: every step in them computed a chunk of that prompt.</summary>
    public static IEnumerable<StepSample> OfPrompts(BenchRun run, int chunk)
    {
        foreach (BenchSample one in run.Samples)
        {
            bool isAlone = run.Samples.All(other => ReferenceEquals(one, other) || other.Start >= one.FirstToken || (run.IsDisaggregated ? other.FirstToken : other.End) <= one.Start);
            if (!isAlone) continue;
            double tokens = one.PromptTokens;
            yield return new StepSample((one.FirstToken - one.Start) * 1000, Math.Ceiling(tokens / chunk), tokens, tokens * (tokens - 1) / 2, 0, 0, 1);
        }
    }

    /// <summary>Gaps between tokens while nobody computed a prompt: each is one step, with a row for every answer that was under way in its middle.</summary>
    public static IEnumerable<StepSample> OfGaps(BenchRun run)
    {
        BenchSample[] byStart = [.. run.Samples.OrderBy(sample => sample.Start)];
        foreach (BenchSample one in byStart)
        {
            double from = one.FirstToken;
            foreach (double gap in one.Gaps)
            {
                if (Step(run, byStart, from, from + gap) is { } sample) yield return sample;
                from += gap;
            }
        }
    }

    private static StepSample? Step(BenchRun run, BenchSample[] byStart, double from, double to)
    {
        double middle = (from + to) / 2;
        int rows = 0;
        double positions = 0;
        foreach (BenchSample other in byStart)
        {
            if (other.Start >= to) break;
            if (!run.IsDisaggregated && other.FirstToken > from) return null; // a prompt shares the step
            if (other.FirstToken > middle || other.End < middle) continue;
            rows++;
            positions += other.PromptTokens + TokensBy(other, middle) - 1;
        }
        return new StepSample((to - from) * 1000, 1, 0, 0, rows, positions, 0);
    }

    private static int TokensBy(BenchSample sample, double at)
    {
        int tokens = 1;
        double when = sample.FirstToken;
        foreach (double gap in sample.Gaps)
        {
            when += gap;
            if (when > at) break;
            tokens++;
        }
        return tokens;
    }
}
