namespace Baton.Transfer.Wire;

/// <summary>What a frame of the KV hand-over says. The numbers are on the wire: append, never renumber.</summary>
/// <remarks>A peer of a newer minor version may send types that this one does not know: those from 128 up are skipped, any other ends the link.</remarks>
public enum KvFrameType : byte
{
    None = 0,
    /// <summary>Handshake, decode to prefill: version and a fresh number.</summary>
    Hello = 1,
    /// <summary>Handshake, prefill to decode: version, a fresh number and the proof that prefill holds the cluster secret.</summary>
    Challenge = 2,
    /// <summary>Handshake, decode to prefill: who decode is, with the proof over all that was said.</summary>
    Proof = 3,
    /// <summary>Handshake, prefill to decode: who prefill is, with the proof over all that was said.</summary>
    Ready = 4,
    /// <summary>Either way, the last frame of a link: why it ends.</summary>
    Goodbye = 5,
    /// <summary>Either way: are you there?</summary>
    Ping = 6,
    /// <summary>Either way: the answer to a ping.</summary>
    Pong = 7,

    /// <summary>Decode to prefill: cells are reserved for this room, send.</summary>
    Claim = 16,
    /// <summary>Prefill to decode: another rank holds the room.</summary>
    WrongRank = 17,
    /// <summary>Prefill to decode: a run of positions.</summary>
    Chunk = 18,
    /// <summary>Prefill to decode: every chunk was sent; the first token.</summary>
    Last = 19,
    /// <summary>Decode to prefill: everything was imported.</summary>
    Ack = 20,
    /// <summary>Either way: the room ended badly.</summary>
    Fail = 21,
    /// <summary>Decode to prefill: so many more bytes of payload may be under way.</summary>
    Credit = 22,
}

/// <summary>The rules that depend on a type alone.</summary>
internal static class KvFrameTypes
{
    private const int FirstSkippable = 128;

    extension(KvFrameType type)
    {
        public bool IsHandshake => type is >= KvFrameType.Hello and <= KvFrameType.Ready;

        /// <summary>Carries a frame number, so that a lost, repeated or reordered one is noticed.</summary>
        public bool IsNumbered => type is >= KvFrameType.Claim and <= KvFrameType.Credit;

        public bool IsSkippable => (int)type >= FirstSkippable;

        public bool IsKnown => type is (>= KvFrameType.Hello and <= KvFrameType.Pong) or (>= KvFrameType.Claim and <= KvFrameType.Credit);

        /// <summary>The header's room and claim mean something.</summary>
        public bool NamesRoom => type is >= KvFrameType.Claim and <= KvFrameType.Fail;
    }
}
