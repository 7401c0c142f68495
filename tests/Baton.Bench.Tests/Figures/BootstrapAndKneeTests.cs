using Baton.Bench.Figures;

namespace Baton.Bench.Tests.Figures;

public sealed class BootstrapAndKneeTests
{
    private static double[] Noise(int count, int seed, double offset) =>
        [.. Enumerable.Range(0, count).Select(_ => offset)
            .Zip(Enumerable.Range(0, count).Select(i => new Random(seed + i).NextDouble() * 10), (basis, noise) => basis + noise)];

    [Fact]
    public void A_true_ratio_lies_in_the_interval_and_one_does_not()
    {
        double[] a = Noise(200, 1, 100);
        double[] b = [.. a.Select(value => value * 1.1)];

        Estimate ratio = BootstrapInterval.Ratio(a, b, values => values.Mean, new Random(3));

        Assert.Equal(1.1, ratio.Value, 9);
        Assert.False(ratio.Excludes(1.1));
        Assert.True(ratio.Excludes(1));
    }

    [Fact]
    public void Equal_sides_are_not_told_apart()
    {
        Estimate ratio = BootstrapInterval.Ratio(Noise(100, 1, 50), Noise(100, 5000, 50), values => values.Mean, new Random(3));

        Assert.False(ratio.Excludes(1));
        Assert.True(ratio.Low < ratio.Value && ratio.Value < ratio.High);
    }

    [Fact]
    public void Pairs_are_drawn_whole()
    {
        // Requests differ a thousandfold and B is always 1 ms slower: drawn apart, the interval would span hundreds.
        double[] a = [.. Enumerable.Range(1, 50).Select(i => (double)i * i)];
        double[] b = [.. a.Select(value => value + 1)];

        Estimate difference = BootstrapInterval.Difference(a, b, values => values.Mean, new Random(3));

        Assert.Equal((1.0, 1.0, 1.0), (Math.Round(difference.Value, 9), Math.Round(difference.Low, 9), Math.Round(difference.High, 9)));
    }

    [Fact]
    public void The_interval_covers_the_truth_about_as_often_as_it_says()
    {
        int covered = 0;
        for (int trial = 0; trial < 200; trial++)
        {
            Random draw = new(trial);
            double[] a = [.. Enumerable.Range(0, 60).Select(_ => 10 - Math.Log(1 - draw.NextDouble()))];
            double[] b = [.. Enumerable.Range(0, 60).Select(_ => 10 - Math.Log(1 - draw.NextDouble()))];
            if (!BootstrapInterval.Ratio(a, b, values => values.Mean, new Random(trial), resamples: 400).Excludes(1)) covered++;
        }

        Assert.InRange(covered, 180, 199);
    }

    [Fact]
    public void The_knee_is_where_latency_begins_to_climb()
    {
        double[] load = [1, 2, 3, 4, 5, 6, 7, 8];
        double[] latency = [10, 10, 11, 12, 14, 30, 90, 200];

        // Load 6: 5/7 of the way for 20/190 of the latency, the farthest below the chord; at load 7 it is 6/7 for 80/190.
        Assert.Equal(5, Knee.Find(load, Means(latency)));
    }

    [Theory]
    [InlineData(new double[] { 1, 2 }, new double[] { 1, 5 })]
    [InlineData(new double[] { 1, 2, 3, 4 }, new double[] { 10, 20, 30, 40 })]
    [InlineData(new double[] { 1, 2, 3 }, new double[] { 5, 5, 5 })]
    public void Straight_or_short_curves_have_no_knee(double[] load, double[] latency)
    {
        Assert.Null(Knee.Find(load, Means(latency)));
    }

    [Theory]
    [InlineData(2, 2.99, false)] // 1 ms: what the generator's own lateness may be
    [InlineData(2, 3, true)]
    [InlineData(100, 124.9, false)] // a quarter of the latency at the knee
    [InlineData(100, 125, true)]
    public void A_rise_behind_the_knee_is_a_knee_from_a_millisecond_and_a_quarter_on(double at, double end, bool isKnee)
    {
        Assert.Equal(isKnee ? 2 : null, Knee.Find([1, 2, 3, 4], Means([at, at, at, end])));
    }

    [Theory]
    [InlineData(4, true)] // standard errors of 4 / sqrt(2) ms each, 4 ms together: three are 12
    [InlineData(4.5, false)]
    public void A_rise_within_three_standard_errors_is_noise(double spread, bool isKnee)
    {
        Distribution Around(double mean) => new([mean - spread, mean + spread]);

        Assert.Equal(isKnee ? 2 : null, Knee.Find([1, 2, 3, 4], [Around(20), Around(20), Around(20), Around(33)]));
    }

    [Fact]
    public void A_slow_first_point_makes_no_knee()
    {
        Assert.Null(Knee.Find([1, 2, 3, 4], Means([50, 10, 10, 10])));
    }

    private static Distribution[] Means(double[] latency) => [.. latency.Select(mean => new Distribution([mean]))];
}
