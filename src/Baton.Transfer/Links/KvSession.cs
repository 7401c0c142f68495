using System.Diagnostics;
using Baton.Core.Failures;
using Baton.Core.Ids;
using Baton.Core.Rooms;
using Baton.Transfer.Wire;

namespace Baton.Transfer.Links;

/// <summary>The frame numbers of one link, both ways. Kept by the state machines, so that every kind of link is held to them.</summary>
internal sealed class KvSession(IKvLink link)
{
    private uint _sent;
    private uint _received;

    public void Send(in KvFrame frame) => link.Send(frame with { Number = ++_sent });

    /// <exception cref="KvProtocolException">A frame was lost, repeated or overtaken.</exception>
    public void CheckNumber(in KvFrame frame)
    {
        uint expected = ++_received;
        if (frame.Number != expected) throw new KvProtocolException($"Frame {frame.Number} ({frame.Type}, {frame.Room}) came where frame {expected} was due.");
    }
}

/// <summary>Moves of a room's state that the table does not allow are bugs of this side, never the peer's doing.</summary>
internal static class KvMoves
{
    public static TransferState MoveTo(this TransferState state, TransferState next, BootstrapRoom room) =>
        state.CanMoveTo(next) ? next : throw new UnreachableException($"{room}: a transfer cannot move from {state} to {next}.");
}

/// <summary>What the other side's failures become on this side.</summary>
internal static class PeerFailures
{
    /// <summary>Keeps a reason that is about the request or the pairing; what is about the peer's own inside becomes <see cref="FailureReason.PeerFailed"/>.</summary>
    /// <param name="who">Names the peer, in front of its text.</param>
    public static RequestFailure Translate(FailureReason reason, string? text, string who)
    {
        FailureReason kept = reason is FailureReason.None or FailureReason.EngineError or FailureReason.InternalError || !Enum.IsDefined(reason) ? FailureReason.PeerFailed : reason;
        return new RequestFailure(kept, $"{who}: {(string.IsNullOrEmpty(text) ? reason.Row.Advice : text)}");
    }
}
