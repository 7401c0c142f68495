using Baton.Core.Failures;
using Baton.Core.Handover;
using Baton.Core.Ids;
using Baton.Core.Kv;

namespace Baton.Transfer.Wire;

/// <summary>One message of the hand-over after the handshake. A link carries these; only a TCP link turns them into bytes.</summary>
/// <remarks>A struct, so that a chunk costs no object. Which fields count depends on <see cref="Type"/>; the factory methods set them.</remarks>
public readonly record struct KvFrame
{
    public KvFrameType Type { get; init; }
    /// <summary>1, 2, 3, ... in each direction of a link; 0 for <see cref="KvFrameType.Ping"/>, <see cref="KvFrameType.Pong"/> and <see cref="KvFrameType.Goodbye"/>.</summary>
    public uint Number { get; init; }
    public BootstrapRoom Room { get; init; }
    /// <summary>Which claim of the link this is about: 1, 2, 3, ... So a late frame of an old room never touches a new one of the same number.</summary>
    public uint Claim { get; init; }
    /// <summary>Claim: how many positions must arrive.</summary>
    public int PromptTokens { get; init; }
    /// <summary>WrongRank: which rank holds the room.</summary>
    public DpRank Rank { get; init; }
    /// <summary>Chunk: the positions that <see cref="Payload"/> holds.</summary>
    public KvRange Range { get; init; }
    /// <summary>Chunk: laid out as <see cref="KvLayout"/> says. Whoever has the frame owns it. Null on a chunk that came too late to be wanted.</summary>
    public KvBuffer? Payload { get; init; }
    public FirstToken? First { get; init; }
    /// <summary>Fail, Goodbye: as the peer said it, so it may be a number that this version does not know.</summary>
    public FailureReason Reason { get; init; }
    public string? Text { get; init; }
    /// <summary>Credit: bytes of payload.</summary>
    public long CreditBytes { get; init; }

    public static KvFrame ForClaim(BootstrapRoom room, uint claim, int promptTokens) =>
        new() { Type = KvFrameType.Claim, Room = room, Claim = claim, PromptTokens = promptTokens };

    public static KvFrame ForWrongRank(BootstrapRoom room, uint claim, DpRank right) =>
        new() { Type = KvFrameType.WrongRank, Room = room, Claim = claim, Rank = right };

    public static KvFrame ForChunk(BootstrapRoom room, uint claim, KvRange range, KvBuffer? payload) =>
        new() { Type = KvFrameType.Chunk, Room = room, Claim = claim, Range = range, Payload = payload };

    public static KvFrame ForLast(BootstrapRoom room, uint claim, FirstToken first) =>
        new() { Type = KvFrameType.Last, Room = room, Claim = claim, First = first };

    public static KvFrame ForAck(BootstrapRoom room, uint claim) => new() { Type = KvFrameType.Ack, Room = room, Claim = claim };

    public static KvFrame ForFail(BootstrapRoom room, uint claim, RequestFailure failure) =>
        new() { Type = KvFrameType.Fail, Room = room, Claim = claim, Reason = failure.Reason, Text = failure.Message };

    public static KvFrame ForCredit(long bytes) => new() { Type = KvFrameType.Credit, CreditBytes = bytes };

    public static KvFrame ForGoodbye(RequestFailure why) => new() { Type = KvFrameType.Goodbye, Reason = why.Reason, Text = why.Message };

    public static readonly KvFrame Ping = new() { Type = KvFrameType.Ping };

    public static readonly KvFrame Pong = new() { Type = KvFrameType.Pong };
}
