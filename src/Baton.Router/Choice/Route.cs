using Baton.Core.Ids;
using Baton.Router.Trouble;
using Baton.Router.Workers;

namespace Baton.Router.Choice;

/// <summary>Where one attempt goes: a pair with its ranks and rooms, or one unified worker.</summary>
/// <remarks>
/// Holds in-flight credits on both sides, and a breaker's probe where it is one, until <see cref="EndPrefill"/> and
/// <see cref="EndDecode"/>. Each counts once; a second call is the echo of an end that was already booked.
/// </remarks>
public sealed class Route
{
    private readonly int _sequences;
    private readonly int _promptTokens;
    private readonly RankState? _prefillState;
    private readonly RankState _decodeState;
    private readonly bool _prefillProbe, _decodeProbe;
    private int _promptHeld, _prefillHeld, _decodeHeld = 1;

    internal Route(Candidate? prefill, Candidate decode, IReadOnlyList<BootstrapRoom> rooms, int sequences, int promptTokens, TimeSpan now)
    {
        Prefill = prefill;
        Decode = decode;
        Rooms = rooms;
        (_sequences, _promptTokens) = (sequences, promptTokens);
        _decodeState = decode.State;
        _decodeState.Take(sequences, promptTokens, now);
        _decodeProbe = _decodeState.Breaker.Begin();
        if (prefill is not { } candidate) return;
        _prefillState = candidate.State;
        _prefillState.Take(sequences, promptTokens, now);
        _prefillProbe = _prefillState.Breaker.Begin();
        (_promptHeld, _prefillHeld) = (1, 1);
    }

    /// <summary>Null on a unified route.</summary>
    public Candidate? Prefill { get; }

    /// <summary>The worker whose bytes the client gets: decode, or the unified worker.</summary>
    public Candidate Decode { get; }

    /// <summary>One a sequence; empty on a unified route.</summary>
    public IReadOnlyList<BootstrapRoom> Rooms { get; }

    public BootstrapRoom? FirstRoom => Rooms.Count > 0 ? Rooms[0] : null;

    /// <summary>How its policy chose each side.</summary>
    public PolicyPick PrefillPick { get; init; }

    public PolicyPick DecodePick { get; init; }

    /// <summary>Decode has begun to answer, so the prompt is computed: prefill's tokens are free for others, although its leg may end a step later.</summary>
    public void EndPrompt(TimeSpan now) => EndPrompt(now, areComputed: true);

    private void EndPrompt(TimeSpan now, bool areComputed)
    {
        if (_prefillState is null || Interlocked.Exchange(ref _promptHeld, 0) == 0) return;
        _prefillState.EndPrompts(_promptTokens, now, areComputed);
    }

    /// <summary>Books how prefill's leg ended and returns its credit.</summary>
    /// <remarks>The credit last: whoever sees that nothing runs there any more also sees how the last leg ended.</remarks>
    public void EndPrefill(LegOutcome outcome, TimeSpan now)
    {
        if (Interlocked.Exchange(ref _prefillHeld, 0) == 0) return;
        EndPrompt(now, areComputed: outcome == LegOutcome.Success);
        _prefillState!.Breaker.End(outcome, _prefillProbe, now);
        _prefillState.Return(_sequences);
    }

    /// <summary>Books how decode's leg ended and returns its credit, in this order as well.</summary>
    public void EndDecode(LegOutcome outcome, TimeSpan now)
    {
        if (Interlocked.Exchange(ref _decodeHeld, 0) == 0) return;
        _decodeState.EndPrompts(_promptTokens, now, areComputed: false);
        _decodeState.Breaker.End(outcome, _decodeProbe, now);
        _decodeState.Return(_sequences);
    }
}
