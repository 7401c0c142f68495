using System.Net;
using System.Text.Json;
using Baton.Router.Bodies;
using Baton.Router.Errors;
using Baton.Router.Forwarding;
using Baton.Router.Legs;
using Baton.Router.Rooms;
using Baton.Router.Workers;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Baton.Router.Http;

/// <summary>The thin HTTP shell around <see cref="PdRouter"/>.</summary>
public sealed class RouterServer : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly RouterOptions _options;
    private readonly PdRouter _router;
    private readonly PdForwarder _forwarder;
    private readonly HttpLegTransport _transport;
    private readonly FleetMonitor _monitor;
    private readonly TimeProvider _time;
    private readonly RouterRandom _ids;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _stop = new();
    private Task _monitoring = Task.CompletedTask;

    /// <param name="seed">Of rooms, random policies and request ids.</param>
    /// <exception cref="ArgumentException">An option that names nothing we know.</exception>
    public RouterServer(RouterOptions options, IEnumerable<WorkerSpec> workers, TimeProvider time, ulong seed, Action<ILoggingBuilder>? logging = null)
    {
        _options = options;
        _time = time;
        _ids = new RouterRandom(~seed);
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        if (logging is not null) builder.Logging.AddFilter("Microsoft", LogLevel.Warning);
        logging?.Invoke(builder.Logging);
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = options.MaxPayloadSize;
            // How much of one stream may wait for a slow client before decode's socket is left unread.
            kestrel.Limits.MaxResponseBufferSize = 64 * 1024;
            if (IPAddress.TryParse(options.Host, out IPAddress? address)) kestrel.Listen(address, options.Port);
            else if (options.Host == "localhost") kestrel.ListenLocalhost(options.Port);
            else kestrel.ListenAnyIP(options.Port);
        });
        _app = builder.Build();
        ILoggerFactory loggers = _app.Services.GetRequiredService<ILoggerFactory>();
        _logger = loggers.CreateLogger<RouterServer>();

        WorkerFleet fleet = new();
        foreach (WorkerSpec spec in workers)
            if (fleet.Add(spec) is null) throw new ArgumentException($"The worker {spec.Url} is given twice.", nameof(workers));
        _router = new PdRouter(options, fleet, seed);
        _transport = new HttpLegTransport(options.ConnectTimeout);
        _forwarder = new PdForwarder(_router, _transport, options, time, loggers.CreateLogger<PdForwarder>());
        _monitor = new FleetMonitor(fleet, _transport, options, time, loggers.CreateLogger<FleetMonitor>());
        _app.Run(HandleAsync);
    }

    public PdRouter Router => _router;

    /// <summary>Where the server listens, with the port it got.</summary>
    public Uri Url { get; private set; } = new("http://127.0.0.1");

    /// <exception cref="IOException">The port is taken.</exception>
    public async Task StartAsync(CancellationToken ct)
    {
        await _app.StartAsync(ct);
        string bound = _app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First();
        Url = new Uri(bound.Replace("0.0.0.0", "127.0.0.1", StringComparison.Ordinal).Replace("[::]", "127.0.0.1", StringComparison.Ordinal));
        _monitoring = _monitor.RunAsync(_stop.Token);
        WorkerFleet.Snapshot fleet = _router.Fleet.Now;
        _logger.Listening(bound, fleet.Prefill.Count, fleet.Decode.Count, fleet.Unified.Count);
    }

    public Task WaitForShutdownAsync(CancellationToken ct) => _app.WaitForShutdownAsync(ct);

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _monitoring;
        await _app.DisposeAsync();
        _transport.Dispose();
        _stop.Dispose();
    }

    private Task HandleAsync(HttpContext context) => (context.Request.Method, context.Request.Path.Value) switch
    {
        ("POST", "/v1/chat/completions") => ForwardAsync(context, DataEndpoint.Chat),
        ("POST", "/v1/completions") => ForwardAsync(context, DataEndpoint.Completions),
        ("POST" or "PUT", "/generate") => ForwardAsync(context, DataEndpoint.Generate),
        ("GET", "/health" or "/liveness") => AnswerAsync(context, 200, "{\"status\":\"ok\"}"u8.ToArray()),
        ("GET", "/readiness") => ReadinessAsync(context),
        ("GET", "/workers") => AnswerAsync(context, 200, JsonSerializer.SerializeToUtf8Bytes(WorkerList.Of(_router.Fleet.Now), RouterJson.Default.WorkerList)),
        ("GET", "/v1/models" or "/server_info" or "/get_server_info" or "/model_info" or "/get_model_info") => ProxyAsync(context),
        (_, var path) => FailAsync(context, new RouterError(501, "not_implemented",
            $"The router has no {context.Request.Method} {path}. It serves /v1/chat/completions, /v1/completions, /generate, /v1/models, /workers, /health and /readiness.")),
    };

    private async Task ForwardAsync(HttpContext context, DataEndpoint endpoint)
    {
        RequestHead head = RequestHeads.From(context.Request, $"req-{_ids.Next():x16}");
        try
        {
            using BodyBuffer buffer = await BodyBuffer.ReadAsync(context.Request, context.RequestAborted);
            ClientBody body = ClientBodyReader.Read(buffer.Utf8, endpoint);
            await _forwarder.ForwardAsync(body, head, new HttpClientReply(context), context.RequestAborted);
        }
        catch (BodyException e)
        {
            await FailAsync(context, new RouterError(400, e.Code, e.Message));
        }
        catch (BadHttpRequestException e)
        {
            await FailAsync(context, new RouterError(e.StatusCode, e.StatusCode == 413 ? "payload_too_large" : "invalid_request_body", e.Message));
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            // The client left; there is nobody to answer.
        }
    }

    private Task ReadinessAsync(HttpContext context)
    {
        ReadinessBody body = ReadinessBody.Of(_router.Fleet.Now);
        return AnswerAsync(context, body.Status == "ready" ? 200 : 503, JsonSerializer.SerializeToUtf8Bytes(body, RouterJson.Default.ReadinessBody));
    }

    /// <summary>Asks the first ready prefill worker (or unified one) and passes its answer on.</summary>
    private async Task ProxyAsync(HttpContext context)
    {
        WorkerFleet.Snapshot fleet = _router.Fleet.Now;
        Worker? worker = fleet.Prefill.Concat(fleet.Unified).FirstOrDefault(w => w.Status == WorkerStatus.Ready);
        if (worker is null)
        {
            await FailAsync(context, new RouterError(503, "server_selection_failed", "No prefill or unified worker is ready. See GET /workers.") { IsRetryable = true });
            return;
        }
        string path = context.Request.Path.Value! + context.Request.QueryString;
        try
        {
            (int status, byte[] body, string? type) = await _transport.CallAsync(HttpMethod.Get, worker.Url + path, worker.Spec.ApiKey, null, context.RequestAborted);
            context.Response.ContentType = type ?? "application/json";
            context.Response.StatusCode = status;
            await context.Response.Body.WriteAsync(body, context.RequestAborted);
        }
        catch (LegException e)
        {
            await FailAsync(context, FailureMapping.FromTransport(FailureMapping.LegOf(worker.Role), worker.Url, e));
        }
    }

    private static Task FailAsync(HttpContext context, RouterError error)
    {
        context.Response.Headers["x-baton-error-code"] = error.Code;
        return AnswerAsync(context, error.Status, error.ToJson());
    }

    private static async Task AnswerAsync(HttpContext context, int status, byte[] json)
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = "application/json";
        context.Response.ContentLength = json.Length;
        await context.Response.Body.WriteAsync(json, context.RequestAborted);
    }
}
