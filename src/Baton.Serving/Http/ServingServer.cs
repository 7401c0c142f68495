using System.Net;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Baton.Core.Failures;
using Baton.Serving.OpenAi;
using Baton.Serving.Output;
using Baton.Serving.Requests;
using Baton.Serving.Workers;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using BadHttpRequestException = Microsoft.AspNetCore.Http.BadHttpRequestException;

namespace Baton.Serving.Http;

/// <summary>The HTTP side of a worker: SGLang's native API and OpenAI's.</summary>
public sealed class ServingServer : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly ServeOptions _options;
    private readonly ILogger _logger;
    private readonly byte[]? _expectedKey;
    private Worker? _worker;
    private ControlEndpoints? _control;

    /// <summary>Listens from <see cref="StartAsync"/> on; until <see cref="Attach"/> every request but <c>/ping</c> is answered with 503.</summary>
    public ServingServer(ServeOptions options, ILoggerFactory loggers)
    {
        _options = options;
        _logger = loggers.CreateLogger<ServingServer>();
        _expectedKey = options.ApiKey is { } key ? SHA256.HashData(Encoding.UTF8.GetBytes(key)) : null;
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.Services.AddSingleton(loggers);
        // A request is read and answered on the thread that its bytes woke, still one of the pool: no second wake-up.
        builder.WebHost.UseSockets(s => s.UnsafePreferInlineScheduling = true).UseKestrelCore().ConfigureKestrel(Configure);
        _app = builder.Build();
        _app.Run(HandleAsync);
    }

    /// <summary>Where the server listens, with the port it got.</summary>
    public Uri Url { get; private set; } = new("http://127.0.0.1");

    public Worker? Worker => Volatile.Read(ref _worker);

    /// <exception cref="IOException">The port is taken.</exception>
    public async Task StartAsync(CancellationToken ct)
    {
        await _app.StartAsync(ct);
        string bound = _app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First();
        Url = new Uri(bound.Replace("0.0.0.0", "127.0.0.1", StringComparison.Ordinal).Replace("[::]", "127.0.0.1", StringComparison.Ordinal));
    }

    /// <summary>The worker is ready: requests are served from now on. It stays the caller's to dispose.</summary>
    public void Attach(Worker worker)
    {
        _control = new ControlEndpoints(worker, () => Url.Port);
        Volatile.Write(ref _worker, worker);
        _logger.WorkerStarted(_options.Role, _options.DpSize, worker.Text.ModelName, Url.ToString(), worker.MethodName);
    }

    public async ValueTask DisposeAsync()
    {
        await _app.StopAsync(CancellationToken.None);
        await _app.DisposeAsync();
        _control?.Dispose();
    }

    private void Configure(KestrelServerOptions kestrel)
    {
        kestrel.AddServerHeader = false;
        kestrel.Limits.MaxRequestBodySize = _options.Limits.MaxBodyBytes;
        // How much of one answer may wait for a slow client; what comes after waits as tokens in its own bounded channel.
        kestrel.Limits.MaxResponseBufferSize = 64 * 1024;
        if (IPAddress.TryParse(_options.Host, out IPAddress? address)) kestrel.Listen(address, _options.EffectivePort);
        else if (_options.Host == "localhost") kestrel.Listen(IPAddress.Loopback, _options.EffectivePort);
        else kestrel.ListenAnyIP(_options.EffectivePort);
    }

    private async Task HandleAsync(HttpContext context)
    {
        using JsonReply reply = new(context);
        CancellationToken ct = context.RequestAborted;
        try
        {
            await RouteAsync(context, reply, ct);
        }
        catch (BadRequestException bad)
        {
            await reply.SendAsync(400, json => ErrorJson.Write(json, bad.Message, "invalid_request_error", "invalid_request", bad.Field), ct);
        }
        catch (CallFailedException failed) when (!reply.HasBegun)
        {
            await reply.SendAsync(failed.Failure.Reason.HttpStatus, json => ErrorJson.Write(json, failed.Failure), ct);
        }
        catch (BadHttpRequestException bad) when (!reply.HasBegun)
        {
            string code = bad.StatusCode == StatusCodes.Status413PayloadTooLarge ? "payload_too_large" : "invalid_request";
            await reply.SendAsync(bad.StatusCode, json => ErrorJson.Write(json, bad.Message, "invalid_request_error", code, null), ct);
        }
        catch (OperationCanceledException) when (ct.IsCancellationRequested)
        {
            // The client left; its sequences were given up when the call was disposed.
        }
        catch (Exception bug)
        {
            // Written and not rethrown: the server has no page for it, and the client should learn the kind of failure.
            _logger.EndpointFailed(context.Request.Method, context.Request.Path, bug);
            await EndWithBugAsync(context, reply, RequestFailure.Of(FailureReason.InternalError, $"{bug.GetType().Name}: {bug.Message}"), ct);
        }
    }

    private static async Task EndWithBugAsync(HttpContext context, JsonReply reply, RequestFailure failure, CancellationToken ct)
    {
        if (!reply.HasBegun)
        {
            await reply.SendAsync(500, json => ErrorJson.Write(json, failure), ct);
            return;
        }
        // Half of a whole answer cannot be mended; a stream can say why it ends.
        if (!reply.IsStream)
        {
            context.Abort();
            return;
        }
        await reply.SendEventAsync(json => ErrorJson.Write(json, failure, null), ct);
        await reply.SendDoneAsync(ct);
    }

    private Task RouteAsync(HttpContext context, JsonReply reply, CancellationToken ct)
    {
        string method = context.Request.Method, path = context.Request.Path.Value ?? "/";
        if (path == "/ping") return Task.CompletedTask;
        if (Worker is not { } worker || _control is not { } control)
            return FailAsync(reply, 503, "starting", "The worker is starting: its model is being loaded.", ct);
        if (path is not ("/health" or "/health_generate" or "/metrics") && !HasKey(context.Request))
            return FailAsync(reply, 401, "invalid_api_key", "Send the worker's --api-key as Authorization: Bearer.", ct);
        return (method, path) switch
        {
            ("POST" or "PUT", "/generate") => GenerateAsync(worker, context, reply, ct),
            ("POST", "/v1/completions") => CompletionsAsync(worker, context, reply, ct),
            ("POST", "/v1/chat/completions") => ChatAsync(worker, context, reply, ct),
            _ => control.AnswerAsync(method, path, context, reply, ct),
        };
    }

    private async Task GenerateAsync(Worker worker, HttpContext context, JsonReply reply, CancellationToken ct)
    {
        GenerationCall call = await ReadCallAsync(worker, context, GenerateReader.Read, ct);
        NoteDeprecated(call, context);
        await GenerateEndpoint.AnswerAsync(worker, call, reply, ct);
    }

    private async Task CompletionsAsync(Worker worker, HttpContext context, JsonReply reply, CancellationToken ct)
    {
        OpenAiCall call = await ReadCallAsync(worker, context, CompletionReader.Read, ct);
        NoteDeprecated(call.Generation, context);
        await OpenAiEndpoint.AnswerAsync(worker, call, new CompletionShape(call, worker), reply, ct);
    }

    private async Task ChatAsync(Worker worker, HttpContext context, JsonReply reply, CancellationToken ct)
    {
        OpenAiCall call = await ReadCallAsync(worker, context, ChatReader.Read, ct);
        NoteDeprecated(call.Generation, context);
        await OpenAiEndpoint.AnswerAsync(worker, call, new ChatShape(call, worker), reply, ct);
    }

    private static async Task<T> ReadCallAsync<T>(Worker worker, HttpContext context, Func<JsonElement, CallContext, string?, T> read, CancellationToken ct)
    {
        using JsonDocument body = await ReadBodyAsync(context, ct);
        try
        {
            return read(body.RootElement, worker.Calls, RankHeader(context));
        }
        catch (BadRequestException bad)
        {
            worker.Refuse(body.RootElement, bad);
            throw;
        }
    }

    private void NoteDeprecated(GenerationCall call, HttpContext context)
    {
        if (!call.UsesDeprecatedRank) return;
        context.Response.Headers["Deprecation"] = "true";
        _logger.DeprecatedRank(call.DeprecatedRankDiffers ? "; both were given and differ, and routed_dp_rank counts" : "");
    }

    private static string? RankHeader(HttpContext context) =>
        context.Request.Headers.TryGetValue(RendezvousReader.RankHeader, out var values) && values.Count > 0 ? values[0] : null;

    internal static async Task<JsonDocument> ReadBodyAsync(HttpContext context, CancellationToken ct)
    {
        try
        {
            return await JsonDocument.ParseAsync(context.Request.Body, default, ct);
        }
        catch (JsonException broken)
        {
            throw new BadRequestException(null, $"The body is not JSON: {broken.Message}");
        }
    }

    private static Task FailAsync(JsonReply reply, int status, string code, string message, CancellationToken ct) =>
        reply.SendAsync(status, json => ErrorJson.Write(json, message, ErrorJson.TypeOf(status), code, null), ct);

    /// <summary>Compares hashes in constant time, so the answer's timing tells nothing about the key.</summary>
    private bool HasKey(HttpRequest request)
    {
        if (_expectedKey is null) return true;
        const string Scheme = "Bearer ";
        string given = request.Headers.Authorization.ToString();
        return given.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase)
            && CryptographicOperations.FixedTimeEquals(SHA256.HashData(Encoding.UTF8.GetBytes(given[Scheme.Length..].Trim())), _expectedKey);
    }
}
