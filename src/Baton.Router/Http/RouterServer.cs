using Baton.Router.Control;
using Baton.Router.Discovery;
using Baton.Router.Forwarding;
using Baton.Router.KvEvents;
using Baton.Router.Legs;
using Baton.Router.Rooms;
using Baton.Router.Workers;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Baton.Router.Http;

/// <summary>The thin HTTP shell around <see cref="PdRouter"/>.</summary>
public sealed class RouterServer : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly RouterOptions _options;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly RouterMetrics _metrics;
    private readonly MetricsScrape _scrape;
    private readonly HttpLegTransport _transport;
    private readonly PdForwarder _forwarder;
    private readonly FleetMonitor _monitor;
    private readonly FleetControl _control;
    private readonly WorkerLeases _leases;
    private readonly WorkerLeases? _pods;
    private readonly KubernetesApi? _cluster;
    private readonly PodFollower? _follower;
    private readonly KvEventFollowers _kvEvents;
    private readonly DeepReadiness _deep;
    private readonly DataApi _data;
    private readonly ReadinessApi _readiness;
    private readonly CancellationTokenSource _stop = new();
    private readonly CancellationTokenSource _cut = new();
    private Task _background = Task.CompletedTask;
    private int _connections;

    /// <param name="seed">Of rooms, random policies and request ids.</param>
    /// <exception cref="ArgumentException">An option that names nothing we know, or a worker twice.</exception>
    /// <exception cref="FormatException">A certificate that cannot be read.</exception>
    public RouterServer(RouterOptions options, IEnumerable<WorkerSpec> workers, TimeProvider time, ulong seed, Action<ILoggingBuilder>? logging = null)
    {
        _options = options = options.Effective();
        _time = time;
        _app = RouterHost.Build(options, logging, CountAsync);
        ILoggerFactory loggers = _app.Services.GetRequiredService<ILoggerFactory>();
        _logger = loggers.CreateLogger<RouterServer>();

        WorkerFleet fleet = new(options.Breaker);
        Router = new PdRouter(options, fleet, seed);
        _metrics = new RouterMetrics(Router, () => Volatile.Read(ref _connections), time, options.DurationBuckets);
        _scrape = new MetricsScrape(_metrics, options.MetricsCompat, _logger);
        _transport = new HttpLegTransport(options.ConnectTimeout, time, () => _metrics.Replays.Add(1), WorkerTls.Load(options));
        RouteJournal journal = new();
        _forwarder = new PdForwarder(Router, _transport, options, _metrics, journal, time, seed + 1, loggers.CreateLogger<PdForwarder>()) { Shutdown = _cut.Token };
        _control = new FleetControl(Router, _transport, options, _metrics, time, loggers.CreateLogger<FleetControl>());
        foreach (WorkerSpec spec in workers)
            if (_control.Add(spec, WorkerSource.CommandLine) is null) throw new ArgumentException($"The worker {spec.Url} is given twice.");
        _monitor = new FleetMonitor(fleet, _transport, options, _metrics, time, loggers.CreateLogger<FleetMonitor>(), _control.Forget, TakeOut);
        if (options.Discovery is { } discovery)
        {
            _pods = new WorkerLeases(WorkerSource.Kubernetes, _control, fleet, Timeout.InfiniteTimeSpan, _metrics, time, loggers.CreateLogger<WorkerLeases>());
            _cluster = new KubernetesApi(discovery, time);
            _follower = new PodFollower(_cluster, discovery, _pods, _metrics, time, loggers.CreateLogger<PodFollower>());
        }
        _kvEvents = new KvEventFollowers(Router, options, time, loggers.CreateLogger<KvEventFollowers>());
        _leases = new WorkerLeases(WorkerSource.Lease, _control, fleet, options.LeaseTime, _metrics, time, loggers.CreateLogger<WorkerLeases>());
        KeyRing keys = new(options.ApiKeys), admin = new(options.AdminKey is { } key ? [key] : []);
        RequestHeads heads = new(options.ForwardHeaders, options.RequestIdHeaders, keepsAuthorization: !keys.IsEmpty);
        _deep = new DeepReadiness(Router, _forwarder, time);
        _data = new DataApi(keys, heads, new RouterRandom(~seed), _forwarder);
        _readiness = new ReadinessApi(Router, _deep);
        RequestDispatch dispatch = new(
            options, _metrics, _scrape, new AccessGuard(keys, admin), _data, _readiness, new InfoApi(Router, _transport),
            new RouteApi(Router, journal, heads, options.AllowClientRank, time), new ControlApi(Router, _control, _leases, _transport, admin, _stop.Token), time);
        RouterHost.UseCors(_app, options);
        _app.Run(dispatch.HandleAsync);
    }

    public PdRouter Router { get; }

    /// <summary>Where the server listens, with the port it got.</summary>
    public Uri Url { get; private set; } = new("http://127.0.0.1");

    /// <summary>Where <c>--prometheus-port</c> and <c>--health-check-port</c> listen, in this order.</summary>
    public IReadOnlyList<Uri> SidePorts { get; private set; } = [];

    /// <summary>Requests that hold a place now, and that wait for one.</summary>
    public (int Running, int Waiting) Admitted => _forwarder.Admitted;

    /// <exception cref="IOException">The port is taken.</exception>
    /// <exception cref="FormatException">The workers file cannot be used.</exception>
    public async Task StartAsync(CancellationToken ct)
    {
        if (_options.WorkersFile is not null && _control.Reload(_stop.Token) is { } refused) throw new FormatException(refused);
        await _app.StartAsync(ct);
        string[] bound = [.. _app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses];
        (Url, SidePorts) = (RouterHost.Reachable(bound[0]), [.. bound[1..].Select(RouterHost.Reachable)]);
        _background = Task.WhenAll(_monitor.RunAsync(_stop.Token), _control.FollowFileAsync(_stop.Token), _kvEvents.RunAsync(_stop.Token), _follower?.RunAsync(_stop.Token) ?? Task.CompletedTask);
        WorkerFleet.Snapshot fleet = Router.Fleet.Now;
        _logger.Listening(bound[0], fleet.Prefill.Count, fleet.Decode.Count, fleet.Unified.Count);
        if (fleet.All.Count == 0) _logger.NoWorkers(Url);
    }

    /// <summary>Waits until every worker is ready, or some are not when the time is up.</summary>
    /// <returns>The workers that are not ready; empty when all are.</returns>
    public async Task<IReadOnlyList<Worker>> WaitUntilReadyAsync(TimeSpan limit, CancellationToken ct)
    {
        long began = _time.GetTimestamp();
        while (true)
        {
            Worker[] missing = [.. Router.Fleet.Now.All.Where(w => w.Status != WorkerStatus.Ready)];
            if (missing.Length == 0 || _time.GetElapsedTime(began) >= limit) return missing;
            await Task.Delay(TimeSpan.FromMilliseconds(50), _time, ct);
        }
    }

    /// <summary>Says "not ready", then takes nothing new, then waits for what runs, then cuts it with an error event.</summary>
    /// <remarks>An idle router has nobody to wait for and is done at once.</remarks>
    public async Task DrainAsync()
    {
        _readiness.IsDraining = true;
        (int running, int waiting) = _forwarder.Admitted;
        _logger.Draining(running, waiting);
        if (running + waiting > 0) await Task.Delay(_options.DrainSettle, _time);
        _data.IsRefusing = true;
        long began = _time.GetTimestamp();
        while (_forwarder.Admitted is not (0, 0) && _time.GetElapsedTime(began) < _options.ShutdownGrace)
            await Task.Delay(TimeSpan.FromMilliseconds(20), _time);
        await _cut.CancelAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _cut.CancelAsync();
        await _background;
        await _app.DisposeAsync();
        _leases.Dispose();
        _pods?.Dispose();
        _cluster?.Dispose();
        _transport.Dispose();
        _scrape.Dispose();
        _metrics.Dispose();
        _deep.Dispose();
        _stop.Dispose();
        _cut.Dispose();
    }

    // A worker that holds a lease may come back with its next renewal, a pod's with the next list.
    private void TakeOut(Worker worker)
    {
        if (!_leases.GiveBack(worker.Spec.Url) && _pods?.GiveBack(worker.Spec.Url) is not true) _ = _control.RemoveAsync(worker, drain: true, _stop.Token);
    }

    private ConnectionDelegate CountAsync(ConnectionDelegate next) => async connection =>
    {
        Interlocked.Increment(ref _connections);
        try
        {
            await next(connection);
        }
        finally
        {
            Interlocked.Decrement(ref _connections);
        }
    };
}
