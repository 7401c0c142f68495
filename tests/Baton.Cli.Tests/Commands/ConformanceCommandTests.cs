using System.Net;
using Baton.Bench.Conformance;
using Baton.Cli.Commands;
using Baton.Router;
using Baton.Router.Http;

namespace Baton.Cli.Tests.Commands;

public sealed class ConformanceCommandTests
{
    private static Task<int> RunAsync(params string[] args) => ConformanceCommand.Create(TimeProvider.System).Parse(args).InvokeAsync();

    [Fact]
    public async Task A_router_that_passes_ends_with_0_one_that_fails_with_1_and_a_busy_one_is_refused_with_2()
    {
        await using RouterServer server = new(new RouterOptions { Host = "127.0.0.1", Port = 0 }, [], TimeProvider.System, seed: 1);
        await server.StartAsync(CancellationToken.None);

        int passed = await RunAsync("--router", server.Url.ToString(), "--only", "01", "08");
        int failed = await RunAsync("--router", server.Url.ToString(), "--only", "16", "--first-byte-limit-ms", "0");
        server.Router.Fleet.Add(new() { Url = new Uri("http://127.0.0.1:1"), Role = Core.Ids.WorkerRole.Prefill });
        int busy = await RunAsync("--router", server.Url.ToString(), "--only", "01");

        Assert.Equal((0, 1, 2), (passed, failed, busy));
    }

    [Fact]
    public async Task What_cannot_be_run_is_refused()
    {
        await using ScriptedWorker noRouter = new(e => e.RespondAsync(404, "{}"), listen: new IPEndPoint(IPAddress.Loopback, 0));

        Assert.Equal(2, await RunAsync());
        Assert.Equal(2, await RunAsync("--router", "http://127.0.0.1:1", "--only", "99"));
        Assert.Equal(2, await RunAsync("--router", noRouter.Url));
        Assert.Equal(2, await RunAsync("--router", noRouter.Url, "--prefill-port", "0"));
    }
}
