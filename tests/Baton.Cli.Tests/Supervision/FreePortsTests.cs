using Baton.Cli.Supervision;

namespace Baton.Cli.Tests.Supervision;

public sealed class FreePortsTests
{
    [Fact]
    public void Ports_are_different_and_none_that_the_system_gives_to_whoever_asks_for_any()
    {
        int[] ports = FreePorts.Take(40, except: 25_000);

        Assert.Equal(40, ports.Distinct().Count());
        Assert.All(ports, port => Assert.InRange(port, 20_000, 29_999));
    }
}
