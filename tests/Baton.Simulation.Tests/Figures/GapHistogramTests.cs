using Baton.Core.Randomness;
using Baton.Simulation.Figures;

namespace Baton.Simulation.Tests.Figures;

public sealed class GapHistogramTests
{
    [Fact]
    public void Percentiles_are_those_of_the_sorted_gaps_to_within_two_percent()
    {
        SeededRandom random = new(4);
        double[] milliseconds = [.. Enumerable.Range(0, 20_000).Select(_ => Math.Exp(2 + 1.5 * random.NextNormal()))];
        GapHistogram gaps = new();
        foreach (double ms in milliseconds) gaps.Add(TimeSpan.FromMilliseconds(ms));
        Array.Sort(milliseconds);

        foreach (double share in new[] { 0.01, 0.5, 0.9, 0.99, 0.999 }) Assert.InRange(gaps.PercentileMs(share) / milliseconds[(int)(share * 20_000)], 0.98, 1.02);
    }

    [Fact]
    public void Small_gaps_are_exact_and_the_largest_is_not_lost()
    {
        GapHistogram gaps = new();
        foreach (int microseconds in new[] { 0, 1, 63, 64, 127 }) gaps.Add(TimeSpan.FromMicroseconds(microseconds));
        gaps.Add(TimeSpan.FromDays(100));

        Assert.Equal(0, gaps.PercentileMs(0.1));
        Assert.Equal(0.001, gaps.PercentileMs(2 / 6.0));
        Assert.Equal(0.063, gaps.PercentileMs(3 / 6.0));
        Assert.Equal(0.064, gaps.PercentileMs(4 / 6.0));
        Assert.True(gaps.PercentileMs(1) > TimeSpan.FromDays(12).TotalMilliseconds);
    }

    [Fact]
    public void Nothing_counted_is_not_a_number_and_two_histograms_add_up()
    {
        GapHistogram one = new(), other = new();
        Assert.Equal(double.NaN, one.PercentileMs(0.5));
        other.Add(TimeSpan.FromMicroseconds(5));

        one.Add(other);

        Assert.Equal((1, 0.005), (one.Count, one.PercentileMs(0.5)));
    }
}
