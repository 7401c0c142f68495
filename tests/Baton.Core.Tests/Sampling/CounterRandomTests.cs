using Baton.Core.Sampling;

namespace Baton.Core.Tests.Sampling;

public sealed class CounterRandomTests
{
    // Golden numbers: changing the generator changes every seeded answer that users have kept.
    [Theory]
    [InlineData(0ul, 0, 0, 0.28176129772258496)]
    [InlineData(1ul, 0, 0, 0.8628561488610587)]
    [InlineData(0ul, 1, 0, 0.2798812022408699)]
    [InlineData(ulong.MaxValue, int.MaxValue, 1, 0.9786190904472294)]
    public void The_generator_gives_these_values_for_ever(ulong seed, int position, int stream, double expected) =>
        Assert.Equal(expected, CounterRandom.Uniform(seed, position, stream));

    [Fact]
    public void Neighbouring_seeds_positions_and_streams_have_nothing_in_common()
    {
        double[] values = [.. from seed in Enumerable.Range(0, 30) from position in Enumerable.Range(0, 30) from stream in Enumerable.Range(0, 2) select CounterRandom.Uniform((ulong)seed, position, stream)];

        Assert.Equal(values.Length, values.Distinct().Count());
        Assert.Equal(0.5, values.Average(), 0.03);
        Assert.Equal(1 / 12.0, values.Average(value => Math.Pow(value - 0.5, 2)), 0.01);
        double neighbours = Enumerable.Range(0, 10_000).Average(position => (CounterRandom.Uniform(3, position) - 0.5) * (CounterRandom.Uniform(3, position + 1) - 0.5));
        Assert.Equal(0, neighbours, 0.005);
    }
}
