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
}
