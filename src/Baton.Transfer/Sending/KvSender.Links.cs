using Baton.Core.Failures;
using Baton.Core.Handover;
using Baton.Core.Ids;
using Baton.Transfer.Links;
using Baton.Transfer.Wire;

namespace Baton.Transfer.Sending;

/// <summary>What decode ranks say, and what their links do.</summary>
public partial class KvSender
{
    private TimeSpan _nextReview;

    private void Handle(in KvInbox.Item item, List<KvSenderEvent> events)
    {
        switch (item.Kind)
        {
            case KvInbox.Kind.Opened:
                _links.Add(item.Link, new SenderLink(item.Link, item.Peer!, Math.Min(self.WindowBytes, item.Peer!.WindowBytes)));
                logger.DecodeLinked(self.Rank, item.Peer!.Rank, item.Peer.InstanceId);
                break;
            case KvInbox.Kind.Closed:
                if (_links.TryGetValue(item.Link, out SenderLink? lost)) Lose(lost, item.Why!, events);
                break;
            case KvInbox.Kind.Frame when _links.TryGetValue(item.Link, out SenderLink? link):
                TryFollow(link, item.Frame, events);
                break;
            default: // the link broke the protocol a moment ago and this came behind
                item.Frame.Payload?.Dispose();
                break;
        }
    }

    private void TryFollow(SenderLink link, in KvFrame frame, List<KvSenderEvent> events)
    {
        try
        {
            link.CheckNumber(frame);
            Follow(link, frame, events);
        }
        catch (KvProtocolException broken)
        {
            frame.Payload?.Dispose();
            RequestFailure why = RequestFailure.Of(FailureReason.TransferCorrupt, $"{link.Name} broke the hand-over protocol. {broken.Message}");
            logger.PeerBrokeProtocol(self.Rank, link.Name, broken);
            Lose(link, why, events);
            link.Link.Close(why);
        }
    }

    private void Follow(SenderLink link, in KvFrame frame, List<KvSenderEvent> events)
    {
        switch (frame.Type)
        {
            case KvFrameType.Claim:
                OnClaim(link, frame, events);
                break;
            case KvFrameType.Ack:
                OnAck(link, frame, events);
                break;
            case KvFrameType.Fail:
                OnFail(link, frame, events);
                break;
            case KvFrameType.Credit:
                link.Grant(frame.CreditBytes);
                ReportWindow(link, events);
                break;
            default:
                throw new KvProtocolException($"Decode may not send a {frame.Type} frame.");
        }
    }

    private void OnClaim(SenderLink link, in KvFrame frame, List<KvSenderEvent> events)
    {
        if (frame.Claim != link.NewestClaim + 1) throw new KvProtocolException($"Claim {frame.Claim} came after claim {link.NewestClaim}.");
        link.NewestClaim = frame.Claim;
        link.Claims.Add(frame.Claim, frame.Room);

        if (_rooms.TryGetValue(frame.Room, out SenderRoom? open))
        {
            if (open.Link is not null) Refuse(link, frame.Claim, frame.Room, Duplicate(frame.Room, open.Link));
            else Join(open, link, frame.Claim, frame.PromptTokens, events);
        }
        else if (HasEnded(frame.Room, out EndedRooms.EndedRoom ended))
        {
            Refuse(link, frame.Claim, frame.Room, ended.Failure ?? Unknown(frame.Room, "was delivered already"));
        }
        else if (directory(frame.Room) is { } right && right != self.Rank)
        {
            Redirect(link, frame.Claim, frame.Room, right);
        }
        else if (_early.TryGetValue(frame.Room, out EarlyClaim? other))
        {
            Refuse(link, frame.Claim, frame.Room, Duplicate(frame.Room, other.Link));
        }
        else if (_early.Count >= options.MaxEarlyClaims)
        {
            Refuse(link, frame.Claim, frame.Room, RequestFailure.Of(
                FailureReason.QueueFull, $"{frame.Room}: prefill rank {self.Rank} already keeps {_early.Count} claims whose requests have not come."));
        }
        else
        {
            if (_early.Count == 0) _nextReview = _now + options.DirectoryInterval;
            _early.Add(frame.Room, new EarlyClaim(link, frame.Claim, frame.PromptTokens, _now + options.EarlyClaimTimeout));
        }
    }

    /// <summary>Opened and claimed: both halves of the request have met.</summary>
    private void Join(SenderRoom open, SenderLink link, uint claim, int promptTokens, List<KvSenderEvent>? events = null)
    {
        KvSenderEvent met = new(KvSenderEventKind.Claimed, open.Room, null);
        if (promptTokens == open.PromptTokens)
        {
            open.Attach(link, claim);
        }
        else
        {
            RequestFailure failure = RequestFailure.Of(
                FailureReason.PeerMismatch, $"{open.Room}: the prompt has {open.PromptTokens} tokens on prefill rank {self.Rank} and {promptTokens} on {link.Name}.");
            Refuse(link, claim, open.Room, failure);
            End(open, failure, byDecode: false);
            met = new KvSenderEvent(KvSenderEventKind.Failed, open.Room, failure);
        }
        if (events is null) Report(met);
        else events.Add(met);
    }

    private void OnAck(SenderLink link, in KvFrame frame, List<KvSenderEvent> events)
    {
        if (!IsLive(link, frame)) return;
        if (!_rooms.TryGetValue(frame.Room, out SenderRoom? open) || !open.IsLastSent) throw new KvProtocolException($"{frame.Room} was acknowledged before its last frame was sent.");
        End(open, null, byDecode: false);
        events.Add(new KvSenderEvent(KvSenderEventKind.Delivered, frame.Room, null));
    }

    private void OnFail(SenderLink link, in KvFrame frame, List<KvSenderEvent> events)
    {
        if (!IsLive(link, frame)) return;
        RequestFailure failure = PeerFailures.Translate(frame.Reason, frame.Text, link.Name);
        link.Claims.Remove(frame.Claim);
        if (_early.Remove(frame.Room))
        {
            _ended.Add(frame.Room, failure, byDecode: true, _now);
            return;
        }
        End(_rooms[frame.Room], failure, byDecode: true);
        events.Add(new KvSenderEvent(KvSenderEventKind.Failed, frame.Room, failure));
    }

    /// <summary>False when this side ended the claim while the frame was under way.</summary>
    private static bool IsLive(SenderLink link, in KvFrame frame)
    {
        if (frame.Claim == 0 || frame.Claim > link.NewestClaim) throw new KvProtocolException($"A {frame.Type} frame of {frame.Room} came under claim {frame.Claim}, which was never made.");
        if (!link.Claims.TryGetValue(frame.Claim, out BootstrapRoom room)) return false;
        return room == frame.Room ? true : throw new KvProtocolException($"Claim {frame.Claim} is for {room} and a {frame.Type} frame under it names {frame.Room}.");
    }

    /// <summary>Forgets the link and ends its rooms.</summary>
    private void Lose(SenderLink link, RequestFailure why, List<KvSenderEvent> events)
    {
        _links.Remove(link.Link);
        logger.DecodeUnlinked(self.Rank, link.Name, why.Message);
        foreach (BootstrapRoom room in link.Claims.Values.ToArray())
        {
            if (_early.Remove(room)) continue;
            End(_rooms[room], why, byDecode: true);
            events.Add(new KvSenderEvent(KvSenderEventKind.Failed, room, why));
        }
    }

    /// <summary>Early claims whose time is up, or whose request has meanwhile gone to another rank.</summary>
    private void ReviewEarlyClaims(TimeSpan now)
    {
        if (_early.Count == 0 || now < _nextReview) return;
        _nextReview = now + options.DirectoryInterval;
        foreach ((BootstrapRoom room, EarlyClaim early) in _early)
        {
            if (now >= early.Until)
            {
                _early.Remove(room);
                Refuse(early.Link, early.Claim, room, Unknown(room, $"did not come within {options.EarlyClaimTimeout.TotalSeconds:0.###} s of its claim"));
            }
            else if (directory(room) is { } right && right != self.Rank)
            {
                _early.Remove(room);
                Redirect(early.Link, early.Claim, room, right);
            }
        }
    }

    private static void Redirect(SenderLink link, uint claim, BootstrapRoom room, DpRank right)
    {
        link.Claims.Remove(claim);
        link.Send(KvFrame.ForWrongRank(room, claim, right));
    }

    private RequestFailure Unknown(BootstrapRoom room, string what) => RequestFailure.Of(FailureReason.UnknownRoom, $"{room}: on prefill rank {self.Rank} the request {what}.");

    private RequestFailure Duplicate(BootstrapRoom room, SenderLink owner) =>
        RequestFailure.Of(FailureReason.DuplicateRoom, $"{room}: {owner.Name} has claimed it on prefill rank {self.Rank} already.");
}
