namespace Baton.Bootstrap.Tests;

/// <summary>Draws the same number each time, so that a pause with jitter has a known length.</summary>
/// <param name="fraction">In [0, 1): 0 takes nothing off a pause, and nearly 1 takes the whole quarter.</param>
internal sealed class FixedRandom(double fraction) : Random(1)
{
    /// <summary>The largest number below 1.</summary>
    public const double AlmostOne = 1 - (1.0 / (1L << 53));

    public override double NextDouble() => fraction;
}
