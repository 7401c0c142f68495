using System.Globalization;
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

    /// <summary>Raw <c>tools</c> of a chat; may be empty.</summary>
    public ReadOnlyMemory<byte> Tools { get; init; }

    /// <summary>Ranks that the client asked for (<c>--allow-client-rank</c>).</summary>
    public AskedRank? PrefillRank { get; init; }

    public AskedRank? DecodeRank { get; init; }

    /// <summary>The place that the client asked for by <c>x-smg-target-worker</c>: a number, in words of the client.</summary>
    public string? Target { get; init; }

    /// <summary>Only this worker may be chosen for its role: probes of one pair.</summary>
    public Worker? PinPrefill { get; init; }

    public Worker? PinDecode { get; init; }
}

/// <summary>A rank that a client asked for.</summary>
/// <param name="Field">The header or the body's field that names it.</param>
/// <param name="Text">As the client wrote it.</param>
public readonly record struct AskedRank(string Field, string Text)
{
    /// <summary>Null when the text is no whole number from 0 up.</summary>
    public int? Rank => int.TryParse(Text, NumberStyles.None, CultureInfo.InvariantCulture, out int rank) ? rank : null;
}
