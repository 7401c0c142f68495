using System.Net;
using Baton.Bench.Conformance;
using Baton.Router.Http;
using Baton.Router.Trouble;

namespace Baton.Router.Tests.Http;

/// <summary>The conformance list of a PD router against the real one over real sockets; <c>baton conformance</c> runs the same checks.</summary>
public sealed class ConformanceTests
{
    // The times are the program's to judge, on a quiet machine: here they only bound a test that hangs.
    private static readonly ConformanceSettings Settings = new()
    {
        Time = TimeProvider.System,
        CouplingLimit = TimeSpan.FromSeconds(20),
        FirstByteLimit = TimeSpan.FromSeconds(20),
        BreakerOpenTime = TimeSpan.FromSeconds(2),
        RoomDraws = 3000,
        IsCacheAware = true,
    };

    private static readonly RouterOptions Options = new()
    {
        Host = "127.0.0.1",
        Port = 0,
        PrefillPolicy = "cache_aware",
        HealthCheckInterval = TimeSpan.FromMilliseconds(100),
        Retry = new RetryOptions { InitialBackoff = TimeSpan.FromMilliseconds(1) },
        Breaker = new BreakerOptions { OpenTime = Settings.BreakerOpenTime },
    };

    public static TheoryData<string> Ids => [.. ConformanceList.All.Select(check => check.Id)];

    private static ConformanceCheck Check(string id) => ConformanceList.All.Single(check => check.Id == id);

    [Theory]
    [MemberData(nameof(Ids))]
    public async Task The_router_passes(string id)
    {
        await using RouterServer server = new(Options, [], TimeProvider.System, seed: 1);
        await server.StartAsync(CancellationToken.None);
        await using AdminFleet fleet = new(server.Url, null, null, IPAddress.Loopback, Settings);

        ConformanceResult result = await ConformanceRun.RunAsync(fleet, Check(id), TimeProvider.System, CancellationToken.None);

        // A machine without IPv6 cannot run 24.
        Assert.True(result.Verdict == Verdict.Pass || (result.Verdict == Verdict.NotApplicable && id == "24"), $"{id} {result.Check.Title}: expected {result.Check.Expected}; seen: {result.Seen}");
        await RouterHarness.Until(() => server.Router.Fleet.Now.All.Count == 0 && server.Admitted is (0, 0), "the router is as empty as before");
    }

    [Theory]
    [MemberData(nameof(Ids))]
    public async Task A_server_that_answers_everything_with_an_empty_200_passes_nothing(string id)
    {
        await using ScriptedWorker dumb = new(e => e.RespondAsync(200, "{}"));
        await using DumbFleet fleet = new(dumb);

        ConformanceResult result = await ConformanceRun.RunAsync(fleet, Check(id), TimeProvider.System, CancellationToken.None);

        Assert.NotEqual(Verdict.Pass, result.Verdict);
    }

    [Fact]
    public async Task Workers_on_fixed_ports_serve_a_router_that_was_started_with_them()
    {
        await using RouterServer server = new(Options, [], TimeProvider.System, seed: 1);
        await server.StartAsync(CancellationToken.None);
        await using FixedFleet fleet = new(server.Url, null, IPAddress.Loopback, [0], [0], 3, 2, Settings);
        foreach (ScriptedWorker worker in fleet.Prefill) server.Router.Fleet.Add(new() { Url = new Uri(worker.Url), Role = Core.Ids.WorkerRole.Prefill, BootstrapPort = worker.Port });
        foreach (ScriptedWorker worker in fleet.Decode) server.Router.Fleet.Add(new() { Url = new Uri(worker.Url), Role = Core.Ids.WorkerRole.Decode });
        await server.WaitUntilReadyAsync(TimeSpan.FromSeconds(30), CancellationToken.None);

        List<Verdict> verdicts = [];
        foreach (string id in new[] { "01", "06", "09", "14", "22" }) verdicts.Add((await ConformanceRun.RunAsync(fleet, Check(id), TimeProvider.System, CancellationToken.None)).Verdict);

        Assert.Equal([Verdict.Pass, Verdict.NotApplicable, Verdict.Pass, Verdict.NotApplicable, Verdict.NotApplicable], verdicts);
    }

    private sealed class DumbFleet(ScriptedWorker router) : IConformanceFleet
    {
        private readonly HttpClient _client = new() { BaseAddress = new Uri(router.Url) };

        public Task<ConformanceStage> StageAsync(ConformanceCheck check, CancellationToken ct)
        {
            ScriptedWorker[] prefill = [.. Enumerable.Range(0, check.PrefillCount).Select(_ => new ScriptedWorker(ConformanceStage.Ok))];
            ScriptedWorker[] decode = [.. Enumerable.Range(0, check.DecodeCount).Select(_ => new ScriptedWorker(ConformanceStage.Ok))];
            ConformanceSettings hasty = Settings with { Patience = TimeSpan.FromMilliseconds(100), BreakerOpenTime = TimeSpan.Zero };
            return Task.FromResult(new ConformanceStage(_client, _client, prefill, decode, hasty, async () =>
            {
                foreach (ScriptedWorker worker in prefill.Concat(decode)) await worker.DisposeAsync();
            }));
        }

        public ValueTask DisposeAsync()
        {
            _client.Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
