using Baton.Serving.Http;
using Baton.Serving.Workers;
using Microsoft.Extensions.Logging;

namespace Baton.Serving;

/// <summary>A worker process from start to end: listens at once, loads the model, serves, drains.</summary>
public sealed class ServingHost : IAsyncDisposable
{
    private readonly ServingServer _server;
    private readonly Worker _worker;
    private readonly RouterRegistration _routers;
    private int _hasLeft;

    private ServingHost(ServingServer server, Worker worker, RouterRegistration routers) => (_server, _worker, _routers) = (server, worker, routers);

    public Uri Url => _server.Url;

    public Worker Worker => _worker;

    /// <summary>Binds the port first, so that a taken one is known before minutes of loading; until the model is there, requests get 503.</summary>
    /// <exception cref="IOException">The port is taken.</exception>
    /// <remarks>Also throws what <see cref="WorkerBuilder.BuildAsync(ServeOptions, int, TimeProvider, ILoggerFactory, CancellationToken)"/> does.</remarks>
    public static Task<ServingHost> StartAsync(ServeOptions options, TimeProvider time, ILoggerFactory loggers, CancellationToken ct) =>
        StartAsync(options, EngineSource.Load, time, loggers, ct);

    /// <param name="load">What the ranks compute with.</param>
    internal static async Task<ServingHost> StartAsync(ServeOptions options, LoadEngines load, TimeProvider time, ILoggerFactory loggers, CancellationToken ct)
    {
        options.Validate();
        ServingServer server = new(options, loggers);
        try
        {
            await server.StartAsync(ct);
            Worker worker = await WorkerBuilder.BuildAsync(options, load, server.Url.Port, time, loggers, ct);
            server.Attach(worker);
            RouterRegistration routers = new(worker, server.Url, time, loggers);
            routers.Start();
            return new ServingHost(server, worker, routers);
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    /// <summary>Serves until the token fires, then lets the requests inside end within the drain timeout.</summary>
    public async Task RunAsync(CancellationToken stop)
    {
        TaskCompletionSource stopped = new(TaskCreationOptions.RunContinuationsAsynchronously);
        await using CancellationTokenRegistration registration = stop.Register(() => stopped.TrySetResult());
        await stopped.Task;
        // First of all, so that no router sends anything that would be refused.
        await LeaveRoutersAsync();
        await _worker.DrainAsync(_worker.Options.DrainTimeout, CancellationToken.None);
    }

    public async ValueTask DisposeAsync()
    {
        await LeaveRoutersAsync();
        // Ranks first: their ends travel out over connections that the server still holds open.
        await _worker.DrainAsync(TimeSpan.Zero, CancellationToken.None);
        await _server.DisposeAsync();
        await _worker.DisposeAsync();
    }

    private async ValueTask LeaveRoutersAsync()
    {
        if (Interlocked.Exchange(ref _hasLeft, 1) == 0) await _routers.DisposeAsync();
    }
}
