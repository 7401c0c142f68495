namespace Baton.Bench.Figures;

/// <summary>Finds where latency begins to pay for load: the point of a rising curve farthest below the chord from its first to its last point.</summary>
/// <remarks>
/// The "kneedle" rule, on both axes scaled to [0, 1]. Straight lines have none, and neither has a curve whose rise may be noise: scaling alone
/// would make a bend of any difference.
/// </remarks>
public static class Knee
{
    /// <summary>What the generator's own lateness may be (see <c>BenchOutcome.LatenessLimit</c>): a smaller rise is not the server's.</summary>
    public const double LeastRiseMs = 1;
    /// <summary>Of the latency at the knee.</summary>
    public const double LeastRiseShare = 0.25;
    private const double StandardErrors = 3;
    private const double LeastBend = 0.1;

    /// <param name="load">Ascending, finite.</param>
    /// <param name="latency">One for each load.</param>
    /// <returns>Index of the knee, or null for fewer than three points, no bend, or no rise that stands out behind it.</returns>
    public static int? Find(IReadOnlyList<double> load, IReadOnlyList<Distribution> latency)
    {
        if (load.Count < 3) return null;
        double width = load[^1] - load[0];
        double low = latency.Min(values => values.Mean);
        double height = latency.Max(values => values.Mean) - low;
        if (width <= 0 || height <= 0) return null;
        int? best = null;
        double bend = LeastBend;
        for (int i = 1; i < load.Count - 1; i++)
        {
            double below = ((load[i] - load[0]) / width) - ((latency[i].Mean - low) / height);
            if (below <= bend || !RisesFrom(latency[i], latency.Skip(i + 1))) continue;
            (best, bend) = (i, below);
        }
        return best;
    }

    private static bool RisesFrom(Distribution knee, IEnumerable<Distribution> behind) => behind.Any(values =>
    {
        double rise = values.Mean - knee.Mean;
        double noise = StandardErrors * Math.Sqrt(SquaredError(knee) + SquaredError(values));
        return rise >= LeastRiseMs && rise >= LeastRiseShare * knee.Mean && rise > noise;
    });

    /// <summary>Of the mean.</summary>
    private static double SquaredError(Distribution values) => values.Count == 0 ? 0 : values.StandardDeviation * values.StandardDeviation / values.Count;
}
