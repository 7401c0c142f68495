using Baton.Core.Ids;
using Baton.Core.Kv;
using Baton.Transfer.Wire;

namespace Baton.Transfer.Tests.Wire;

/// <summary>What a chunk must be before a byte is rented for it.</summary>
public sealed class ChunkGateTests
{
    private static readonly BootstrapRoom Room = Make.Room(1);

    [Theory]
    [InlineData(8, 16, "continue")]     // a gap
    [InlineData(0, 4, "continue")]      // a duplicate
    [InlineData(3, 8, "continue")]      // an overlap
    [InlineData(4, 12, "continue")]     // past the prompt
    [InlineData(4, 4, "empty")]
    [InlineData(6, 4, "empty")]
    [InlineData(-4, 0, "negative")]
    [InlineData(4, 5000, "longer")]
    [InlineData(int.MinValue, int.MaxValue, "negative")]
    public void A_range_that_does_not_continue_the_room_is_refused(int start, int end, string told)
    {
        ChunkGate gate = Claimed(promptTokens: 10);
        gate.Admit(1, Room, new KvRange(0, 4), 4 * Make.BytesPerToken);

        KvProtocolException refused = Assert.Throws<KvProtocolException>(() => gate.Admit(1, Room, new KvRange(start, end), (long)(end - start) * Make.BytesPerToken));

        Assert.Contains(told, refused.Message, StringComparison.Ordinal);
        Assert.True(gate.Admit(1, Room, new KvRange(4, 10), 6 * Make.BytesPerToken));
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(1)]
    public void A_length_that_is_not_the_layouts_is_refused(int off)
    {
        ChunkGate gate = Claimed(promptTokens: 10);

        Assert.Throws<KvProtocolException>(() => gate.Admit(1, Room, new KvRange(0, 4), (4 * Make.BytesPerToken) + off));
    }

    [Fact]
    public void A_claim_that_was_never_made_is_refused_and_one_that_ended_is_late()
    {
        ChunkGate gate = Claimed(promptTokens: 10);

        Assert.Throws<KvProtocolException>(() => gate.Admit(0, Room, new KvRange(0, 4), 4 * Make.BytesPerToken));
        Assert.Throws<KvProtocolException>(() => gate.Admit(2, Room, new KvRange(0, 4), 4 * Make.BytesPerToken));
        Assert.Throws<KvProtocolException>(() => gate.Admit(1, Make.Room(2), new KvRange(0, 4), 4 * Make.BytesPerToken));
        gate.End(1);
        Assert.False(gate.Admit(1, Room, new KvRange(0, 4), 4 * Make.BytesPerToken));
    }

    [Fact]
    public void The_window_is_the_most_that_may_come_before_more_is_granted()
    {
        ChunkGate gate = new(Make.Layout, maxChunkTokens: 4, windowBytes: 6 * Make.BytesPerToken);
        gate.Claim(1, Room, 10);

        gate.Admit(1, Room, new KvRange(0, 4), 4 * Make.BytesPerToken);
        KvProtocolException refused = Assert.Throws<KvProtocolException>(() => gate.Admit(1, Room, new KvRange(4, 8), 4 * Make.BytesPerToken));
        Assert.Contains("window", refused.Message, StringComparison.Ordinal);
        gate.Grant(2 * Make.BytesPerToken);

        Assert.True(gate.Admit(1, Room, new KvRange(4, 8), 4 * Make.BytesPerToken));
    }

    [Fact]
    public void A_last_frame_before_every_position_is_refused()
    {
        ChunkGate gate = Claimed(promptTokens: 10);
        gate.Admit(1, Room, new KvRange(0, 9), 9 * Make.BytesPerToken);

        Assert.Throws<KvProtocolException>(() => gate.AdmitLast(1, Room));
        gate.Admit(1, Room, new KvRange(9, 10), Make.BytesPerToken);

        Assert.True(gate.AdmitLast(1, Room));
    }

    private static ChunkGate Claimed(int promptTokens)
    {
        ChunkGate gate = new(Make.Layout, maxChunkTokens: 64, windowBytes: 1 << 20);
        gate.Claim(1, Room, promptTokens);
        return gate;
    }
}
