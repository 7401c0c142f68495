using Baton.Router.Bodies;
using Baton.Router.Workers;

namespace Baton.Router.Choice;

/// <summary>One question to the router: where does this go?</summary>
/// <param name="Facts">Of the body.</param>
/// <param name="Key">The client's session key for sticky policies, or null.</param>
/// <param name="Prompt">Raw prompt bytes for prefix-aware policies; may be empty.</param>
public readonly record struct RouteQuery(RequestFacts Facts, string? Key, ReadOnlyMemory<byte> Prompt)
{
    /// <summary>Workers that failed this request already.</summary>
    public IReadOnlyCollection<Worker> Avoid { get; init; } = [];

    /// <summary>A decode candidate to keep when it still may be chosen: only prefill failed, and decode never answered.</summary>
    public Candidate? KeepDecode { get; init; }

    /// <summary>Ranks that the client asked for (<c>--allow-client-rank</c>).</summary>
    public int? PrefillRank { get; init; }

    public int? DecodeRank { get; init; }

    /// <summary>Only this worker may be chosen for its role: probes of one pair.</summary>
    public Worker? PinPrefill { get; init; }

    public Worker? PinDecode { get; init; }
}
