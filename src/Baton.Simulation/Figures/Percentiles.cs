namespace Baton.Simulation.Figures;

/// <summary>Percentiles as numpy computes them by default: linear between the two values around.</summary>
internal static class Percentiles
{
    /// <param name="sorted">Ascending; may hold infinities at its end (requests that never got there).</param>
    /// <param name="share">In [0, 1].</param>
    /// <returns>NaN when there is no value.</returns>
    public static double Of(List<double> sorted, double share)
    {
        if (sorted.Count == 0) return double.NaN;
        double at = share * (sorted.Count - 1);
        int below = (int)at;
        double part = at - below;
        // Infinity minus infinity, and infinity times nothing, would be NaN.
        if (part == 0 || below + 1 >= sorted.Count || sorted[below].Equals(sorted[below + 1])) return sorted[below];
        return sorted[below] + part * (sorted[below + 1] - sorted[below]);
    }
}
