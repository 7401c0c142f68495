using Baton.Router.Forwarding;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Primitives;

namespace Baton.Router.Http;

/// <summary>Takes from the client's headers what goes on; everything else stays here, above all rank and override headers.</summary>
internal static class RequestHeads
{
    private static readonly HashSet<string> Forwarded = new(StringComparer.OrdinalIgnoreCase)
    {
        "authorization", "x-request-id", "x-correlation-id", "traceparent", "tracestate", "x-smg-routing-key", "x-session-id", "x-priority",
    };

    public static RequestHead From(HttpRequest request, string freshId)
    {
        string requestId = request.Headers.TryGetValue("x-request-id", out StringValues given) && given.Count == 1 ? given[0]! : freshId;
        List<KeyValuePair<string, string>> forwarded = [new("x-request-id", requestId)];
        foreach ((string name, StringValues values) in request.Headers)
        {
            if (name.Equals("x-request-id", StringComparison.OrdinalIgnoreCase)) continue;
            if (!Forwarded.Contains(name) && !name.StartsWith("x-request-id-", StringComparison.OrdinalIgnoreCase)) continue;
            foreach (string? value in values)
                if (value is not null) forwarded.Add(new(name, value));
        }
        return new RequestHead
        {
            Forwarded = forwarded,
            RequestId = requestId,
            RoutingKey = First(request, "x-smg-routing-key") ?? First(request, "x-session-id"),
            HasAuthorization = request.Headers.ContainsKey("authorization"),
        };
    }

    private static string? First(HttpRequest request, string name) => request.Headers.TryGetValue(name, out StringValues values) ? values[0] : null;
}
