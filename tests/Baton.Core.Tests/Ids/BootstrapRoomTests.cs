using Baton.Core.Ids;

namespace Baton.Core.Tests.Ids;

public sealed class BootstrapRoomTests
{
    [Fact]
    public void Rooms_above_2_to_the_53_keep_every_bit()
    {
        BootstrapRoom room = new(BootstrapRoom.MaxValue);

        Assert.Equal("room-7fffffffffffffff", room.ToString());
        Assert.Equal((int)(9223372036854775807UL % 7), room.Modulo(7).Value);
        Assert.False(BootstrapRoom.IsValid(1UL << 63));
    }

    [Theory]
    [InlineData("[fd00::1]", "fd00::1", "[fd00::1]:8998")]
    [InlineData("fd00::1", "fd00::1", "[fd00::1]:8998")]
    [InlineData("10.0.0.1", "10.0.0.1", "10.0.0.1:8998")]
    public void Ipv6_hosts_are_the_same_address_with_and_without_brackets(string given, string host, string text)
    {
        BootstrapAddress address = BootstrapAddress.From(given, BootstrapAddress.DefaultPort);

        Assert.Equal(host, address.Host);
        Assert.Equal(text, address.ToString());
    }
}
