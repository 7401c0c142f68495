using System.Diagnostics;
using Baton.Router.Forwarding;

namespace Baton.Router;

/// <summary>The router's spans: <c>route</c>, below it <c>select.prefill</c>, <c>select.decode</c>, <c>leg.prefill</c>, <c>leg.decode</c> and <c>first_token</c>.</summary>
internal static class RouterTrace
{
    public const string SourceName = "Baton.Router";

    public static readonly ActivitySource Source = new(SourceName);

    /// <summary>The span of one request, a child of the client's <c>traceparent</c>; null when nobody listens.</summary>
    public static Activity? StartRoute(RequestHead head)
    {
        if (!Source.HasListeners()) return null;
        // The web server's own span around us is exported by nobody: as a parent it would tear the trace apart.
        Activity.Current = null;
        return ActivityContext.TryParse(Header(head, "traceparent"), Header(head, "tracestate"), isRemote: true, out ActivityContext client)
            ? Source.StartActivity("route", ActivityKind.Server, client) : Source.StartActivity("route", ActivityKind.Server);
    }

    private static string? Header(RequestHead head, string name)
    {
        foreach ((string key, string value) in head.Forwarded)
            if (key.Equals(name, StringComparison.OrdinalIgnoreCase)) return value;
        return null;
    }
}
