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
    /// <summary>Ranks that the client asked for; only read under <c>--allow-client-rank</c>.</summary>
    public int? PrefillRank { get; init; }
    public int? DecodeRank { get; init; }
    /// <summary>When the request's first byte was read, on the router's clock.</summary>
    public TimeSpan ReceivedAt { get; init; }
}
