using Baton.Router.Choice;
using Baton.Router.Forwarding;
using Baton.Router.Trouble;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Primitives;

namespace Baton.Router.Http;

/// <summary>Takes from the client's headers what goes on; everything else stays here, above all rank and override headers.</summary>
/// <param name="more">Further names to forward.</param>
/// <param name="idHeaders">Where a client may name its request, the first that is there counts.</param>
/// <param name="keepsAuthorization">The router has keys of its own, so the client's authorization was meant for it and ends here.</param>
internal sealed class RequestHeads(IEnumerable<string> more, IReadOnlyList<string> idHeaders, bool keepsAuthorization)
{
    private readonly HashSet<string> _forwarded = new(
        [
            "x-correlation-id", "traceparent", "tracestate", "x-smg-routing-key", "x-session-id", "x-priority",
            .. keepsAuthorization ? (string[])[] : ["authorization"], .. more,
        ], StringComparer.OrdinalIgnoreCase);

    public RequestHead From(HttpRequest request, string freshId, string? tenant, TimeSpan now)
    {
        string requestId = GivenId(request) ?? freshId;
        List<KeyValuePair<string, string>> forwarded = [new("x-request-id", requestId)];
        foreach ((string name, StringValues values) in request.Headers)
        {
            // It is there already, whatever the client calls it.
            if (name.Equals("x-request-id", StringComparison.OrdinalIgnoreCase)) continue;
            if (!_forwarded.Contains(name) && !name.StartsWith("x-request-id-", StringComparison.OrdinalIgnoreCase)) continue;
            foreach (string? value in values)
                if (value is not null) forwarded.Add(new(name, value));
        }
        return new RequestHead
        {
            Forwarded = forwarded,
            RequestId = requestId,
            RoutingKey = First(request, "x-smg-routing-key") ?? First(request, "x-session-id"),
            HasAuthorization = !keepsAuthorization && request.Headers.Authorization.Count > 0,
            Priority = AdmissionQueue.ClassOf(First(request, "x-priority")),
            Tenant = tenant,
            PrefillRank = Rank(request, "x-prefill-dp-rank"),
            DecodeRank = Rank(request, "x-decode-dp-rank"),
            Target = First(request, "x-smg-target-worker"),
            ReceivedAt = now,
        };
    }

    private string? GivenId(HttpRequest request)
    {
        for (int i = 0; i < idHeaders.Count; i++)
            if (request.Headers.TryGetValue(idHeaders[i], out StringValues given) && given is [{ Length: > 0 } only]) return only;
        return null;
    }

    private static AskedRank? Rank(HttpRequest request, string name) => First(request, name) is { } text ? new AskedRank(name, text) : null;

    private static string? First(HttpRequest request, string name) => request.Headers.TryGetValue(name, out StringValues values) ? values[0] : null;
}
