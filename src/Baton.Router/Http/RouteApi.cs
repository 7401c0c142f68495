using Baton.Router.Bodies;
using Baton.Router.Choice;
using Baton.Router.Errors;
using Baton.Router.Forwarding;
using Microsoft.AspNetCore.Http;

namespace Baton.Router.Http;

/// <summary>Every decision explained: before it is made, and after.</summary>
internal sealed class RouteApi(PdRouter router, RouteJournal journal, RequestHeads heads, bool allowClientRank, TimeProvider time)
{
    private const int MaxBodyBytes = 16 << 20;

    /// <summary><c>POST /routes/explain</c>: a dry run for a request body. <c>?endpoint=</c> names the endpoint it is meant for.</summary>
    public async Task ExplainAsync(HttpContext context)
    {
        try
        {
            byte[] bytes = await Reply.BodyAsync(context, MaxBodyBytes);
            ClientBody body = ClientBodyReader.Read(bytes, EndpointOf(context.Request.Query["endpoint"].ToString(), bytes));
            RequestHead head = heads.From(context.Request, "explain", null, time.GetElapsedTime(0));
            RouteExplanation explanation = router.Explain(head.Query(body, body.Facts, allowClientRank), time.GetElapsedTime(0));
            await Reply.JsonAsync(context, 200, explanation, RouterJson.Default.RouteExplanation);
        }
        catch (Exception e) when (e is BodyException or FormatException)
        {
            await Reply.ErrorAsync(context, new RouterError(400, (e as BodyException)?.Code ?? "invalid_request_body", e.Message));
        }
    }

    /// <summary><c>GET /routes/recent?limit=</c>: the last decisions with their outcomes, newest first.</summary>
    public Task RecentAsync(HttpContext context)
    {
        int limit = int.TryParse(context.Request.Query["limit"], out int asked) ? Math.Clamp(asked, 1, 1000) : 100;
        return Reply.JsonAsync(context, 200, new RecentRoutes { Routes = journal.Recent(limit) }, RouterJson.Default.RecentRoutes);
    }

    private static DataEndpoint EndpointOf(string name, byte[] body) => name switch
    {
        "/generate" => DataEndpoint.Generate,
        "/v1/completions" => DataEndpoint.Completions,
        "/v1/chat/completions" => DataEndpoint.Chat,
        "" => body.AsSpan().IndexOf("\"messages\""u8) >= 0 ? DataEndpoint.Chat : body.AsSpan().IndexOf("\"prompt\""u8) >= 0 ? DataEndpoint.Completions : DataEndpoint.Generate,
        _ => throw new FormatException($"endpoint '{name}' is none of /generate, /v1/completions, /v1/chat/completions."),
    };
}

internal sealed record RecentRoutes
{
    public required IReadOnlyList<RouteEntry> Routes { get; init; }
}
