namespace Baton.Bench.Figures;

/// <summary>An estimate with its 95 % confidence interval.</summary>
public readonly record struct Estimate(double Value, double Low, double High)
{
    /// <summary>The interval leaves out <paramref name="value"/>: the difference is more than chance.</summary>
    public bool Excludes(double value) => value < Low || value > High;
}

/// <summary>Percentile bootstrap over pairs: the same request, answered by A and by B.</summary>
/// <remarks>Pairs are drawn with replacement, whole, so what makes a request slow on both sides cancels out.</remarks>
public static class BootstrapInterval
{
    /// <summary>Statistic of B over statistic of A.</summary>
    /// <param name="a">One value a pair, in the order of <paramref name="b"/>.</param>
    /// <param name="statistic">Of sorted values, such as the mean or a percentile.</param>
    /// <exception cref="ArgumentException">The sides are empty or differ in length.</exception>
    public static Estimate Ratio(double[] a, double[] b, Func<Distribution, double> statistic, Random random, int resamples = 2000) =>
        Of(a, b, (left, right) => statistic(right) / statistic(left), random, resamples);

    /// <summary>Statistic of B minus statistic of A.</summary>
    public static Estimate Difference(double[] a, double[] b, Func<Distribution, double> statistic, Random random, int resamples = 2000) =>
        Of(a, b, (left, right) => statistic(right) - statistic(left), random, resamples);

    private static Estimate Of(double[] a, double[] b, Func<Distribution, Distribution, double> compare, Random random, int resamples)
    {
        if (a.Length == 0 || a.Length != b.Length) throw new ArgumentException($"{a.Length} and {b.Length} values are no pairs.");
        double[] left = new double[a.Length];
        double[] right = new double[a.Length];
        double[] drawn = new double[resamples];
        for (int round = 0; round < resamples; round++)
        {
            for (int i = 0; i < a.Length; i++)
            {
                int pick = random.Next(a.Length);
                left[i] = a[pick];
                right[i] = b[pick];
            }
            drawn[round] = compare(new Distribution(left), new Distribution(right));
        }
        Distribution spread = new(drawn.Where(value => !double.IsNaN(value)));
        return new Estimate(compare(new Distribution(a), new Distribution(b)), spread.Percentile(2.5), spread.Percentile(97.5));
    }
}
