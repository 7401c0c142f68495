using System.Buffers;
using Baton.Router.KvEvents;

namespace Baton.Router.Tests.KvEvents;

public sealed class KvEventBatchTests
{
    // [1.0, [["BlockStored", [1, -2], nil, [5, 6, 7, 300], 2, nil, "GPU"], ["BlockRemoved", [-2]]], 0]
    private const string Golden = "93" + "CB3FF0000000000000" + "92"
        + "97" + "AB426C6F636B53746F726564" + "9201FE" + "C0" + "94050607CD012C" + "02" + "C0" + "A3475055"
        + "92" + "AC426C6F636B52656D6F766564" + "91FE"
        + "00";

    private static KvBlocks Apply(params byte[][] events)
    {
        KvBlocks blocks = new();
        KvEventBatch.Apply(new ReadOnlySequence<byte>(KvWire.Batch(events)), blocks);
        return blocks;
    }

    private static int Match(KvBlocks blocks, params uint[] prompt) => blocks.Match(new PromptBlocks(prompt));

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_batch_as_SGLang_writes_it_is_applied_in_one_piece_or_in_many(bool isTorn)
    {
        byte[] bytes = Convert.FromHexString(Golden);
        KvBlocks blocks = new();

        KvEventBatch.Apply(isTorn ? KvWire.Torn(bytes) : new ReadOnlySequence<byte>(bytes), blocks);

        Assert.Equal((1, 2), (blocks.Count, Match(blocks, 5, 6, 7, 300)));
    }

    [Fact]
    public void A_batch_cut_at_any_byte_or_with_one_too_many_is_refused()
    {
        byte[] bytes = Convert.FromHexString(Golden);

        for (int cut = 0; cut < bytes.Length; cut++)
            Assert.Throws<KvEventException>(() => KvEventBatch.Apply(new ReadOnlySequence<byte>(bytes, 0, cut), new KvBlocks()));
        Assert.Throws<KvEventException>(() => KvEventBatch.Apply(new ReadOnlySequence<byte>([.. bytes, 0]), new KvBlocks()));
    }

    [Theory]
    [InlineData("DDFFFFFFFF")] // the batch: 4 billion fields
    [InlineData("9200DDFFFFFFFF")] // the events
    [InlineData("9200DC0002C0")]
    [InlineData("92C6FFFFFFFF90")] // the time: 4 GB of bytes
    [InlineData("92DFFFFFFFFF90")] // the time: a map of 4 billion
    [InlineData("92DBFFFFFFFF90")]
    [InlineData("92C9FFFFFFFF0090")]
    [InlineData("92C190")] // a type that does not exist
    [InlineData("9190")]
    [InlineData("9200" + "91" + "90")] // an event without a name
    [InlineData("9200" + "91" + "91DBFFFFFFFF")] // a name of 4 GB
    [InlineData("9200" + "91" + "9101")] // a name that is a number
    [InlineData("9200" + "91" + "95AB426C6F636B53746F726564" + "DDFFFFFFFF" + "C09000")] // 4 billion hashes
    [InlineData("9200" + "91" + "95AB426C6F636B53746F726564" + "90C0" + "DDFFFFFFFF" + "01")] // 4 billion tokens
    [InlineData("9200" + "91" + "95AB426C6F636B53746F726564" + "9101C0" + "91920102" + "01")] // tokens in pairs
    [InlineData("9200" + "91" + "95AB426C6F636B53746F726564" + "9101C0" + "91FF" + "01")] // a negative token
    [InlineData("9200" + "91" + "95AB426C6F636B53746F726564" + "9101C0" + "9105" + "00")] // blocks of no tokens
    [InlineData("9200" + "91" + "95AB426C6F636B53746F726564" + "9101C0" + "9105" + "FF")]
    [InlineData("9200" + "91" + "95AB426C6F636B53746F726564" + "9101C0" + "9105" + "02")] // half a block
    [InlineData("9200" + "91" + "95AB426C6F636B53746F726564" + "90C0" + "9105" + "CF8000000000000001")]
    [InlineData("9200" + "91" + "94AB426C6F636B53746F726564" + "9101C09105")]
    [InlineData("9200" + "91" + "91AC426C6F636B52656D6F766564")]
    public void A_batch_that_lies_about_its_lengths_or_types_is_refused(string hex) =>
        Assert.Throws<KvEventException>(() => KvEventBatch.Apply(new ReadOnlySequence<byte>(Convert.FromHexString(hex)), new KvBlocks()));

    [Theory]
    [InlineData("00", 0)]
    [InlineData("7F", 127)]
    [InlineData("E0", -32)]
    [InlineData("CCFF", 255)]
    [InlineData("CDFFFF", 65535)]
    [InlineData("CEFFFFFFFF", 4294967295)]
    [InlineData("CF7FFFFFFFFFFFFFFF", long.MaxValue)]
    [InlineData("CFFFFFFFFFFFFFFFFF", -1)]
    [InlineData("D080", -128)]
    [InlineData("D18000", -32768)]
    [InlineData("D280000000", int.MinValue)]
    [InlineData("D38000000000000000", long.MinValue)]
    public void Integers_of_every_width_are_read(string hex, long expected)
    {
        MsgpackReader reader = new(new ReadOnlySequence<byte>(Convert.FromHexString(hex)));

        Assert.Equal(expected, reader.ReadInteger());
        Assert.True(reader.IsAtEnd);
    }

    [Theory]
    [InlineData("C2")]
    [InlineData("820102910305")]
    [InlineData("C403AABBCC")]
    [InlineData("C50001AA")]
    [InlineData("C70105AA")]
    [InlineData("D405AA")]
    [InlineData("D805AABBCCDDAABBCCDDAABBCCDDAABBCCDD")]
    [InlineData("CA00000000")]
    [InlineData("DC000201DE00010203")]
    [InlineData("D90161")]
    public void Values_of_every_other_type_are_stepped_over(string hex)
    {
        MsgpackReader reader = new(new ReadOnlySequence<byte>(Convert.FromHexString(hex)));

        reader.Skip();

        Assert.True(reader.IsAtEnd);
    }

    [Fact]
    public void Nesting_a_million_deep_costs_no_stack()
    {
        byte[] deep = new byte[1_000_001];
        Array.Fill(deep, (byte)0x91);
        deep[^1] = 0xC0;
        MsgpackReader reader = new(new ReadOnlySequence<byte>(deep));

        reader.Skip();

        Assert.True(reader.IsAtEnd);
    }

    [Fact]
    public void Events_and_fields_of_later_versions_are_stepped_over()
    {
        KvBlocks blocks = Apply(
            KvWire.Array(KvWire.Text("BlockMoved"), KvWire.Numbers(1), KvWire.Nil),
            KvWire.Stored([1], null, [5, 6], 2, KvWire.Nil, KvWire.Text("GPU"), KvWire.Text("name"), KvWire.Array(KvWire.Nil)),
            KvWire.Array(KvWire.Text("BlockRemoved"), KvWire.Numbers(9), KvWire.Text("GPU"), KvWire.Number(0)));

        Assert.Equal(2, Match(blocks, 5, 6));
    }

    [Fact]
    public void Blocks_of_an_adapter_and_blocks_in_host_memory_are_left_out()
    {
        KvBlocks blocks = Apply(
            KvWire.Stored([1], null, [5, 6], 2, KvWire.Number(3)),
            KvWire.Stored([2], null, [7, 8], 2, KvWire.Nil, KvWire.Text("CPU")),
            KvWire.Stored([3], null, [9, 9], 2, KvWire.Nil, KvWire.Nil),
            KvWire.Array(KvWire.Text("BlockRemoved"), KvWire.Numbers(3), KvWire.Text("CPU")));

        Assert.Equal((1, 2), (blocks.Count, Match(blocks, 9, 9)));
    }

    [Fact]
    public void A_cleared_cache_holds_nothing()
    {
        KvBlocks blocks = Apply(KvWire.Stored([1], null, [5, 6], 2), KvWire.Cleared());

        Assert.Equal((0, 0, true), (blocks.Count, Match(blocks, 5, 6), blocks.IsWhole));
    }
}
