using Baton.Bootstrap.Server;
using Baton.Core.Ranks;
using Baton.Serving.Workers;
using Microsoft.Extensions.Logging.Abstractions;

namespace Baton.Serving.Tests.Http;

/// <summary>Workers that are set up in other ways than one prefill worker with its own bootstrap server.</summary>
public sealed class ClusterTests
{
    private const string Body = """{"text":"hello","sampling_params":{"max_new_tokens":4,"temperature":0}}""";

    [Theory]
    [InlineData(LoadBalanceMethod.RoundRobin, "query")]
    [InlineData(LoadBalanceMethod.FollowBootstrapRoom, "room")]
    public async Task Prefill_registers_at_a_bootstrap_server_elsewhere_and_decode_asks_there(LoadBalanceMethod method, string source)
    {
        const string Token = "only writers know it";
        await using BootstrapServer server = new(new BootstrapServerOptions { Host = "127.0.0.1", Port = 0, Seed = 1, WriteToken = Token }, TimeProvider.System, NullLoggerFactory.Instance);
        await server.StartAsync(CancellationToken.None);
        await using TestPair pair = await TestPair.StartAsync(TestWorker.Simulated with
        {
            DpSize = 3,
            LoadBalanceMethod = method,
            BootstrapServer = server.Address,
            BootstrapToken = Token,
        });
        await TestWorker.UntilAsync(() => pair.Prefill.Worker.FindHealthProblem() is null);

        for (int i = 0; i < 4; i++)
        {
            (Reply prefill, Reply decode) = await pair.GenerateAsync(Body);

            Assert.True(prefill.Status == 200, prefill.Body);
            Assert.True(decode.Status == 200, decode.Body);
            Assert.Equal(source, (string)decode.Json["meta_info"]!["rank_source"]!);
            Assert.Equal((int)prefill.Json["meta_info"]!["dp_rank"]!, (int)decode.Json["meta_info"]!["prefill_dp_rank"]!);
        }
        Assert.Equal(server.Address, pair.Prefill.Worker.Bootstrap);
    }

    [Fact]
    public async Task Workers_with_different_secrets_hand_nothing_over_and_say_why()
    {
        await using TestPair pair = await TestPair.StartAsync(TestWorker.Simulated with { ClusterSecret = "the first secret of all" }, TestWorker.Simulated with { ClusterSecret = "another secret than that" });

        string leg = pair.Leg(Body, TestPair.NextRoom());
        _ = pair.Prefill.PostAsync("/generate", leg);
        Reply decode = await pair.Decode.PostAsync("/generate", leg);

        Assert.True(decode.Status >= 500, decode.Body);
        Assert.Contains("secret", decode.Body, StringComparison.OrdinalIgnoreCase);
        Assert.DoesNotContain("another secret", decode.Body, StringComparison.Ordinal);
        await pair.Decode.WaitForFullLedgerAsync();
    }

    [Fact]
    public async Task Workers_with_one_secret_do()
    {
        ServeOptions options = TestWorker.Simulated with { ClusterSecret = "a secret between us" };
        await using TestPair pair = await TestPair.StartAsync(options, options);

        (_, Reply decode) = await pair.GenerateAsync(Body);

        Assert.True(decode.Status == 200, decode.Body);
    }
}
