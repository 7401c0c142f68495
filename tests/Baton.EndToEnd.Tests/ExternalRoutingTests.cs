using System.Net;
using System.Net.Http.Json;
using System.Text.Json.Nodes;
using Baton.Core.Engine.Simulated;
using Baton.Core.Ids;
using Baton.Core.Ranks;
using Baton.Router;
using Baton.Router.Http;
using Baton.Router.Trouble;
using Baton.Router.Workers;
using Baton.Serving;
using Baton.Serving.Workers;
using Microsoft.Extensions.Logging.Abstractions;

namespace Baton.EndToEnd.Tests;

/// <summary><c>--test-external-dp-routing</c> with Baton's own workers: every answer has to name the ranks that the router drew.</summary>
public sealed class ExternalRoutingTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    [Theory]
    [InlineData(LoadBalanceMethod.FollowBootstrapRoom)]
    [InlineData(LoadBalanceMethod.RoundRobin)]
    public async Task Every_answer_whole_or_streamed_comes_from_the_two_ranks_that_were_drawn(LoadBalanceMethod method)
    {
        await using ServingHost prefill = await StartAsync(WorkerRole.Prefill, dpSize: 4, method);
        await using ServingHost decode = await StartAsync(WorkerRole.Decode, dpSize: 3, LoadBalanceMethod.RoundRobin);
        await using RouterServer router = new(
            new RouterOptions { Host = "127.0.0.1", Port = 0, TestExternalDpRouting = true, Retry = new RetryOptions { IsEnabled = false } },
            [
                new WorkerSpec { Url = prefill.Url, Role = WorkerRole.Prefill, BootstrapPort = prefill.Worker.Bootstrap!.Value.Port },
                new WorkerSpec { Url = decode.Url, Role = WorkerRole.Decode },
            ], TimeProvider.System, seed: 1);
        await router.StartAsync(CancellationToken.None);
        using CancellationTokenSource deadline = new(Patience);
        while (!router.Router.Fleet.Now.All.All(worker => worker.Status == WorkerStatus.Ready)) await Task.Delay(10, deadline.Token);
        using HttpClient client = new() { BaseAddress = router.Url, Timeout = Patience };

        HashSet<(int Prefill, int Decode)> seen = [];
        for (int i = 0; i < 80; i++)
        {
            bool isStream = i % 2 == 1;
            using HttpResponseMessage response = await client.PostAsJsonAsync("generate", new JsonObject
            {
                ["text"] = $"request {i}",
                ["stream"] = isStream,
                ["sampling_params"] = new JsonObject { ["max_new_tokens"] = 3 },
            });
            string body = await response.Content.ReadAsStringAsync();

            Assert.True(response.StatusCode == HttpStatusCode.OK, body);
            string last = isStream ? body.Split("\n\n", StringSplitOptions.RemoveEmptyEntries)[^2]["data: ".Length..] : body;
            JsonNode meta = JsonNode.Parse(last)!["meta_info"]!;
            Assert.Equal("hint", (string)meta["rank_source"]!);
            seen.Add(((int)meta["prefill_dp_rank"]!, (int)meta["dp_rank"]!));
        }

        Assert.Equal(12, seen.Count);
    }

    private static Task<ServingHost> StartAsync(WorkerRole role, int dpSize, LoadBalanceMethod method) => ServingHost.StartAsync(
        new ServeOptions
        {
            Role = role,
            DpSize = dpSize,
            LoadBalanceMethod = method,
            Engine = EngineKind.Simulated,
            Simulated = new SimulatedOptions { Cost = CostModel.Free },
            ContextLength = 4096,
            Port = 0,
            BootstrapPort = 0,
            RandomSeed = 7,
        }, TimeProvider.System, NullLoggerFactory.Instance, CancellationToken.None);
}
