using System.Text;
using Baton.Transfer.Wire;

namespace Baton.Transfer.Tests.Wire;

public sealed class Crc32CTests
{
    [Fact]
    public void The_check_values_of_the_standard_come_out()
    {
        Assert.Equal(0xE3069283u, Crc32C.Of(Encoding.ASCII.GetBytes("123456789")));
        Assert.Equal(0x8A9136AAu, Crc32C.Of(new byte[32]));                           // RFC 3720, B.4
        Assert.Equal(0x62A8AB43u, Crc32C.Of(Enumerable.Repeat((byte)0xFF, 32).ToArray()));
        Assert.Equal(0x46DD794Eu, Crc32C.Of(Enumerable.Range(0, 32).Select(i => (byte)i).ToArray()));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(1023)]
    [InlineData(1024)]
    [InlineData(1279)]
    [InlineData(1280)]
    [InlineData((3 * 4096) - 1)]
    [InlineData(3 * 4096)]
    [InlineData((3 * 4096) + 1)]
    [InlineData((7 * 4096) + 13)]
    public void Every_way_to_go_faster_equals_one_bit_at_a_time(int length)
    {
        byte[] bytes = new byte[length];
        new Random(length).NextBytes(bytes);

        Assert.Equal(BitByBit(bytes), Crc32C.Of(bytes));
        Assert.Equal(BitByBit(bytes), ~Crc32C.AppendStretches(uint.MaxValue, bytes));
    }

    [Fact]
    public void It_does_not_matter_where_the_bytes_are_parted()
    {
        byte[] bytes = new byte[30_000];
        new Random(1).NextBytes(bytes);
        uint whole = Crc32C.Of(bytes);

        for (int cut = 0; cut <= bytes.Length; cut += 997)
            Assert.Equal(whole, ~Crc32C.Append(Crc32C.Append(uint.MaxValue, bytes.AsSpan(0, cut)), bytes.AsSpan(cut)));
    }

    private static uint BitByBit(byte[] bytes)
    {
        uint register = uint.MaxValue;
        foreach (byte value in bytes)
        {
            register ^= value;
            for (int bit = 0; bit < 8; bit++) register = (register & 1) != 0 ? (register >> 1) ^ 0x82F63B78 : register >> 1;
        }
        return ~register;
    }
}
