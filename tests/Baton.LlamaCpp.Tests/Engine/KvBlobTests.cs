using System.Buffers.Binary;
using Baton.Core.Engine;
using Baton.Core.Kv;
using Baton.LlamaCpp.Engine;

namespace Baton.LlamaCpp.Tests.Engine;

public sealed class KvBlobTests
{
    private static readonly KvLayout Layout = new([4, 2], [6, 2], KeyType: 1, ValueType: 1);
    private static readonly KvRange Range = new(10, 13);
    private readonly KvBlob _blob = new(Layout);

    [Fact]
    public void A_written_blob_has_the_librarys_bytes()
    {
        byte[] payload = [.. Enumerable.Range(1, 42).Select(value => (byte)value)];

        byte[] blob = Write(payload);

        Assert.Equal(
            "D83C14AF" + "05000000" + "01000000" + "03000000" // magic, id, streams, cells
            + "0A00000001000000050000000B00000001000000050000000C0000000100000005000000" // positions 10, 11, 12
            + "0000000002000000" // v_trans, layers
            + "010000000400000000000000" + "0102030405060708090A0B0C" + "010000000200000000000000" + "0D0E0F101112" // K
            + "010000000600000000000000" + "131415161718191A1B1C1D1E1F2021222324" + "010000000200000000000000" + "25262728292A", // V
            Convert.ToHexString(blob));
        Assert.Equal(_blob.SizeOf(3), blob.Length);
    }

    [Fact]
    public void Reading_gives_the_payload_back()
    {
        byte[] payload = [.. Enumerable.Range(1, 42).Select(value => (byte)value)];

        Assert.Equal(payload, Read(Write(payload)));
    }

    [Fact]
    public void Cells_in_another_order_are_put_in_order_of_position()
    {
        byte[] blob = Write([.. Enumerable.Range(1, 42).Select(value => (byte)value)]);
        foreach ((int cell, int position) in new[] { (0, 12), (1, 10), (2, 11) }) BinaryPrimitives.WriteInt32LittleEndian(blob.AsSpan(16 + (12 * cell)), position);

        byte[] payload = Read(blob);

        // First layer's K: the rows of cells 1, 2, 0.
        Assert.Equal(new byte[] { 5, 6, 7, 8, 9, 10, 11, 12, 1, 2, 3, 4 }, payload[..12]);
        Assert.Equal(new byte[] { 15, 16, 17, 18, 13, 14 }, payload[12..18]);
    }

    [Fact]
    public void A_blob_that_is_not_as_expected_is_refused_at_every_header_field_and_every_length()
    {
        byte[] blob = Write(new byte[42]);
        int[] headers = [0, 8, 12, 16, 20, 52, 56, 60, 64, 84, 88, 102, 106, 132, 136];
        foreach (int at in headers)
        {
            byte[] changed = [.. blob];
            changed[at] ^= 0x40;
            Assert.Throws<EngineException>(() => Read(changed));
        }
        for (int length = 0; length < blob.Length; length++) Assert.Throws<EngineException>(() => Read(blob[..length]));
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(7, 3)]
    [InlineData(512, 80)]
    public void A_buffer_that_was_rented_for_a_chunk_has_room_for_its_blob(int tokens, int layers)
    {
        KvLayout layout = new([.. Enumerable.Repeat(2, layers)], [.. Enumerable.Repeat(2, layers)], KeyType: 1, ValueType: 1);
        using KvBuffer buffer = KvBuffer.Rent(layout, tokens);

        Assert.Equal(layout.PayloadBytes(tokens), buffer.Length);
        Assert.InRange(new KvBlob(layout).SizeOf(tokens), 0, buffer.Room.Length);
    }

    private byte[] Write(byte[] payload)
    {
        byte[] blob = new byte[_blob.SizeOf(Range.TokenCount)];
        payload.CopyTo(blob, 0);
        _blob.Wrap(blob, Range, sequence: 5);
        return blob;
    }

    private byte[] Read(byte[] blob)
    {
        byte[] unwrapped = [.. blob];
        _blob.Unwrap(unwrapped, Range, new int[Range.TokenCount]);
        return unwrapped[..(int)Layout.PayloadBytes(Range.TokenCount)];
    }
}
