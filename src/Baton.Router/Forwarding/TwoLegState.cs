namespace Baton.Router.Forwarding;

/// <summary>Where the prefill leg stands.</summary>
public enum PrefillLeg : byte
{
    /// <summary>P0: sent, no whole answer yet.</summary>
    Sent,
    /// <summary>P+: 2xx, read to its end. Also a route without a prefill leg.</summary>
    Done,
    /// <summary>P-: transport error, a status other than 2xx, or an abort inside a 2xx.</summary>
    Failed,
}

/// <summary>Where the decode leg stands.</summary>
public enum DecodeLeg : byte
{
    /// <summary>D0 or Dh: no byte of the body yet.</summary>
    Waiting,
    /// <summary>D1: the first byte is there and goes to the client.</summary>
    Flowing,
    /// <summary>D+.</summary>
    Done,
    /// <summary>D-.</summary>
    Failed,
}

public enum LegEvent : byte
{
    PrefillDone,
    PrefillFailed,
    DecodeFirstByte,
    DecodeDone,
    DecodeFailed,
    /// <summary>The stream ended in order, but without its terminal event.</summary>
    DecodeTruncated,
    /// <summary>The client closed its connection.</summary>
    ClientGone,
}

[Flags]
public enum LegAction : ushort
{
    None = 0,
    CancelPrefill = 1,
    CancelDecode = 2,
    /// <summary>Answer (or retry) with the prefill leg's error.</summary>
    FailWithPrefill = 4,
    /// <summary>Answer (or retry) with the decode leg's error.</summary>
    FailWithDecode = 8,
    /// <summary>Begin to pass decode's bytes on.</summary>
    Relay = 16,
    /// <summary>The answer has begun: end the stream with an error event, never retry.</summary>
    CutStream = 32,
    /// <summary>Count it; the client's stream goes on.</summary>
    NoteLatePrefill = 64,
    Finish = 128,
    /// <summary>The answer has begun and ends here as it did on decode's side: the client sees the end of the stream, decode's breaker a failure.</summary>
    PassEnd = 256,
}

/// <summary>How the two legs of one attempt are coupled: the table of docs/router.md as code.</summary>
/// <remarks>A value: <see cref="On"/> returns the next state with what to do, so the whole space is walked by a test.</remarks>
public readonly record struct TwoLegState(PrefillLeg Prefill, DecodeLeg Decode)
{
    public static readonly TwoLegState Pair = new(PrefillLeg.Sent, DecodeLeg.Waiting);

    /// <summary>A unified worker: there is no prefill leg to wait for.</summary>
    public static readonly TwoLegState Single = new(PrefillLeg.Done, DecodeLeg.Waiting);

    /// <summary>The client's side of the attempt is decided; a prefill leg may still be running out.</summary>
    public bool IsOver => Decode is DecodeLeg.Done or DecodeLeg.Failed;

    public (TwoLegState Next, LegAction Do) On(LegEvent what) => (what, Prefill, Decode) switch
    {
        (LegEvent.PrefillDone, PrefillLeg.Sent, _) => (this with { Prefill = PrefillLeg.Done }, LegAction.None),
        // The decode leg would wait for a KV cache that never comes: end it now, not at its own timeout.
        (LegEvent.PrefillFailed, PrefillLeg.Sent, DecodeLeg.Waiting) =>
            (new(PrefillLeg.Failed, DecodeLeg.Failed), LegAction.CancelDecode | LegAction.FailWithPrefill),
        // Decode has the whole cache already, or it could not have produced a byte.
        (LegEvent.PrefillFailed, PrefillLeg.Sent, DecodeLeg.Flowing) => (this with { Prefill = PrefillLeg.Failed }, LegAction.NoteLatePrefill),
        (LegEvent.PrefillFailed, PrefillLeg.Sent, DecodeLeg.Done) => (this with { Prefill = PrefillLeg.Failed }, LegAction.NoteLatePrefill),
        (LegEvent.PrefillFailed, PrefillLeg.Sent, DecodeLeg.Failed) => (this with { Prefill = PrefillLeg.Failed }, LegAction.None),

        (LegEvent.DecodeFirstByte, _, DecodeLeg.Waiting) => (this with { Decode = DecodeLeg.Flowing }, LegAction.Relay),
        (LegEvent.DecodeDone, _, DecodeLeg.Waiting or DecodeLeg.Flowing) => (this with { Decode = DecodeLeg.Done }, LegAction.Finish),
        (LegEvent.DecodeFailed or LegEvent.DecodeTruncated, PrefillLeg.Sent, DecodeLeg.Waiting) =>
            (this with { Decode = DecodeLeg.Failed }, LegAction.CancelPrefill | LegAction.FailWithDecode),
        (LegEvent.DecodeFailed or LegEvent.DecodeTruncated, _, DecodeLeg.Waiting) => (this with { Decode = DecodeLeg.Failed }, LegAction.FailWithDecode),
        (LegEvent.DecodeFailed, PrefillLeg.Sent, DecodeLeg.Flowing) =>
            (this with { Decode = DecodeLeg.Failed }, LegAction.CancelPrefill | LegAction.CutStream),
        (LegEvent.DecodeFailed, _, DecodeLeg.Flowing) => (this with { Decode = DecodeLeg.Failed }, LegAction.CutStream),
        (LegEvent.DecodeTruncated, PrefillLeg.Sent, DecodeLeg.Flowing) =>
            (this with { Decode = DecodeLeg.Failed }, LegAction.CancelPrefill | LegAction.PassEnd),
        (LegEvent.DecodeTruncated, _, DecodeLeg.Flowing) => (this with { Decode = DecodeLeg.Failed }, LegAction.PassEnd),

        (LegEvent.ClientGone, PrefillLeg.Sent, DecodeLeg.Waiting or DecodeLeg.Flowing) =>
            (this with { Decode = DecodeLeg.Failed }, LegAction.CancelPrefill | LegAction.CancelDecode),
        (LegEvent.ClientGone, _, DecodeLeg.Waiting or DecodeLeg.Flowing) => (this with { Decode = DecodeLeg.Failed }, LegAction.CancelDecode),
        // Everything else is the echo of an end that is already decided.
        _ => (this, LegAction.None),
    };
}

/// <summary>The state of one attempt. Two flows report to it, and whichever event comes first decides.</summary>
internal sealed class TwoLegs(TwoLegState start)
{
    private readonly Lock _lock = new();
    private TwoLegState _state = start;

    /// <summary>Moves on, and says what the teller has to do. <see cref="LegAction.None"/>: it was decided before.</summary>
    public LegAction Tell(LegEvent what)
    {
        lock (_lock)
        {
            (_state, LegAction action) = _state.On(what);
            return action;
        }
    }
}
