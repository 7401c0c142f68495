using System.Text;
using Baton.Bench.Conformance;
using Baton.Core.Ids;
using Baton.Router.Http;
using Baton.Router.Workers;

namespace Baton.Router.Tests.Http;

/// <summary>A router over real sockets in front of scripted workers, and a client.</summary>
internal sealed class RouterHarness : IAsyncDisposable
{
    /// <summary>For what another thread brings about: it only ends a hopeless test, and a busy machine may stand still for a while.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private RouterHarness(RouterServer server) => (Server, Client) = (server, new HttpClient { BaseAddress = server.Url });

    public RouterServer Server { get; }

    public HttpClient Client { get; }

    public static async Task<RouterHarness> StartAsync(
        IEnumerable<ScriptedWorker> prefills, IEnumerable<ScriptedWorker> decodes, RouterOptions? options = null, IEnumerable<ScriptedWorker>? unified = null)
    {
        List<WorkerSpec> specs =
        [
            .. prefills.Select(w => new WorkerSpec { Url = new Uri(w.Url), Role = WorkerRole.Prefill, BootstrapPort = w.Port }),
            .. decodes.Select(w => new WorkerSpec { Url = new Uri(w.Url), Role = WorkerRole.Decode }),
            .. (unified ?? []).Select(w => new WorkerSpec { Url = new Uri(w.Url), Role = WorkerRole.Unified }),
        ];
        RouterServer server = new((options ?? new RouterOptions()) with { Host = "127.0.0.1", Port = 0 }, specs, TimeProvider.System, seed: 1);
        await server.StartAsync(CancellationToken.None);
        RouterHarness harness = new(server);
        await Until(() => server.Router.Fleet.Now.All.All(w => w.Status == WorkerStatus.Ready), "every worker is ready");
        return harness;
    }

    public Task<HttpResponseMessage> PostAsync(string path, string json, bool streaming = false, CancellationToken ct = default) => Client.SendAsync(
        new HttpRequestMessage(HttpMethod.Post, path) { Content = new StringContent(json, Encoding.UTF8, "application/json") },
        streaming ? HttpCompletionOption.ResponseHeadersRead : HttpCompletionOption.ResponseContentRead, ct);

    /// <summary>Waits for something that another thread brings about; the deadline only ends a hopeless test.</summary>
    public static async Task Until(Func<bool> condition, string what)
    {
        using CancellationTokenSource deadline = new(Patience);
        while (!condition())
        {
            if (deadline.IsCancellationRequested) Assert.Fail($"Within {Patience.TotalSeconds} s it never came true that {what}.");
            await Task.Delay(5, CancellationToken.None);
        }
    }

    public int CreditsOut => Server.Router.Fleet.Now.All.Sum(w => w.InFlight);

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        await Server.DisposeAsync();
    }
}
