using Baton.Core.Engine.Simulated;

namespace Baton.Simulation.Fitting;

/// <summary>Finds the cost model that best explains measurements of a real engine.</summary>
/// <remarks>
/// Two kinds of times are used whose steps are known: times to first token of requests that were alone, and gaps between tokens while nobody
/// computed a prompt. Both are linear in the model's costs, so one least-squares problem gives all of them at once, and what a request takes
/// outside of the engine. A few stray times (a pause of the machine) are left out: those more than four typical errors off, three times over.
/// </remarks>
public static class CostFit
{
    private const int MostGaps = 20_000;
    private const double OutlierErrors = 4;

    /// <param name="files">Names and contents of <c>baton bench --output-file FILE --output-details</c>.</param>
    /// <param name="chunkedPrefillSize">Of the measured engine; null takes what the server told.</param>
    /// <exception cref="FormatException">The measurements do not say enough; the text says which run is missing.</exception>
    public static FittedCost Fit(IReadOnlyList<(string Name, TextReader Lines)> files, int? chunkedPrefillSize = null)
    {
        BenchRun[] runs = [.. files.SelectMany(file => BenchRun.Read(file.Name, file.Lines))];
        List<StepSample> prompts = [], gaps = [];
        int chunk = 0;
        foreach (BenchRun run in runs)
        {
            chunk = chunkedPrefillSize ?? run.ChunkedPrefillSize ?? throw new FormatException($"{run.Name}: the server did not tell its chunk size. Give --chunked-prefill-size.");
            prompts.AddRange(StepSamples.OfPrompts(run, chunk));
            gaps.AddRange(StepSamples.OfGaps(run));
        }
        RequireEnough(prompts, gaps);
        // Every k-th of very many: neighbours say the same.
        int every = (gaps.Count + MostGaps - 1) / MostGaps;
        if (every > 1) gaps = [.. gaps.Where((_, i) => i % every == 0)];
        return Fit(prompts, gaps, chunk, [.. files.Select(file => file.Name)]);
    }

    private static void RequireEnough(List<StepSample> prompts, List<StepSample> gaps)
    {
        int lengths = prompts.Select(sample => sample.PromptTokens).Distinct().Count();
        if (lengths < 3)
        {
            throw new FormatException($"{prompts.Count} requests of {lengths} different prompt lengths met no other request on their way to the first token; 3 lengths are needed. "
                + "Add a run with --max-concurrency 1, --dataset-name random-ids and --random-range-ratio 0.");
        }
        int batches = gaps.Select(sample => sample.Rows / sample.Steps).Distinct().Count();
        if (batches < 2)
        {
            throw new FormatException($"{gaps.Count} gaps between tokens, with {batches} different batch sizes, were free of prompts; 2 sizes are needed. "
                + "Add runs with several values of --max-concurrency and long answers (--random-output-len 128).");
        }
    }

    private static FittedCost Fit(List<StepSample> prompts, List<StepSample> gaps, int chunk, string[] sources)
    {
        List<StepSample> keptPrompts = prompts, keptGaps = gaps;
        double[] costs = Solve(keptPrompts, keptGaps);
        for (int round = 0; round < 3; round++)
        {
            keptPrompts = WithoutStrays(prompts, costs);
            keptGaps = WithoutStrays(gaps, costs);
            costs = Solve(keptPrompts, keptGaps);
        }
        return new FittedCost
        {
            Cost = new CostModel { FixedMs = Round(costs[0]), PromptTokenMs = Round(costs[1]), AttentionMs = Round(costs[2]), RowMs = Round(costs[3]), RowContextMs = Round(costs[4]), CopyTokenMs = 0 },
            OverheadMs = Round(costs[5]),
            ChunkedPrefillSize = chunk,
            Sources = sources,
            Prompts = FitQuality.Of(keptPrompts, prompts.Count, costs, sample => sample.PromptTokens, _ => 1),
            Gaps = FitQuality.Of(keptGaps, gaps.Count, costs, sample => sample.Rows / sample.Steps, sample => sample.Steps),
        };
    }

    /// <summary>Both kinds count the same, however many samples and however long the times of either.</summary>
    private static double[] Solve(List<StepSample> prompts, List<StepSample> gaps)
    {
        StepSample[] all = [.. prompts, .. gaps];
        double promptWeight = 1 / prompts.Sum(sample => sample.Ms * sample.Ms), gapWeight = 1 / gaps.Sum(sample => sample.Ms * sample.Ms);
        return LeastSquares.SolveNonNegative([.. all.Select(Counts)], [.. all.Select(sample => sample.Ms)], [.. all.Select(sample => sample.Requests > 0 ? promptWeight : gapWeight)]);
    }

    private static List<StepSample> WithoutStrays(List<StepSample> samples, double[] costs)
    {
        double[] errors = [.. samples.Select(sample => Math.Abs(sample.Ms - Predict(sample, costs))).Order()];
        // 1.4826 makes the median of absolute errors a standard deviation, for normal errors; a fit without any error keeps everything.
        double limit = Math.Max(OutlierErrors * 1.4826 * errors[errors.Length / 2], 1e-6);
        return [.. samples.Where(sample => Math.Abs(sample.Ms - Predict(sample, costs)) <= limit)];
    }

    internal static double Predict(in StepSample sample, double[] costs)
    {
        double[] counts = Counts(sample);
        double sum = 0;
        for (int i = 0; i < counts.Length; i++) sum += counts[i] * costs[i];
        return sum;
    }

    private static double[] Counts(StepSample sample) => [sample.Steps, sample.PromptTokens, sample.PromptPairs, sample.Rows, sample.RowPositions, sample.Requests];

    // Six digits: more than any measurement has, and readable.
    private static double Round(double value) => value == 0 ? 0 : double.Parse(value.ToString("G6", System.Globalization.CultureInfo.InvariantCulture), System.Globalization.CultureInfo.InvariantCulture);
}
