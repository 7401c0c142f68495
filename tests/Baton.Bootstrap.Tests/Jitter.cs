namespace Baton.Bootstrap.Tests;

/// <summary>The two ends of what chance may do to a pause: nothing, and a quarter less.</summary>
internal static class Jitter
{
    public static TheoryData<double, double> BothEnds => new() { { 0, 1 }, { FixedRandom.AlmostOne, 0.75 } };

    /// <summary>When tries begin, in ms from the first: pauses double from a floor to a ceiling, and a part of a millisecond is a whole one.</summary>
    public static IEnumerable<double> Tries(double floorMs, double ceilingMs, double factor, double untilMs)
    {
        double at = 0;
        for (double pause = floorMs; at <= untilMs; pause = Math.Min(pause * 2, ceilingMs))
        {
            yield return at;
            at += Math.Ceiling(pause * factor);
        }
    }
}
