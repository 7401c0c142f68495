using Baton.Bench.Figures;

namespace Baton.Bench.Tests.Figures;

public sealed class DistributionTests
{
    // numpy.percentile([15, 20, 35, 40, 50], q), and numpy.std of the same.
    [Theory]
    [InlineData(0, 15)]
    [InlineData(25, 20)]
    [InlineData(40, 29)]
    [InlineData(50, 35)]
    [InlineData(90, 46)]
    [InlineData(99, 49.6)]
    [InlineData(100, 50)]
    public void Percentiles_interpolate_linearly_as_numpy_does(double percent, double expected)
    {
        Distribution values = new([40, 15, 50, 35, 20]);

        Assert.Equal(expected, values.Percentile(percent), 9);
    }

    [Fact]
    public void Mean_and_deviation_are_those_of_the_population()
    {
        Distribution values = new([40, 15, 50, 35, 20]);

        Assert.Equal(32, values.Mean);
        Assert.Equal(12.884098726725126, values.StandardDeviation, 12);
    }

    [Fact]
    public void One_value_is_every_percentile_and_none_is_zero()
    {
        Assert.Equal(7, new Distribution([7]).Percentile(99));
        Assert.Equal((0, 0, 0), (Distribution.Empty.Mean, Distribution.Empty.Percentile(99), Distribution.Empty.Max));
    }
}
