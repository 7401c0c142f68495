using Baton.Core.Metrics;
using Baton.Router.Bodies;
using Baton.Router.Control;
using Baton.Router.Discovery;
using Baton.Router.Errors;
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
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Primitives;
using BadHttpRequestException = Microsoft.AspNetCore.Http.BadHttpRequestException;

namespace Baton.Router.Http;

/// <summary>The thin HTTP shell around <see cref="PdRouter"/>.</summary>
public sealed class RouterServer : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly RouterOptions _options;
    private readonly TimeProvider _time;
    private readonly RouterRandom _ids;
    private readonly ILogger _logger;
    private readonly KeyRing _keys;
    private readonly RequestHeads _heads;
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
    private readonly ControlApi _controlApi;
    private readonly InfoApi _info;
    private readonly RouteApi _routes;
    private readonly KeyRing _admin;
    private readonly DeepReadiness _deep;
    private readonly CancellationTokenSource _stop = new();
    private readonly CancellationTokenSource _cut = new();
    private Task _background = Task.CompletedTask;
    private int _connections;
    private volatile bool _draining, _refusing;

    /// <param name="seed">Of rooms, random policies and request ids.</param>
    /// <exception cref="ArgumentException">An option that names nothing we know, or a worker twice.</exception>
    /// <exception cref="FormatException">A certificate that cannot be read.</exception>
    public RouterServer(RouterOptions options, IEnumerable<WorkerSpec> workers, TimeProvider time, ulong seed, Action<ILoggingBuilder>? logging = null)
    {
        _options = options = options.Effective();
        _time = time;
        _ids = new RouterRandom(~seed);
        _app = RouterHost.Build(options, logging, CountAsync);
        ILoggerFactory loggers = _app.Services.GetRequiredService<ILoggerFactory>();
        _logger = loggers.CreateLogger<RouterServer>();

        WorkerFleet fleet = new(options.Breaker);
        Router = new PdRouter(options, fleet, seed);
        _metrics = new RouterMetrics(Router, () => Volatile.Read(ref _connections), time, options.DurationBuckets);
        _scrape = new MetricsScrape(_metrics, options.MetricsCompat, _logger);
        _keys = new KeyRing(options.ApiKeys);
        _heads = new RequestHeads(options.ForwardHeaders, options.RequestIdHeaders, keepsAuthorization: !_keys.IsEmpty);
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
        _admin = new KeyRing(options.AdminKey is { } key ? [key] : []);
        _controlApi = new ControlApi(Router, _control, _leases, _transport, _admin, _stop.Token);
        _info = new InfoApi(Router, _transport);
        _routes = new RouteApi(Router, journal, _heads, options.AllowClientRank, time);
        _deep = new DeepReadiness(Router, _forwarder, time);
        RouterHost.UseCors(_app, options);
        _app.Run(HandleAsync);
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
        _draining = true;
        (int running, int waiting) = _forwarder.Admitted;
        _logger.Draining(running, waiting);
        if (running + waiting > 0) await Task.Delay(_options.DrainSettle, _time);
        _refusing = true;
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

    private async Task HandleAsync(HttpContext context)
    {
        TimeSpan received = _time.GetElapsedTime(0);
        (string method, string path) = PathTags.Of(context.Request);
        _metrics.Entered();
        if (_options.CompatHeaders) context.Response.OnStarting(NameErrorForSmg, context);
        try
        {
            Task handling = DispatchAsync(context, received);
            // A request for tokens is on its way by now: what is noted here costs no latency.
            _metrics.Came(method, path);
            await handling;
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            // The client left; there is nobody to answer.
        }
        finally
        {
            _metrics.Answered(method, path, context.RequestAborted.IsCancellationRequested ? 499 : context.Response.StatusCode, _time.GetElapsedTime(0) - received);
        }
    }

    private static Task NameErrorForSmg(object state)
    {
        IHeaderDictionary headers = ((HttpContext)state).Response.Headers;
        if (headers.TryGetValue("x-baton-error-code", out StringValues code)) headers["x-smg-error-code"] = code;
        return Task.CompletedTask;
    }

    private Task DispatchAsync(HttpContext context, TimeSpan received)
    {
        string path = context.Request.Path.Value ?? "/";
        if (context.Features.Get<SidePort>() is { } side && !side.Serves.Contains(path))
            return Reply.ErrorAsync(context, new RouterError(404, "not_found", $"This port serves {string.Join(", ", side.Serves)} only."));
        return (context.Request.Method, path) switch
        {
            ("POST", "/v1/chat/completions") => ForwardAsync(context, DataEndpoint.Chat, received),
            ("POST", "/v1/completions") => ForwardAsync(context, DataEndpoint.Completions, received),
            ("POST" or "PUT", "/generate") => ForwardAsync(context, DataEndpoint.Generate, received),
            ("GET", "/health" or "/liveness") => Reply.BytesAsync(context, 200, "{\"status\":\"ok\"}"u8.ToArray(), "application/json"),
            ("GET", "/readiness") => ReadinessAsync(context),
            ("GET", "/health_generate") => _info.HealthGenerateAsync(context),
            ("GET", "/metrics") => Reply.TextAsync(context, 200, _scrape.Write(), PrometheusText.ContentType),
            ("GET", "/v1/models") => GuardedAsync(context, _info.ModelsAsync),
            ("GET", "/server_info" or "/get_server_info" or "/model_info" or "/get_model_info") => GuardedAsync(context, _info.ProxyAsync),
            ("POST", "/v1/tokenize" or "/v1/detokenize" or "/tokenize" or "/detokenize") => GuardedAsync(context, _info.ProxyAsync),
            ("POST", "/routes/explain") => OperatorsAsync(context, _routes.ExplainAsync),
            ("GET", "/routes/recent") => OperatorsAsync(context, _routes.RecentAsync),
            _ => OtherAsync(context),
        };
    }

    private async Task OtherAsync(HttpContext context)
    {
        if (await _controlApi.TryHandleAsync(context)) return;
        await Reply.ErrorAsync(context, new RouterError(501, "not_implemented", $"The router has no {context.Request.Method} {context.Request.Path}. "
            + "It serves /v1/chat/completions, /v1/completions, /generate, /v1/models, /workers, /routes/explain, /routes/recent, /health, /readiness and /metrics."));
    }

    private Task GuardedAsync(HttpContext context, Func<HttpContext, Task> handler) =>
        _keys.Admits(context.Request.Headers.Authorization, out _) ? handler(context) : Reply.ErrorAsync(context, Unauthorized());

    // They name workers and other tenants' requests. Without an admin key whoever may send requests may ask why they went where.
    private Task OperatorsAsync(HttpContext context, Func<HttpContext, Task> handler) => _options.AdminKey is null ? GuardedAsync(context, handler)
        : _admin.Admits(context.Request.Headers.Authorization, out _) ? handler(context)
        : Reply.ErrorAsync(context, new RouterError(401, "unauthorized", "Send the router's admin key as 'Authorization: Bearer KEY'."));

    private Task ForwardAsync(HttpContext context, DataEndpoint endpoint, TimeSpan received)
    {
        if (!_keys.Admits(context.Request.Headers.Authorization, out string? tenant)) return Reply.ErrorAsync(context, Unauthorized());
        if (!_refusing) return ForwardAdmittedAsync(context, endpoint, _heads.From(context.Request, $"req-{_ids.Next():x16}", tenant, received));
        context.Response.Headers.Connection = "close";
        return Reply.ErrorAsync(context, new RouterError(503, "draining", "The router is shutting down. Send the request to another one.") { IsRetryable = true });
    }

    private async Task ForwardAdmittedAsync(HttpContext context, DataEndpoint endpoint, RequestHead head)
    {
        try
        {
            using BodyBuffer buffer = await BodyBuffer.ReadAsync(context.Request, context.RequestAborted);
            ClientBody body = ClientBodyReader.Read(buffer.Utf8, endpoint);
            await _forwarder.ForwardAsync(body, head, new HttpClientReply(context), context.RequestAborted);
        }
        catch (BodyException e)
        {
            await Reply.ErrorAsync(context, new RouterError(400, e.Code, e.Message));
        }
        catch (BadHttpRequestException e)
        {
            await Reply.ErrorAsync(context, new RouterError(e.StatusCode, e.StatusCode == 413 ? "payload_too_large" : "invalid_request_body", e.Message));
        }
    }

    private async Task ReadinessAsync(HttpContext context)
    {
        ReadinessBody body = ReadinessBody.Of(Router.Fleet.Now);
        if (_draining) body = body with { Status = "draining" };
        else if (context.Request.Query["deep"] == "1" && body.Status == "ready")
        {
            body = body with { Pairs = await _deep.ProbeAsync(context.RequestAborted) };
            if (body.Pairs.Any(p => !p.Ok)) body = body with { Status = "pair_failing" };
        }
        await Reply.JsonAsync(context, body.Status == "ready" ? 200 : 503, body, RouterJson.Default.ReadinessBody);
    }

    private static RouterError Unauthorized() => new(401, "unauthorized", "Send one of the router's keys as 'Authorization: Bearer KEY'.");
}
