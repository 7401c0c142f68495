using System.Buffers;
using System.Text;
using Baton.Router.KvEvents;

namespace Baton.Router.Tests.KvEvents;

public sealed class ZmtpTests
{
    private static ZmtpFrame Take(byte[] bytes, int limit = 1000)
    {
        ReadOnlySequence<byte> input = new(bytes);
        Assert.True(ZmtpFrame.TryRead(ref input, limit, out ZmtpFrame frame));
        Assert.True(input.IsEmpty);
        return frame;
    }

    private static byte[] Ready(params byte[] properties) => [4, (byte)(6 + properties.Length), 5, .. "READY"u8, .. properties];

    private static byte[] Property(string name, string value) => [(byte)name.Length, .. Encoding.ASCII.GetBytes(name), 0, 0, 0, (byte)value.Length, .. Encoding.ASCII.GetBytes(value)];

    [Fact]
    public void What_a_subscriber_says_first_is_as_the_protocol_has_it()
    {
        Assert.Equal("FF00000000000000007F0300" + "4E554C4C" + new string('0', 32) + new string('0', 64), Convert.ToHexString(ZmtpHandshake.Greeting()));
        Assert.Equal("04" + "19" + "05" + "5245414459" + "0B" + "536F636B65742D54797065" + "00000003" + "535542", Convert.ToHexString(ZmtpHandshake.Ready()));
        Assert.Equal("0003" + "01" + "6B76", Convert.ToHexString(ZmtpHandshake.Subscribe("kv")));
    }

    [Theory]
    [InlineData("0002ABCD", false, false)]
    [InlineData("0102ABCD", false, true)]
    [InlineData("0402ABCD", true, false)]
    [InlineData("020000000000000002ABCD", false, false)]
    [InlineData("030000000000000002ABCD", false, true)]
    [InlineData("060000000000000002ABCD", true, false)]
    public void A_frame_is_read_when_it_is_all_there_and_left_alone_before(string hex, bool isCommand, bool hasMore)
    {
        byte[] bytes = Convert.FromHexString(hex);

        for (int cut = 0; cut < bytes.Length; cut++)
        {
            ReadOnlySequence<byte> input = new(bytes, 0, cut);
            Assert.False(ZmtpFrame.TryRead(ref input, 100, out _));
            Assert.Equal(cut, input.Length);
        }
        ReadOnlySequence<byte> whole = KvWire.Torn([.. bytes, 0x77]);
        Assert.True(ZmtpFrame.TryRead(ref whole, 100, out ZmtpFrame frame));

        Assert.Equal((isCommand, hasMore, "ABCD", 1), (frame.IsCommand, frame.HasMore, Convert.ToHexString(frame.Body.ToArray()), (int)whole.Length));
    }

    [Theory]
    [InlineData("08")]
    [InlineData("80")]
    [InlineData("05")]
    [InlineData("0065")]
    [InlineData("020000000000000065")]
    [InlineData("027FFFFFFFFFFFFFFF")]
    [InlineData("02FFFFFFFFFFFFFFFF")]
    public void A_frame_with_unknown_flags_or_above_the_limit_is_refused_before_its_body_is_there(string hex)
    {
        ReadOnlySequence<byte> input = new(Convert.FromHexString(hex));

        Assert.Throws<KvEventException>(() => ZmtpFrame.TryRead(ref input, 100, out _));
    }

    [Fact]
    public void A_body_of_256_bytes_gets_the_long_form_and_is_read_back()
    {
        byte[] small = new byte[255], large = new byte[256];

        (byte[] one, byte[] other) = (ZmtpFrame.Write(isCommand: false, small), ZmtpFrame.Write(isCommand: true, large));

        Assert.Equal((257, 265), (one.Length, other.Length));
        Assert.Equal((255, 256), ((int)Take(one).Body.Length, (int)Take(other).Body.Length));
        Assert.True(Take(other).IsCommand);
    }

    [Theory]
    [InlineData(0, 0, "ZeroMQ")]
    [InlineData(9, 0, "ZeroMQ")]
    [InlineData(10, 2, "ZMTP 2")]
    [InlineData(12, (byte)'P', "PULL")]
    [InlineData(16, (byte)'X', "NULLX")]
    public void A_greeting_of_somebody_else_is_refused_with_the_reason(int at, byte value, string why)
    {
        byte[] greeting = ZmtpHandshake.Greeting();
        greeting[at] = value;

        Assert.Contains(why, Assert.Throws<KvEventException>(() => ZmtpHandshake.CheckGreeting(greeting)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_publisher_of_version_3_1_with_more_properties_is_taken()
    {
        byte[] greeting = ZmtpHandshake.Greeting();
        (greeting[10], greeting[11]) = (3, 1);

        ZmtpHandshake.CheckGreeting(greeting);
        ZmtpHandshake.CheckReady(Take(Ready([.. Property("Identity", ""), .. Property("socket-type", "XPUB")])));
    }

    [Fact]
    public void A_peer_that_is_not_ready_to_publish_is_refused()
    {
        byte[] good = Ready(Property("Socket-Type", "PUB"));
        ZmtpHandshake.CheckReady(Take(good));

        Assert.Throws<KvEventException>(() => ZmtpHandshake.CheckReady(Take([0, .. good[1..]])));
        Assert.Throws<KvEventException>(() => ZmtpHandshake.CheckReady(Take(Ready())));
        Assert.Contains("ROUTER", Assert.Throws<KvEventException>(() => ZmtpHandshake.CheckReady(Take(Ready(Property("Socket-Type", "ROUTER"))))).Message, StringComparison.Ordinal);
        Assert.Contains("no access?", Assert.Throws<KvEventException>(() => ZmtpHandshake.CheckReady(Take([4, 17, 5, .. "ERROR"u8, 10, .. "no access\n"u8]))).Message, StringComparison.Ordinal);
        // Its body cut at every byte, with a header that says so.
        for (int cut = 0; cut < good.Length - 2; cut++)
            Assert.Throws<KvEventException>(() => ZmtpHandshake.CheckReady(Take([4, (byte)cut, .. good[2..(2 + cut)]])));
        Assert.Throws<KvEventException>(() => ZmtpHandshake.CheckReady(Take(Ready(1, (byte)'X', 0xFF, 0xFF, 0xFF, 0xFF))));
    }
}
