using Baton.Router.Errors;

namespace Baton.Router.Choice;

/// <summary>Why a request would go where it would go: the answer of <c>POST /routes/explain</c>.</summary>
public sealed record RouteExplanation
{
    /// <summary>Null on a unified fleet.</summary>
    public SideExplanation? Prefill { get; init; }
    public SideExplanation? Decode { get; init; }
    /// <summary>Why no route exists, or null.</summary>
    public RouterError? Error { get; init; }
}

public sealed record SideExplanation
{
    public required string Policy { get; init; }
    /// <summary><c>url</c> or <c>url@rank</c>; null when there is none.</summary>
    public string? Chosen { get; init; }
    /// <summary>The branch of the policy that decided.</summary>
    public required string Branch { get; init; }
    /// <summary><c>kv_events</c> or <c>sent_before</c>: what <c>cache_aware</c> looked at; null when it looked at nothing.</summary>
    public string? MatchedBy { get; init; }
    /// <summary>Tokens of the longest match there, also when it was too short to decide; null for text.</summary>
    public int? MatchedTokens { get; init; }
    public required IReadOnlyList<ScoredCandidate> Candidates { get; init; }
    public required IReadOnlyList<Exclusion> Excluded { get; init; }
}

public sealed record ScoredCandidate
{
    public required string Candidate { get; init; }
    /// <summary>The policy's figure for it, lower is better; null when the policy compares nothing.</summary>
    public double? Score { get; init; }
    public required int InFlight { get; init; }
    public required long PromptTokens { get; init; }
    public double? TokenUsage { get; init; }
}
