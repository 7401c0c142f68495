using System.Net.Http.Headers;
using System.Text;
using System.Text.Json.Nodes;
using Baton.Core.Engine.Simulated;
using Baton.Serving.Workers;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Baton.Serving.Tests;

/// <summary>A worker behind real HTTP on a free port, with a client for it.</summary>
internal sealed class TestWorker : IAsyncDisposable
{
    /// <summary>For a whole test; nothing waits that long unless it hangs.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly ServingHost _host;

    private TestWorker(ServingHost host)
    {
        _host = host;
        Http = new HttpClient { BaseAddress = host.Url, Timeout = Patience };
    }

    /// <summary>Costs no time and needs no file.</summary>
    public static ServeOptions Simulated { get; } = new()
    {
        Engine = EngineKind.Simulated,
        Port = 0,
        ContextLength = 4096,
        RandomSeed = 7,
        BootstrapPort = 0,
        DrainTimeout = TimeSpan.FromSeconds(5),
        Simulated = new SimulatedOptions { Cost = CostModel.Free },
    };

    public HttpClient Http { get; }

    public Worker Worker => _host.Worker;

    public static async Task<TestWorker> StartAsync(ServeOptions? options = null, ILoggerFactory? loggers = null) =>
        new(await ServingHost.StartAsync(options ?? Simulated, TimeProvider.System, loggers ?? NullLoggerFactory.Instance, CancellationToken.None));

    /// <summary>A worker that computes with something else than its options say.</summary>
    public static async Task<TestWorker> StartAsync(ServeOptions options, LoadEngines load) =>
        new(await ServingHost.StartAsync(options, load, TimeProvider.System, NullLoggerFactory.Instance, CancellationToken.None));

    public async Task<Reply> PostAsync(string path, string json, params (string Name, string Value)[] headers)
    {
        using HttpRequestMessage request = new(HttpMethod.Post, path) { Content = new StringContent(json, Encoding.UTF8, "application/json") };
        foreach ((string name, string value) in headers) request.Headers.TryAddWithoutValidation(name, value);
        using HttpResponseMessage response = await Http.SendAsync(request);
        return new Reply((int)response.StatusCode, await response.Content.ReadAsStringAsync(), response.Headers);
    }

    public async Task<Reply> GetAsync(string path)
    {
        using HttpResponseMessage response = await Http.GetAsync(path);
        return new Reply((int)response.StatusCode, await response.Content.ReadAsStringAsync(), response.Headers);
    }

    /// <summary>Waits until no request is left and every cell is free.</summary>
    public Task WaitForFullLedgerAsync() => UntilAsync(() => Worker.LiveRequests == 0 && Worker.Ranks.All(rank => rank.Rank.Load.UsedCells == 0));

    /// <summary>Waits for something that another thread brings about; the deadline only ends a hopeless test.</summary>
    public static async Task UntilAsync(Func<bool> isTrue)
    {
        using CancellationTokenSource deadline = new(Patience);
        while (!isTrue()) await Task.Delay(5, deadline.Token);
    }

    public async ValueTask DisposeAsync()
    {
        Http.Dispose();
        await _host.DisposeAsync();
    }
}

/// <summary>What the server answered.</summary>
internal sealed record Reply(int Status, string Body, HttpResponseHeaders Headers)
{
    public JsonNode Json => JsonNode.Parse(Body)!;

    /// <summary>The data of each server-sent event; the last one must be [DONE].</summary>
    public IReadOnlyList<JsonNode> Events
    {
        get
        {
            string[] lines = [.. Body.Split("\n\n", StringSplitOptions.RemoveEmptyEntries)];
            Assert.All(lines, line => Assert.StartsWith("data: ", line, StringComparison.Ordinal));
            Assert.Equal("data: [DONE]", lines[^1]);
            return [.. lines[..^1].Select(line => JsonNode.Parse(line["data: ".Length..])!)];
        }
    }
}
