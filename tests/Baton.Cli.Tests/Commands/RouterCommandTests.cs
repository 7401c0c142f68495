using Baton.Bench.Conformance;
using Baton.Cli.Commands;
using Baton.Core.Ids;
using Baton.Router;

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

    [Fact]
    public async Task A_check_ends_with_0_when_every_worker_is_ready_and_with_1_when_one_is_not()
    {
        await using ScriptedWorker prefill = new(ConformanceStage.Ok), decode = new(ConformanceStage.Ok);
        string[] common = ["--check", "--host", "127.0.0.1", "--port", "0", "--prefill", prefill.Url, "none", "--decode", decode.Url];

        int ready = await RunAsync([.. common, "--worker-startup-timeout-secs", "30"]);
        int missing = await RunAsync([.. common, "--decode", "http://127.0.0.1:1", "--worker-startup-timeout-secs", "0.5"]);

        Assert.Equal((0, 1), (ready, missing));
    }

    [Fact]
    public void The_printed_configuration_has_every_option_and_no_key()
    {
        RouterOptions options = new() { ApiKeys = ["secret"], AdminKey = "hidden", Policy = "random" };

        string text = RouterConfigText.Of(options, [new() { Url = new Uri("http://p:1"), Role = WorkerRole.Prefill, ApiKey = "third" }]);

        Assert.Contains("Policy: random", text, StringComparison.Ordinal);
        Assert.Contains("Breaker.FailureThreshold: 10", text, StringComparison.Ordinal);
        Assert.Contains("worker: prefill http://p:1", text, StringComparison.Ordinal);
        Assert.All(["secret", "hidden", "third"], key => Assert.DoesNotContain(key, text, StringComparison.Ordinal));
    }

    private static Task<int> RunAsync(string[] args) => RouterCommand.Create(TimeProvider.System).Parse(args).InvokeAsync();
}
