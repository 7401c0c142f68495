using Baton.Core.Metrics;
using Baton.Router.Bodies;
using Baton.Router.Control;
using Baton.Router.Errors;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Primitives;

namespace Baton.Router.Http;

/// <summary>Every request that comes in: counted, and given to whoever serves its path.</summary>
internal sealed class RequestDispatch(
    RouterOptions options, RouterMetrics metrics, MetricsScrape scrape, AccessGuard access,
    DataApi data, ReadinessApi readiness, InfoApi info, RouteApi routes, ControlApi control, TimeProvider time)
{
    public async Task HandleAsync(HttpContext context)
    {
        TimeSpan received = time.GetElapsedTime(0);
        (string method, string path) = PathTags.Of(context.Request);
        metrics.Entered();
        if (options.CompatHeaders) context.Response.OnStarting(NameErrorForSmg, context);
        try
        {
            Task handling = DispatchAsync(context, received);
            // A request for tokens is on its way by now: what is noted here costs no latency.
            metrics.Came(method, path);
            await handling;
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            // The client left; there is nobody to answer.
        }
        finally
        {
            metrics.Answered(method, path, context.RequestAborted.IsCancellationRequested ? 499 : context.Response.StatusCode, time.GetElapsedTime(0) - received);
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
            ("POST", "/v1/chat/completions") => data.ForwardAsync(context, DataEndpoint.Chat, received),
            ("POST", "/v1/completions") => data.ForwardAsync(context, DataEndpoint.Completions, received),
            ("POST" or "PUT", "/generate") => data.ForwardAsync(context, DataEndpoint.Generate, received),
            ("GET", "/health" or "/liveness") => Reply.BytesAsync(context, 200, "{\"status\":\"ok\"}"u8.ToArray(), "application/json"),
            ("GET", "/readiness") => readiness.AnswerAsync(context),
            ("GET", "/health_generate") => info.HealthGenerateAsync(context),
            ("GET", "/metrics") => Reply.TextAsync(context, 200, scrape.Write(), PrometheusText.ContentType),
            ("GET", "/v1/models") => access.ForClientsAsync(context, info.ModelsAsync),
            ("GET", "/server_info" or "/get_server_info" or "/model_info" or "/get_model_info") => access.ForClientsAsync(context, info.ProxyAsync),
            ("POST", "/v1/tokenize" or "/v1/detokenize" or "/tokenize" or "/detokenize") => access.ForClientsAsync(context, info.ProxyAsync),
            ("POST", "/routes/explain") => access.ForOperatorsAsync(context, routes.ExplainAsync),
            ("GET", "/routes/recent") => access.ForOperatorsAsync(context, routes.RecentAsync),
            _ => OtherAsync(context),
        };
    }

    private async Task OtherAsync(HttpContext context)
    {
        if (await control.TryHandleAsync(context)) return;
        await Reply.ErrorAsync(context, new RouterError(501, "not_implemented", $"The router has no {context.Request.Method} {context.Request.Path}. "
            + "It serves /v1/chat/completions, /v1/completions, /generate, /v1/models, /workers, /routes/explain, /routes/recent, /health, /readiness and /metrics."));
    }
}
