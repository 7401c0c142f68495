using System.Collections.Concurrent;
using System.Net;
using System.Security.Cryptography.X509Certificates;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace Baton.Router.Tests.Discovery;

/// <summary>A Kubernetes API server over a real socket: pods that tests put and take, lists in pages, and watches.</summary>
internal sealed class ScriptedCluster : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly Lock _lock = new();
    private readonly SortedDictionary<string, string> _pods = new(StringComparer.Ordinal);
    private readonly List<string> _events = [];
    private TaskCompletionSource _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _ended;

    private ScriptedCluster(X509Certificate2? certificate)
    {
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().UseKestrelHttpsConfiguration().ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, listen =>
        {
            if (certificate is not null) listen.UseHttps(certificate);
        }));
        _app = builder.Build();
        _app.Run(AnswerAsync);
    }

    public Uri Url { get; private set; } = new("http://127.0.0.1");

    /// <summary>Path, query and authorization of every request.</summary>
    public ConcurrentQueue<string> Requests { get; } = new();

    /// <summary>Answers everything with this when set.</summary>
    public int? FailsWith { get; set; }

    /// <summary>Watches begin with an ERROR event, as they do when the version is too old.</summary>
    public bool IsGone { get; set; }

    public int PageSize { get; set; } = 500;

    public static async Task<ScriptedCluster> StartAsync(X509Certificate2? certificate = null)
    {
        ScriptedCluster cluster = new(certificate);
        await cluster._app.StartAsync();
        cluster.Url = new Uri(cluster._app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First());
        return cluster;
    }

    /// <summary>A ready pod at the loopback.</summary>
    public static string PodJson(string uid, string labels, string annotations = "{}", string address = "127.0.0.1", string ready = "True", string more = "") => $$$"""
        {"metadata":{"uid":"{{{uid}}}","name":"pod-{{{uid}}}","namespace":"inference"{{{more}}},"labels":{{{labels}}},"annotations":{{{annotations}}}},
         "status":{"phase":"Running","podIP":"{{{address}}}","conditions":[{"type":"Initialized","status":"True"},{"type":"Ready","status":"{{{ready}}}"}]}}
        """.ReplaceLineEndings("");

    public void Put(string uid, string json) => Change(() =>
    {
        string kind = _pods.ContainsKey(uid) ? "MODIFIED" : "ADDED";
        _pods[uid] = json;
        return $$"""{"type":"{{kind}}","object":{{json}}}""";
    });

    public void Delete(string uid) => Change(() =>
    {
        _pods.Remove(uid, out string? json);
        return $$"""{"type":"DELETED","object":{{json}}}""";
    });

    /// <summary>The pod is gone and no watch hears of it.</summary>
    public void Lose(string uid)
    {
        lock (_lock) _pods.Remove(uid);
    }

    /// <summary>Every watch ends, as it does after its time.</summary>
    public void EndWatches() => Change(() =>
    {
        _ended++;
        return "";
    });

    public async ValueTask DisposeAsync()
    {
        EndWatches();
        await _app.DisposeAsync();
    }

    private void Change(Func<string> change)
    {
        TaskCompletionSource changed;
        lock (_lock)
        {
            _events.Add(change());
            (changed, _changed) = (_changed, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously));
        }
        changed.SetResult();
    }

    private async Task AnswerAsync(HttpContext context)
    {
        // First: who finds no failure set below had come before the watches were ended, and ends with them.
        int ended = Volatile.Read(ref _ended);
        Requests.Enqueue($"{context.Request.Path}{context.Request.QueryString} {context.Request.Headers.Authorization}".TrimEnd());
        if (FailsWith is { } status) context.Response.StatusCode = status;
        else if (context.Request.Query["watch"] == "1") await WatchAsync(context, ended);
        else await context.Response.WriteAsync(List(context.Request.Query["continue"]));
    }

    private string List(string? from)
    {
        lock (_lock)
        {
            int skipped = int.TryParse(from, out int start) ? start : 0;
            string next = skipped + PageSize < _pods.Count ? $"{skipped + PageSize}" : "";
            return $$"""{"kind":"PodList","metadata":{"resourceVersion":"{{_events.Count}}","continue":"{{next}}"},"items":[{{string.Join(',', _pods.Values.Skip(skipped).Take(PageSize))}}]}""";
        }
    }

    private async Task WatchAsync(HttpContext context, int ended)
    {
        await context.Response.StartAsync();
        if (IsGone)
        {
            await context.Response.WriteAsync("""{"type":"ERROR","object":{"code":410}}""" + "\n");
            return;
        }
        int at = int.Parse(context.Request.Query["resourceVersion"]!);
        while (true)
        {
            string[] news;
            Task changed;
            lock (_lock)
            {
                news = [.. _events.Skip(at)];
                changed = _changed.Task;
            }
            at += news.Length;
            foreach (string line in news.Where(line => line.Length > 0)) await context.Response.WriteAsync(line + "\n");
            await context.Response.Body.FlushAsync();
            if (Volatile.Read(ref _ended) != ended) return;
            await changed.WaitAsync(context.RequestAborted);
        }
    }
}
