using Baton.Core.Failures;
using Baton.Core.Handover;
using Baton.Core.Rooms;
using Baton.Transfer.Links;
using Baton.Transfer.Wire;

namespace Baton.Transfer.Receiving;

/// <summary>What prefill ranks say, and what their links do.</summary>
public sealed partial class KvReceiver
{
    private void Handle(in KvInbox.Item item, List<KvReceiverEvent> events)
    {
        if (!_links.TryGetValue(item.Link, out ReceiverLink? link))
        {
            item.Frame.Payload?.Dispose(); // the link broke the protocol a moment ago and this came behind
            return;
        }
        switch (item.Kind)
        {
            case KvInbox.Kind.Opened:
                link.Open(item.Peer!);
                foreach (ReceiverRoom claimed in link.Rooms.Values) claimed.MoveTo(TransferState.WaitingForInput);
                logger.PrefillLinked(self.Rank, link.Name);
                break;
            case KvInbox.Kind.Closed:
                Lose(link, item.Why!, events);
                break;
            default:
                TryFollow(link, item.Frame, events);
                break;
        }
    }

    private void TryFollow(ReceiverLink link, in KvFrame frame, List<KvReceiverEvent> events)
    {
        try
        {
            link.CheckNumber(frame);
            if (!link.IsOpen) throw new KvProtocolException($"A {frame.Type} frame came before the link was open.");
            Follow(link, frame, events);
        }
        catch (KvProtocolException broken)
        {
            frame.Payload?.Dispose();
            RequestFailure why = RequestFailure.Of(FailureReason.TransferCorrupt, $"{link.Name} broke the hand-over protocol. {broken.Message}");
            logger.PeerBrokeProtocol(self.Rank, link.Name, broken);
            Lose(link, why, events);
            link.Link!.Close(why);
        }
    }

    private void Follow(ReceiverLink link, in KvFrame frame, List<KvReceiverEvent> events)
    {
        switch (frame.Type)
        {
            case KvFrameType.Chunk:
                OnChunk(link, frame, events);
                break;
            case KvFrameType.Last when link.Gate.AdmitLast(frame.Claim, frame.Room):
                OnLast(link.Rooms[frame.Claim], frame, events);
                break;
            case KvFrameType.WrongRank when link.Gate.IsLive(frame.Claim, frame.Room):
                if (frame.Rank == link.Endpoint.Rank) throw new KvProtocolException($"{frame.Room} was claimed at rank {frame.Rank}, which answers that rank {frame.Rank} holds it.");
                EndEarly(link.Rooms[frame.Claim], new KvReceiverEvent(KvReceiverEventKind.WrongRank, frame.Room) { RightRank = frame.Rank }, events);
                break;
            case KvFrameType.Fail when link.Gate.IsLive(frame.Claim, frame.Room):
                RequestFailure failure = PeerFailures.Translate(frame.Reason, frame.Text, link.Name);
                EndEarly(link.Rooms[frame.Claim], new KvReceiverEvent(KvReceiverEventKind.Failed, frame.Room) { Failure = failure }, events);
                break;
            case KvFrameType.Last or KvFrameType.WrongRank or KvFrameType.Fail: // its room ended here while it was under way
                break;
            default:
                throw new KvProtocolException($"Prefill may not send a {frame.Type} frame.");
        }
    }

    private void OnChunk(ReceiverLink link, in KvFrame frame, List<KvReceiverEvent> events)
    {
        long bytes = frame.Payload?.Length ?? self.Layout.PayloadBytes(frame.Range.TokenCount);
        bool isWanted = link.Gate.Admit(frame.Claim, frame.Room, frame.Range, bytes);
        if (isWanted && frame.Payload is null) throw new KvProtocolException($"Chunk {frame.Range} of {frame.Room} came without its cells.");
        Interlocked.Add(ref _bufferedBytes, bytes);
        if (frame.Payload is not { } payload)
        {
            link.Return((int)bytes); // the link threw the cells away because the room had ended; they still came out of the window
            return;
        }
        payload.Returned = link.OnReturned;
        if (!isWanted)
        {
            payload.Dispose();
            return;
        }
        ReceiverRoom claimed = link.Rooms[frame.Claim];
        if (claimed.State == TransferState.WaitingForInput) claimed.MoveTo(TransferState.Transferring);
        events.Add(new KvReceiverEvent(KvReceiverEventKind.Chunk, frame.Room) { Range = frame.Range, Payload = payload });
    }

    private static void OnLast(ReceiverRoom claimed, in KvFrame frame, List<KvReceiverEvent> events)
    {
        if (claimed.HasLast) throw new KvProtocolException($"{frame.Room} got two last frames.");
        claimed.HasLast = true;
        events.Add(new KvReceiverEvent(KvReceiverEventKind.Last, frame.Room) { First = frame.First });
    }

    private void EndEarly(ReceiverRoom claimed, in KvReceiverEvent end, List<KvReceiverEvent> events)
    {
        End(claimed, TransferState.Failed);
        events.Add(end);
    }

    /// <summary>Forgets the link and ends its rooms; the next claim of the endpoint makes a new one.</summary>
    /// <remarks>A room whose last frame came needs its link no more: it lives on, unless the peer turned out to be lying.</remarks>
    private void Lose(ReceiverLink link, RequestFailure why, List<KvReceiverEvent> events)
    {
        _links.Remove(link.Link!);
        _byEndpoint.Remove(link.Endpoint);
        logger.PrefillUnlinked(self.Rank, link.Name, why.Message);
        foreach (ReceiverRoom claimed in link.Rooms.Values.Where(room => !room.HasLast || why.Reason == FailureReason.TransferCorrupt).ToArray())
            EndEarly(claimed, new KvReceiverEvent(KvReceiverEventKind.Failed, claimed.Room) { Failure = why }, events);
    }
}
