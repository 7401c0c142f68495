namespace Baton.Simulation.Fitting;

/// <summary>How well a fit explains one kind of times.</summary>
/// <param name="Used">Samples that the fit rests on.</param>
/// <param name="Strays">Samples left out as strays.</param>
/// <param name="MeanErrorPercent">Mean of |measured - fitted| / measured.</param>
/// <param name="P90ErrorPercent">The same exceeded by one sample in ten.</param>
/// <param name="Rows">Measured and fitted means, by prompt length or by batch size.</param>
public sealed record FitQuality(int Used, int Strays, double MeanErrorPercent, double P90ErrorPercent, IReadOnlyList<FitRow> Rows)
{
    private const int MostRows = 12;

    internal static FitQuality Of(List<StepSample> used, int all, double[] costs, Func<StepSample, double> key)
    {
        double[] errors = [.. used.Select(sample => 100 * Math.Abs(sample.Ms - CostFit.Predict(sample, costs)) / sample.Ms).Order()];
        StepSample[] sorted = [.. used.OrderBy(key)];
        List<FitRow> rows = [];
        // Groups of equal size, except that equal keys stay together.
        int size = Math.Max(1, sorted.Length / MostRows);
        for (int start = 0; start < sorted.Length;)
        {
            int end = Math.Min(start + size, sorted.Length);
            while (end < sorted.Length && key(sorted[end]).Equals(key(sorted[end - 1]))) end++;
            StepSample[] group = sorted[start..end];
            rows.Add(new FitRow(group.Average(key), group.Length, group.Average(sample => sample.Ms), group.Average(sample => CostFit.Predict(sample, costs))));
            start = end;
        }
        return new FitQuality(used.Count, all - used.Count, errors.Average(), errors[(int)(0.9 * (errors.Length - 1))], rows);
    }
}

/// <summary>Samples that are alike.</summary>
/// <param name="Key">Mean prompt length, or mean batch size.</param>
public sealed record FitRow(double Key, int Samples, double MeasuredMs, double FittedMs);
