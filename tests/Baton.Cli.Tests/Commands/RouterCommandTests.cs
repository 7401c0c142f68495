using Baton.Cli.Commands;

namespace Baton.Cli.Tests.Commands;

public sealed class RouterCommandTests
{
    [Fact]
    public async Task Stopped_while_it_begins_to_listen_the_router_ends_in_order()
    {
        using CancellationTokenSource stopped = new();
        await stopped.CancelAsync();

        int exit = await RouterCommand.Create(TimeProvider.System)
            .Parse(["--host", "127.0.0.1", "--port", "0", "--prefill", "http://127.0.0.1:1", "none", "--decode", "http://127.0.0.1:2"]).InvokeAsync(cancellationToken: stopped.Token);

        Assert.Equal(0, exit);
    }
}
