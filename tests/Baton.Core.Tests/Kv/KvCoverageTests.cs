using Baton.Core.Kv;

namespace Baton.Core.Tests.Kv;

public sealed class KvCoverageTests
{
    [Fact]
    public void Chunks_that_continue_each_other_cover_the_prompt()
    {
        KvCoverage coverage = new(600);

        Assert.True(coverage.TryAdd(new KvRange(0, 256)));
        Assert.True(coverage.TryAdd(new KvRange(256, 512)));
        Assert.False(coverage.IsComplete);
        Assert.True(coverage.TryAdd(new KvRange(512, 600)));
        Assert.True(coverage.IsComplete);
    }

    [Theory]
    [InlineData(0, 256)] // the same chunk again
    [InlineData(255, 300)] // overlap
    [InlineData(257, 300)] // gap
    [InlineData(256, 256)] // empty
    [InlineData(256, 200)] // reversed
    [InlineData(256, 601)] // past the prompt
    [InlineData(-1, 10)]
    public void Anything_else_is_refused_and_changes_nothing(int start, int end)
    {
        KvCoverage coverage = new(600);
        coverage.TryAdd(new KvRange(0, 256));

        Assert.False(coverage.TryAdd(new KvRange(start, end)));
        Assert.Equal(256, coverage.CoveredCount);
    }
}
