using System.Diagnostics.Metrics;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Baton.Core.Metrics;
using Baton.Serving.Requests;
using Baton.Serving.Workers;
using Microsoft.AspNetCore.Http;

namespace Baton.Serving.Http;

/// <summary>Everything that does not generate for a client: health, information, control, metrics.</summary>
internal sealed class ControlEndpoints : IDisposable
{
    private readonly Worker _worker;
    private readonly Func<int> _port;
    private readonly MetricsCollector _metrics;

    /// <param name="port">The port that the HTTP server got.</param>
    public ControlEndpoints(Worker worker, Func<int> port)
    {
        (_worker, _port) = (worker, port);
        // The worker's own meter, and those of its process without an owner: bootstrap and transfer.
        _metrics = new MetricsCollector(meter => IsOurs(meter));
    }

    public Task AnswerAsync(string method, string path, HttpContext context, JsonReply reply, CancellationToken ct) => (method, path) switch
    {
        ("GET" or "HEAD", "/health") => HealthAsync(context, reply, ct),
        ("GET", "/health_generate") => HealthGenerateAsync(context, reply, ct),
        ("GET", "/server_info" or "/get_server_info") => reply.SendAsync(200, json => InfoJson.WriteServerInfo(json, _worker, _port()), ct),
        ("GET", "/model_info" or "/get_model_info") => reply.SendAsync(200, json => InfoJson.WriteModelInfo(json, _worker), ct),
        ("GET", "/v1/models") => reply.SendAsync(200, json => InfoJson.WriteModels(json, _worker), ct),
        ("GET", "/v1/loads") => reply.SendAsync(200, json => InfoJson.WriteLoads(json, _worker), ct),
        ("GET", "/get_load") => reply.SendAsync(200, json => InfoJson.WriteOldLoads(json, _worker), ct),
        ("GET" or "POST", "/flush_cache") => FlushAsync(context, ct),
        ("POST", "/abort_request") => AbortAsync(context, ct),
        ("GET", "/metrics") => TextAsync(context, 200, PrometheusText.Write(_metrics.Collect()), PrometheusText.ContentType, ct),
        _ => reply.SendAsync(404, json => ErrorJson.Write(
            json, $"There is no {method} {path}. docs/http-api.md lists what a worker serves.", ErrorJson.TypeOf(404), "not_found", null), ct),
    };

    public void Dispose() => _metrics.Dispose();

    private bool IsOurs(Meter meter) => ReferenceEquals(meter, _worker.Metrics.Meter)
        || (meter.Name.StartsWith("Baton.", StringComparison.Ordinal) && meter.Name != ServingMetrics.MeterName);

    /// <summary>Empty on success, as SGLang's; otherwise why not.</summary>
    private Task HealthAsync(HttpContext context, JsonReply reply, CancellationToken ct)
    {
        if (_worker.FindHealthProblem() is { } problem)
            return reply.SendAsync(503, json => ErrorJson.Write(json, problem, "server_error", "unhealthy", null), ct);
        context.Response.ContentLength = 0;
        return Task.CompletedTask;
    }

    private async Task HealthGenerateAsync(HttpContext context, JsonReply reply, CancellationToken ct)
    {
        string? problem = _worker.FindHealthProblem() ?? await HealthGeneration.FindProblemAsync(_worker, ct);
        if (problem is null) context.Response.ContentLength = 0;
        else await reply.SendAsync(503, json => ErrorJson.Write(json, problem, "server_error", "unhealthy", null), ct);
    }

    /// <summary>There is no prefix cache to flush; the contract that routers rely on is "200 when idle".</summary>
    private async Task FlushAsync(HttpContext context, CancellationToken ct)
    {
        string? text = context.Request.Query["timeout"];
        double seconds = 0;
        if (text is not null && (!double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out seconds) || !double.IsFinite(seconds) || seconds > 3600))
            throw new BadRequestException("timeout", $"timeout: must be a number of seconds up to 3600, and is {text}.");
        TimeSpan end = _worker.Clock.Now + TimeSpan.FromSeconds(Math.Max(0, seconds));
        while (_worker.LiveRequests > 0 && _worker.Clock.Now < end) await Task.Delay(TimeSpan.FromMilliseconds(20), _worker.Clock.Time, ct);
        int live = _worker.LiveRequests;
        if (live == 0) await TextAsync(context, 200, "Cache flushed.\n", "text/plain; charset=utf-8", ct);
        else await TextAsync(context, 400, $"Cannot flush: {live} requests are running or waiting. Wait for them, or send ?timeout=SECONDS.\n", "text/plain; charset=utf-8", ct);
    }

    private async Task AbortAsync(HttpContext context, CancellationToken ct)
    {
        using JsonDocument body = await ServingServer.ReadBodyAsync(context, ct);
        JsonFields fields = Body.Fields(body.RootElement);
        bool all = fields.Flag("abort_all");
        string? rid = fields.Text("rid", _worker.Calls.Limits.MaxRidLength);
        if (!all && string.IsNullOrEmpty(rid)) throw fields.Bad("rid", "is missing; give it, or abort_all: true");
        _worker.Abort(rid, all);
        context.Response.ContentLength = 0;
    }

    private static async Task TextAsync(HttpContext context, int status, string text, string type, CancellationToken ct)
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = type;
        await context.Response.BodyWriter.WriteAsync(Encoding.UTF8.GetBytes(text), ct);
    }
}
