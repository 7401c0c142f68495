using System.Net;
using System.Text;
using Baton.Core.Engine.Simulated;
using Baton.Core.Ids;
using Baton.Router;
using Baton.Router.Http;
using Baton.Router.Workers;
using Baton.Serving;
using Baton.Serving.Workers;
using Baton.Testing.Processes;
using Microsoft.Extensions.Logging.Abstractions;

namespace Baton.EndToEnd.Tests;

/// <summary>Real workers that register themselves at a real router, over sockets.</summary>
public sealed class SelfRegistrationTests
{
    // A busy machine may stand still for seconds: no lease may end by that between the look at the pair and the request to it.
    private static readonly RouterOptions Options = new() { Host = "127.0.0.1", AdminKey = "root", LeaseTime = TimeSpan.FromSeconds(30) };

    [Fact]
    public async Task Workers_that_know_the_router_make_a_pair_come_back_after_its_restart_and_leave_when_they_stop()
    {
        RouterServer first = await StartRouterAsync(UpProcess.FreePort());
        Uri url = first.Url;
        using HttpClient client = new() { BaseAddress = url };
        await using ServingHost prefill = await StartAsync(WorkerRole.Prefill, url);
        ServingHost decode = await StartAsync(WorkerRole.Decode, url);
        await UntilAsync(() => IsPair(first), "both workers are ready");
        HttpStatusCode served = await GenerateAsync(client);
        int? bootstrapPort = first.Router.Fleet.Now.Prefill[0].Spec.BootstrapPort;

        await first.DisposeAsync();
        await using RouterServer second = await StartRouterAsync(url.Port);
        await UntilAsync(() => IsPair(second), "both workers are back");
        HttpStatusCode servedAgain = await GenerateAsync(client);
        await decode.DisposeAsync();
        await UntilAsync(() => second.Router.Fleet.Now.Decode.Count == 0, "the stopped worker is gone");

        Assert.Equal((HttpStatusCode.OK, HttpStatusCode.OK), (served, servedAgain));
        Assert.Equal(prefill.Worker.Bootstrap!.Value.Port, bootstrapPort);
        Assert.Equal((WorkerSource.Lease, prefill.Url.ToString().TrimEnd('/')), (Assert.Single(second.Router.Fleet.Now.All).Source, second.Router.Fleet.Now.All[0].Url));
    }

    private static bool IsPair(RouterServer router) => router.Router.Fleet.Now.All is [_, _] both && both.All(w => w.Status == WorkerStatus.Ready);

    /// <summary>Tried until the port is free: the first router's connections may hold it for a moment.</summary>
    private static async Task<RouterServer> StartRouterAsync(int port)
    {
        using CancellationTokenSource deadline = new(TimeSpan.FromSeconds(60));
        while (true)
        {
            RouterServer router = new(Options with { Port = port }, [], TimeProvider.System, seed: 1);
            try
            {
                await router.StartAsync(CancellationToken.None);
                return router;
            }
            catch (IOException) when (!deadline.IsCancellationRequested)
            {
                await router.DisposeAsync();
                await Task.Delay(50, CancellationToken.None);
            }
        }
    }

    private static Task<ServingHost> StartAsync(WorkerRole role, Uri router) => ServingHost.StartAsync(new ServeOptions
    {
        Role = role,
        Engine = EngineKind.Simulated,
        Port = 0,
        BootstrapPort = 0,
        ContextLength = 4096,
        RandomSeed = 7 + (ulong)role,
        Simulated = new SimulatedOptions { Cost = CostModel.Free },
        Routers = [router],
        RouterKey = "root",
    }, TimeProvider.System, NullLoggerFactory.Instance, CancellationToken.None);

    private static async Task<HttpStatusCode> GenerateAsync(HttpClient client)
    {
        using StringContent body = new("""{"text":"hello","sampling_params":{"max_new_tokens":3}}""", Encoding.UTF8, "application/json");
        using HttpResponseMessage answer = await client.PostAsync("/generate", body);
        return answer.StatusCode;
    }

    private static async Task UntilAsync(Func<bool> condition, string what)
    {
        using CancellationTokenSource deadline = new(TimeSpan.FromSeconds(60));
        while (!condition())
        {
            if (deadline.IsCancellationRequested) Assert.Fail($"Within 60 s it never came true that {what}.");
            await Task.Delay(5, CancellationToken.None);
        }
    }
}
