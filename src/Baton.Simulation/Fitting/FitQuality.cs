namespace Baton.Simulation.Fitting;

/// <summary>How well a fit explains one kind of times.</summary>
/// <param name="Used">Samples that the fit rests on.</param>
/// <param name="Strays">Samples left out as strays.</param>
/// <param name="MeanErrorPercent">Mean of |measured - fitted|, of the mean of what was measured.</param>
/// <param name="P90ErrorPercent">What |measured - fitted| exceeds in one sample of ten, of the same mean.</param>
/// <param name="Rows">Measured and fitted means, by prompt length or by batch size.</param>
public sealed record FitQuality(int Used, int Strays, double MeanErrorPercent, double P90ErrorPercent, IReadOnlyList<FitRow> Rows)
{
    private const int MostRows = 12;

    /// <param name="key">Samples with equal or neighbouring keys become a row.</param>
    /// <param name="parts">Of how many things the sample is the sum; rows show the mean of one.</param>
    internal static FitQuality Of(List<StepSample> used, int all, double[] costs, Func<StepSample, double> key, Func<StepSample, double> parts)
    {
        double mean = used.Average(sample => sample.Ms);
        double[] errors = [.. used.Select(sample => 100 * Math.Abs(sample.Ms - CostFit.Predict(sample, costs)) / mean).Order()];
        StepSample[] sorted = [.. used.OrderBy(key)];
        List<FitRow> rows = [];
        // Groups of equal size, except that equal keys stay together.
        int size = Math.Max(1, sorted.Length / MostRows);
        for (int start = 0; start < sorted.Length;)
        {
            int end = Math.Min(start + size, sorted.Length);
            while (end < sorted.Length && key(sorted[end]).Equals(key(sorted[end - 1]))) end++;
            StepSample[] group = sorted[start..end];
            double count = group.Sum(parts);
            rows.Add(new FitRow(group.Average(key), group.Length, group.Sum(sample => sample.Ms) / count, group.Sum(sample => CostFit.Predict(sample, costs)) / count));
            start = end;
        }
        return new FitQuality(used.Count, all - used.Count, errors.Average(), errors[(int)(0.9 * (errors.Length - 1))], rows);
    }
}

/// <summary>Samples that are alike.</summary>
/// <param name="Key">Mean prompt length, or mean batch size.</param>
public sealed record FitRow(double Key, int Samples, double MeasuredMs, double FittedMs);
