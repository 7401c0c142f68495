using Baton.Router.Bodies;
using Baton.Router.Choice;
using Baton.Router.Trouble;

namespace Baton.Router.Forwarding;

/// <summary>What the client's request line and headers contribute: what to forward, and what steers the choice.</summary>
public sealed record RequestHead
{
    /// <summary>Headers that both legs carry.</summary>
    public required IReadOnlyList<KeyValuePair<string, string>> Forwarded { get; init; }
    /// <summary><c>x-request-id</c>, the client's or ours.</summary>
    public required string RequestId { get; init; }
    /// <summary><c>x-smg-routing-key</c> or <c>x-session-id</c>.</summary>
    public string? RoutingKey { get; init; }
    public bool HasAuthorization { get; init; }
    public PriorityClass Priority { get; init; } = PriorityClass.Default;
    /// <summary>Whose concurrency the request counts against: the API key's tenant, or null.</summary>
    public string? Tenant { get; init; }
    /// <summary>Ranks that the client asked for by header; only read under <c>--allow-client-rank</c>.</summary>
    public AskedRank? PrefillRank { get; init; }
    public AskedRank? DecodeRank { get; init; }
    /// <summary><c>x-smg-target-worker</c>, for the policies that honour it.</summary>
    public string? Target { get; init; }
    /// <summary>When the request's first byte was read, on the router's clock.</summary>
    public TimeSpan ReceivedAt { get; init; }

    /// <summary>The question to the router that this head and a body make. A rank's header goes before the body's field, as in SGLang.</summary>
    public RouteQuery Query(ClientBody body, RequestFacts facts, bool allowClientRank) => new(facts, RoutingKey, body.Utf8[body.PromptRange])
    {
        Tools = body.Utf8[body.ToolsRange],
        PrefillRank = allowClientRank ? PrefillRank ?? body.AskedPrefillRank : null,
        DecodeRank = allowClientRank ? DecodeRank ?? body.AskedRank : null,
        Target = Target,
    };
}
