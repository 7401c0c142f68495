namespace Baton.Bench.Figures;

/// <summary>Finds where latency begins to pay for load: the point of a rising curve farthest below the chord from its first to its last point.</summary>
/// <remarks>The "kneedle" rule, on both axes scaled to [0, 1]. Straight lines have none.</remarks>
public static class Knee
{
    private const double LeastBend = 0.1;

    /// <param name="load">Ascending, finite.</param>
    /// <param name="latency">One for each load.</param>
    /// <returns>Index of the knee, or null for fewer than three points or no bend.</returns>
    public static int? Find(IReadOnlyList<double> load, IReadOnlyList<double> latency)
    {
        if (load.Count < 3) return null;
        double width = load[^1] - load[0];
        double low = latency.Min();
        double height = latency.Max() - low;
        if (width <= 0 || height <= 0) return null;
        int? best = null;
        double bend = LeastBend;
        for (int i = 1; i < load.Count - 1; i++)
        {
            double below = ((load[i] - load[0]) / width) - ((latency[i] - low) / height);
            if (below <= bend) continue;
            (best, bend) = (i, below);
        }
        return best;
    }
}
