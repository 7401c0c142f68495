namespace Baton.Simulation.Fitting;

/// <summary>One measured time and what the engine did in it. The cost model is linear in these counts.</summary>
/// <param name="Ms">Measured.</param>
/// <param name="Steps">Steps in it.</param>
/// <param name="PromptTokens">Prompt tokens computed.</param>
/// <param name="PromptPairs">Sum over those of the positions before each.</param>
/// <param name="Rows">Decode rows.</param>
/// <param name="RowPositions">Sum over the rows of the positions before each.</param>
/// <param name="Requests">1 for a time to first token, which the way there and back is part of; 0 for a gap.</param>
internal readonly record struct StepSample(double Ms, double Steps, double PromptTokens, double PromptPairs, double Rows, double RowPositions, double Requests)
{
    public static StepSample operator +(in StepSample a, in StepSample b) => new(
        a.Ms + b.Ms, a.Steps + b.Steps, a.PromptTokens + b.PromptTokens, a.PromptPairs + b.PromptPairs, a.Rows + b.Rows, a.RowPositions + b.RowPositions, a.Requests + b.Requests);
}

/// <summary>Finds the times in a measurement whose steps are known.</summary>
internal static class StepSamples
{
    /// <summary>Steps of one sample of gaps at most.</summary>
    private const int MostSteps = 16;

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
    /// <returns>Neighbouring gaps of one answer and the same batch size as one sample. Alone they say little: what waited somewhere for a
    /// thread comes together, and then one gap holds several steps and the next ones nothing.</returns>
    public static IEnumerable<StepSample> OfGaps(BenchRun run)
    {
        BenchSample[] byStart = [.. run.Samples.OrderBy(sample => sample.Start)];
        foreach (BenchSample one in byStart)
        {
            double from = one.FirstToken;
            StepSample sum = default;
            foreach (double gap in one.Gaps)
            {
                StepSample? step = Step(run, byStart, from, from + gap);
                from += gap;
                bool continues = step is { } same && same.Rows * sum.Steps == sum.Rows && sum.Steps < MostSteps;
                if (!continues && sum.Steps > 0) yield return sum;
                sum = continues ? sum + step!.Value : step ?? default;
            }
            if (sum.Steps > 0) yield return sum;
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
