using System.Buffers.Binary;
using Baton.Core.Kv;

namespace Baton.Core.Tests.Kv;

public sealed class KvPayloadCheckTests
{
    // An odd number of rows and values, so that the vectorised part leaves a rest.
    private static readonly KvLayout Halves = new([14, 18], [14, 18], KeyType: 1, ValueType: 1);
    private static readonly KvLayout Floats = new([20], [28], KeyType: 0, ValueType: 0);
    private static readonly KvLayout Blocks = new([34], [68], KeyType: 8, ValueType: 8);
    private static readonly KvLayout HalfBlocks = new([18], [18], KeyType: 2, ValueType: 2);

    [Fact]
    public void Every_half_is_judged_by_its_exponent_wherever_it_stands()
    {
        byte[] payload = new byte[Halves.PayloadBytes(5)];
        for (int bits = 0; bits <= ushort.MaxValue; bits++)
        {
            int at = bits % (payload.Length / 2) * 2;
            BinaryPrimitives.WriteUInt16LittleEndian(payload.AsSpan(at), (ushort)bits);

            Assert.Equal(Half.IsFinite(BitConverter.UInt16BitsToHalf((ushort)bits)), KvPayloadCheck.IsFinite(payload, Halves, 5));

            payload.AsSpan().Clear();
        }
    }

    [Theory]
    [InlineData(0x7F800000u, false)]
    [InlineData(0xFF800000u, false)]
    [InlineData(0x7FC00000u, false)]
    [InlineData(0x7F7FFFFFu, true)]
    [InlineData(0xFF7FFFFFu, true)]
    [InlineData(0x80000000u, true)]
    public void Floats_are_judged_at_every_place(uint bits, bool isFinite)
    {
        for (int at = 0; at < Floats.PayloadBytes(3); at += 4)
        {
            byte[] payload = new byte[Floats.PayloadBytes(3)];
            BinaryPrimitives.WriteUInt32LittleEndian(payload.AsSpan(at), bits);

            Assert.Equal(isFinite, KvPayloadCheck.IsFinite(payload, Floats, 3));
        }
    }

    [Fact]
    public void Of_quantised_blocks_only_the_scales_can_be_bad()
    {
        foreach ((KvLayout layout, int blockBytes) in new[] { (Blocks, 34), (HalfBlocks, 18) })
        {
            for (int at = 0; at < layout.PayloadBytes(2); at++)
            {
                byte[] payload = new byte[layout.PayloadBytes(2)];
                payload[at] = 0x7C;

                Assert.Equal(at % blockBytes != 1, KvPayloadCheck.IsFinite(payload, layout, 2));
            }
        }
    }

    [Fact]
    public void A_wrong_length_or_an_unknown_type_is_refused()
    {
        Assert.True(KvPayloadCheck.IsFinite(new byte[64], Halves, 1));
        Assert.False(KvPayloadCheck.IsFinite(new byte[63], Halves, 1));
        Assert.False(KvPayloadCheck.IsFinite(new byte[65], Halves, 1));
        Assert.False(KvPayloadCheck.IsFinite(new byte[64], Halves, -1));
        Assert.False(KvPayloadCheck.IsFinite(new byte[64], Halves with { ValueType = 30 }, 1));
    }
}
