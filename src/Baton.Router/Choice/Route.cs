using Baton.Core.Ids;
using Baton.Router.Workers;

namespace Baton.Router.Choice;

/// <summary>Where one attempt goes: a pair with its ranks and rooms, or one unified worker.</summary>
/// <remarks>Holds in-flight credits on both sides until <see cref="ReturnPrefill"/> and <see cref="ReturnDecode"/>, each of which counts once.</remarks>
public sealed class Route
{
    private readonly RankLedger? _prefillLedger;
    private readonly RankLedger _decodeLedger;
    private readonly int _sequences;
    private readonly int _promptTokens;
    private int _prefillHeld;
    private int _decodeHeld = 1;

    internal Route(Candidate? prefill, Candidate decode, IReadOnlyList<BootstrapRoom> rooms, int sequences, int promptTokens)
    {
        Prefill = prefill;
        Decode = decode;
        Rooms = rooms;
        (_sequences, _promptTokens) = (sequences, promptTokens);
        _prefillLedger = prefill is { } p ? p.Worker.Ledger(p.Rank) : null;
        _decodeLedger = decode.Worker.Ledger(decode.Rank);
        _prefillHeld = _prefillLedger is null ? 0 : 1;
        _prefillLedger?.Take(sequences, promptTokens);
        _decodeLedger.Take(sequences, promptTokens);
    }

    /// <summary>Null on a unified route.</summary>
    public Candidate? Prefill { get; }

    /// <summary>The worker whose bytes the client gets: decode, or the unified worker.</summary>
    public Candidate Decode { get; }

    /// <summary>One a sequence; empty on a unified route.</summary>
    public IReadOnlyList<BootstrapRoom> Rooms { get; }

    public BootstrapRoom? FirstRoom => Rooms.Count > 0 ? Rooms[0] : null;

    public string PrefillBranch { get; init; } = "";

    public string DecodeBranch { get; init; } = "";

    public void ReturnPrefill()
    {
        if (Interlocked.Exchange(ref _prefillHeld, 0) == 1) _prefillLedger!.Return(_sequences, _promptTokens);
    }

    public void ReturnDecode()
    {
        if (Interlocked.Exchange(ref _decodeHeld, 0) == 1) _decodeLedger.Return(_sequences, _promptTokens);
    }
}
