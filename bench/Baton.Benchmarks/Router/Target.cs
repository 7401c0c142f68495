using System.Diagnostics;
using Baton.Core.Ids;
using Baton.Router;
using Baton.Router.Http;
using Baton.Router.Workers;

namespace Baton.Benchmarks.Router;

/// <summary>One way to the worker: called directly, through a relay, or through the router. What it took is added up over the rounds.</summary>
/// <remarks>
/// Of each way there are several, every one with workers of its own. The sockets between router and workers live as long as these, and
/// which of the process's socket threads one of them fell to decides over 30 us of every request.
/// </remarks>
internal sealed class Target(Func<int, int, Task<(int Port, IAsyncDisposable? Between)>> open) : IAsyncDisposable
{
    private const int Copies = 4;
    private readonly List<(int Port, IAsyncDisposable? Between, TrivialWorker[] Workers)> _copies = [];
    private readonly List<double> _micros = [], _awakeMicros = [];
    private double _saturated, _seconds, _processorMicros, _allocated;

    public static Target Direct() => new((_, decode) => Task.FromResult<(int, IAsyncDisposable?)>((decode, null)));

    public static Target Relayed() => new((_, decode) =>
    {
        TcpRelay relay = new(decode);
        return Task.FromResult<(int, IAsyncDisposable?)>((relay.Port, relay));
    });

    public static Target Routed() => new(async (prefill, decode) =>
    {
        RouterServer server = new(
            new RouterOptions { Host = "127.0.0.1", Port = 0, LoadInterval = TimeSpan.Zero, HealthCheckInterval = TimeSpan.FromSeconds(60) },
            [
                new WorkerSpec { Url = new Uri($"http://127.0.0.1:{prefill}"), Role = WorkerRole.Prefill },
                new WorkerSpec { Url = new Uri($"http://127.0.0.1:{decode}"), Role = WorkerRole.Decode },
            ], TimeProvider.System, seed: 1);
        await server.StartAsync(CancellationToken.None);
        if ((await server.WaitUntilReadyAsync(TimeSpan.FromSeconds(10), CancellationToken.None)).Count > 0) throw new InvalidOperationException("The trivial workers did not become ready.");
        return (server.Url.Port, server);
    });

    public readonly record struct Latency(double P50, double P99)
    {
        public static Latency Of(List<double> micros)
        {
            micros.Sort();
            return new Latency(micros[micros.Count / 2], micros[(int)(micros.Count * 0.99)]);
        }
    }

    /// <param name="Idle">On cores that sleep between requests.</param>
    /// <param name="Awake">On cores that are kept awake.</param>
    public readonly record struct Figures(Latency Idle, Latency Awake, double SaturatedRate, double ProcessorMicros, double Allocated);

    /// <summary>Latencies over all rounds; processor time and memory of everybody who had part in a request.</summary>
    public Figures Read() => new(Latency.Of(_micros), Latency.Of(_awakeMicros), _saturated / _seconds, _processorMicros / _saturated, _allocated / _saturated);

    /// <summary>Sets up the copies, and asks each until its code is compiled for good and its buffers are there: what is measured has been up for a while.</summary>
    public async Task WarmUpAsync(string body, double seconds)
    {
        for (int i = 0; i < Copies; i++)
        {
            TrivialWorker prefill = new(WorkerRole.Prefill), decode = new(WorkerRole.Decode);
            (int port, IAsyncDisposable? between) = await open(prefill.Port, decode.Port);
            _copies.Add((port, between, [prefill, decode]));
            await Load.SaturateAsync(port, body, seconds / Copies);
            await Load.OpenLoopAsync(port, body, rate: 500, seconds: 0.1);
        }
    }

    /// <summary>A paced stretch, then one of half the length without pauses, both on new connections.</summary>
    public async Task MeasureAsync(string body, int rate, double seconds, int round)
    {
        int port = _copies[round % Copies].Port;
        _micros.AddRange(await Load.OpenLoopAsync(port, body, rate, seconds));
        (long start, long allocated, TimeSpan processor) = (Stopwatch.GetTimestamp(), GC.GetTotalAllocatedBytes(), Environment.CpuUsage.TotalTime);
        _saturated += await Load.SaturateAsync(port, body, seconds / 2);
        _seconds += Stopwatch.GetElapsedTime(start).TotalSeconds;
        _processorMicros += (Environment.CpuUsage.TotalTime - processor).TotalMicroseconds;
        _allocated += GC.GetTotalAllocatedBytes() - allocated;
    }

    /// <summary>A paced stretch, while somebody keeps the cores awake.</summary>
    public async Task MeasureAwakeAsync(string body, int rate, double seconds, int round) =>
        _awakeMicros.AddRange(await Load.OpenLoopAsync(_copies[round % Copies].Port, body, rate, seconds));

    public async ValueTask DisposeAsync()
    {
        foreach ((_, IAsyncDisposable? between, TrivialWorker[] workers) in _copies)
        {
            if (between is not null) await between.DisposeAsync();
            foreach (TrivialWorker worker in workers) worker.Dispose();
        }
    }
}
