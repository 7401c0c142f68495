using System.Collections.Frozen;
using Microsoft.AspNetCore.Http;

namespace Baton.Router.Http;

/// <summary>Method and path as metrics tell them apart: what the router serves by its name, everything else as <c>other</c>.</summary>
internal static class PathTags
{
    private static readonly FrozenSet<string> Paths = new[]
    {
        "/generate", "/v1/completions", "/v1/chat/completions", "/health", "/liveness", "/readiness", "/health_generate", "/metrics", "/v1/models",
        "/server_info", "/get_server_info", "/model_info", "/get_model_info", "/v1/tokenize", "/v1/detokenize", "/tokenize", "/detokenize",
        "/routes/explain", "/routes/recent", "/workers", "/workers/lease", "/add_worker", "/remove_worker", "/list_workers", "/pd_role_switch", "/flush_cache",
        "/get_loads", "/engine_metrics", "/config/reload",
    }.ToFrozenSet(StringComparer.Ordinal);

    private static readonly FrozenSet<string> Methods = new[] { "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS" }.ToFrozenSet(StringComparer.Ordinal);

    public static (string Method, string Path) Of(HttpRequest request)
    {
        string path = request.Path.Value ?? "/";
        return (Methods.Contains(request.Method) ? request.Method : "other",
            Paths.Contains(path) ? path : path.StartsWith("/workers/", StringComparison.Ordinal) ? "/workers/{id}" : "other");
    }
}
