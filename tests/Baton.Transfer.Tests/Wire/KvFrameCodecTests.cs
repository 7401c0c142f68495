using System.Buffers;
using System.Buffers.Binary;
using Baton.Core.Requests;
using Baton.Transfer.Wire;

namespace Baton.Transfer.Tests.Wire;

public sealed class KvFrameCodecTests
{
    public static TheoryData<string> Names => Frames.Names;

    [Theory]
    [MemberData(nameof(Names))]
    public void A_frame_is_written_as_its_golden_bytes(string name)
    {
        byte[] written = Frames.Write(Frames.All[name]());

        Assert.Equal(GoldenBytes.Hex[name], Convert.ToHexStringLower(written));
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Golden_bytes_are_read_as_the_frame(string name)
    {
        KvFrame expected = Frames.All[name]();

        KvFrame read = Frames.Read(GoldenBytes.Of(name));

        Assert.Equal(expected with { Payload = null, First = null }, read with { Payload = null, First = null });
        Assert.Equal(expected.Payload?.Span.ToArray(), read.Payload?.Span.ToArray());
        Assert.Equal(expected.First?.Token.TopLogprobs, read.First?.Token.TopLogprobs);
        Assert.Equal(expected.First is { } first ? first with { Token = default } : null, read.First is { } got ? got with { Token = default } : null);
        Assert.Equal(expected.First?.Token.TokenId, read.First?.Token.TokenId);
        Assert.Equal(expected.First?.Token.Logprob, read.First?.Token.Logprob);
        expected.Payload?.Dispose();
        read.Payload?.Dispose();
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void A_frame_cut_at_any_byte_is_left_alone_until_it_is_whole(string name)
    {
        byte[] bytes = GoldenBytes.Of(name);

        for (int cut = 0; cut < bytes.Length; cut++)
        {
            Assert.False(Frames.TryRead(new ReadOnlySequence<byte>(bytes, 0, cut), out KvFrame frame, out long consumed), $"{cut} of {bytes.Length} bytes were enough");
            Assert.Equal((KvFrameType.None, 0), (frame.Type, consumed));
        }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void A_frame_in_two_pieces_of_memory_is_read_whichever_byte_parts_them(string name)
    {
        byte[] bytes = GoldenBytes.Of(name);

        for (int cut = 0; cut <= bytes.Length; cut++)
        {
            Assert.True(Frames.TryRead(Frames.Split(bytes, cut), out KvFrame frame, out long consumed));
            Assert.Equal(bytes.Length, consumed);
            Assert.Equal(name, frame.Type.ToString());
            frame.Payload?.Dispose();
        }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void A_frame_with_any_one_bit_flipped_is_never_read(string name)
    {
        byte[] good = GoldenBytes.Of(name);

        for (int bit = 0; bit < good.Length * 8; bit++)
        {
            byte[] flipped = [.. good];
            flipped[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.False(IsAccepted(flipped), $"bit {bit} of {name}");
        }
    }

    [Fact]
    public void Two_frames_in_one_buffer_come_one_after_the_other()
    {
        ReadOnlySequence<byte> both = new([.. GoldenBytes.Of("Claim"), .. GoldenBytes.Of("Ack")]);

        Assert.True(KvFrameCodec.TryRead(ref both, null, out KvFrame first));
        Assert.True(KvFrameCodec.TryRead(ref both, null, out KvFrame second));

        Assert.Equal((KvFrameType.Claim, KvFrameType.Ack, 0L), (first.Type, second.Type, both.Length));
    }

    [Fact]
    public void A_type_of_a_newer_minor_version_is_skipped_from_128_up_and_refused_below()
    {
        byte[] newer = Frames.Forge((KvFrameType)200, [1, 2, 3]);

        Assert.True(Frames.TryRead(new ReadOnlySequence<byte>(newer), out KvFrame skipped, out long consumed));
        Assert.Equal((KvFrameType.None, newer.Length), (skipped.Type, consumed));
        KvProtocolException refused = Assert.Throws<KvProtocolException>(() => Frames.Read(Frames.Forge((KvFrameType)127, [])));
        Assert.Contains("127", refused.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(5)]
    [InlineData(6)]
    [InlineData(7)]
    public void Reserved_bits_are_refused_even_under_a_right_checksum(int offset)
    {
        byte[] frame = GoldenBytes.Of("Ack");
        frame[offset] = 1;
        BinaryPrimitives.WriteUInt32LittleEndian(frame.AsSpan(28), Crc32C.Of(frame.AsSpan(0, 28)));

        Assert.Contains("reserved", Assert.Throws<KvProtocolException>(() => Frames.Read(frame)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_room_above_63_bits_is_refused()
    {
        byte[] frame = Frames.Forge(KvFrameType.Ack, [], new(1UL << 63));

        Assert.Contains("room", Assert.Throws<KvProtocolException>(() => Frames.Read(frame)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(KvFrameType.Claim, "00000000", "prompt tokens")]          // nothing to send
    [InlineData(KvFrameType.Claim, "ffffffff", "prompt tokens")]          // negative
    [InlineData(KvFrameType.Claim, "640000", "too early")]                // cut inside
    [InlineData(KvFrameType.Claim, "6400000000", "too many")]             // a byte more
    [InlineData(KvFrameType.WrongRank, "ffffffff", "rank")]
    [InlineData(KvFrameType.Credit, "0000000000000000", "credit")]
    [InlineData(KvFrameType.Credit, "ffffffffffffffff", "credit")]
    [InlineData(KvFrameType.Ack, "00", "too many")]
    [InlineData(KvFrameType.Fail, "010500616263", "too early")]           // the text is shorter than it says
    [InlineData(KvFrameType.Fail, "01ffff", "text length")]               // longer than any text may be
    [InlineData(KvFrameType.Fail, "010200c328", "UTF-8")]
    [InlineData(KvFrameType.Last, "2a000000000000bf07000000000000000300000000018100", "top logprobs")] // 129 of them
    [InlineData(KvFrameType.Last, "2a000000000000bf07000000000000000300000002000000", "end of generation")]
    [InlineData(KvFrameType.Last, "2a000000000000bf07000000000000000300000000000100", "no top logprobs")]
    [InlineData(KvFrameType.Hello, "", "after the handshake")]
    public void A_field_that_lies_is_refused_with_its_name(KvFrameType type, string payloadHex, string told)
    {
        byte[] lie = Frames.Forge(type, Convert.FromHexString(payloadHex));

        KvProtocolException refused = Assert.Throws<KvProtocolException>(() => Frames.Read(lie));

        Assert.Contains(told, refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_length_over_its_cap_is_refused_from_the_header_alone()
    {
        byte[] control = Frames.Forge(KvFrameType.Fail, new byte[KvFrameHeader.MaxControlBytes + 1]), chunk = Frames.Forge(KvFrameType.Chunk, new byte[8 + (65 * Make.BytesPerToken)]);

        foreach (byte[] tooLong in new[] { control, chunk })
        {
            ReadOnlySequence<byte> header = new(tooLong, 0, KvFrameHeader.Size);
            Assert.Throws<KvProtocolException>(() => Frames.TryRead(header, out _, out _));
        }
    }

    [Fact]
    public void A_chunk_sent_to_a_side_that_takes_none_is_refused()
    {
        ReadOnlySequence<byte> chunk = new(GoldenBytes.Of("Chunk")), empty = new(Frames.Forge(KvFrameType.Chunk, []));

        Assert.Throws<KvProtocolException>(() => KvFrameCodec.TryRead(ref chunk, null, out _));
        Assert.Throws<KvProtocolException>(() => KvFrameCodec.TryRead(ref empty, null, out _));
    }

    [Fact]
    public void A_chunk_with_an_infinity_is_refused()
    {
        byte[] cells = new byte[8 + (2 * Make.BytesPerToken)];
        cells[0] = 10;
        cells[4] = 12;
        cells[^1] = 0x7C; // the last F16 becomes infinite

        KvProtocolException refused = Assert.Throws<KvProtocolException>(() => Frames.Read(Frames.Forge(KvFrameType.Chunk, cells)));

        Assert.Contains("infinity", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_long_text_is_cut_at_a_character()
    {
        string text = "x" + new string('☂', 3000); // 3 bytes each: the cap falls inside one

        KvFrame read = Frames.Read(Frames.Write(Frames.All["Fail"]() with { Text = text }));

        Assert.Equal("x" + new string('☂', (KvFrameCodec.MaxTextBytes - 1) / 3), read.Text);
    }

    [Fact]
    public void The_most_alternatives_fit_a_frame()
    {
        TokenLogprob[] top = [.. Enumerable.Range(0, KvFrameCodec.MaxTopLogprobs).Select(i => new TokenLogprob(i, -i))];

        KvFrame read = Frames.Read(Frames.Write(KvFrame.ForLast(new(1), 1, Make.First with { Token = new OutputToken(1, 0, top) })));

        Assert.Equal(top, read.First!.Token.TopLogprobs);
    }

    private static bool IsAccepted(byte[] bytes)
    {
        try
        {
            bool isRead = Frames.TryRead(new ReadOnlySequence<byte>(bytes), out KvFrame frame, out _);
            frame.Payload?.Dispose();
            return isRead;
        }
        catch (KvProtocolException)
        {
            return false;
        }
    }
}
