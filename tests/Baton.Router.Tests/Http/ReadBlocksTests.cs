using System.Buffers;
using Baton.Router.Http;

namespace Baton.Router.Tests.Http;

public sealed class ReadBlocksTests
{
    [Fact]
    public void A_block_that_came_back_is_lent_again_and_to_one_holder_only()
    {
        using ReadBlocks blocks = new();
        IMemoryOwner<byte> first = blocks.Rent(4096);
        first.Memory.Span[0] = 7;
        first.Dispose();
        // The echo of the first: it must not put the block there twice.
        first.Dispose();

        using IMemoryOwner<byte> again = blocks.Rent(1);
        using IMemoryOwner<byte> other = blocks.Rent(1);

        Assert.True(again.Memory.Span == first.Memory.Span);
        Assert.False(other.Memory.Span == first.Memory.Span);
    }

    [Fact]
    public void What_is_longer_than_a_block_is_refused_and_a_block_is_not()
    {
        using ReadBlocks blocks = new();
        using IMemoryOwner<byte> whole = blocks.Rent(blocks.MaxBufferSize);

        Assert.Equal(blocks.MaxBufferSize, whole.Memory.Length);
        Assert.Throws<ArgumentOutOfRangeException>(() => blocks.Rent(blocks.MaxBufferSize + 1));
    }

    [Fact]
    public void Blocks_beyond_those_kept_are_dropped()
    {
        using ReadBlocks blocks = new();
        IMemoryOwner<byte>[] all = [.. Enumerable.Range(0, ReadBlocks.MaxKept + 1).Select(_ => blocks.Rent())];
        foreach (IMemoryOwner<byte> block in all) block.Dispose();

        Assert.Equal(ReadBlocks.MaxKept, blocks.Free);
    }
}
