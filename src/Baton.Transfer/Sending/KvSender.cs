using System.Diagnostics;
using Baton.Core.Failures;
using Baton.Core.Handover;
using Baton.Core.Ids;
using Baton.Core.Kv;
using Baton.Core.Rooms;
using Baton.Transfer.Links;
using Baton.Transfer.Wire;
using Microsoft.Extensions.Logging;

namespace Baton.Transfer.Sending;

/// <summary>The prefill half of the hand-over for one rank: a synchronous state machine over any kind of link.</summary>
/// <remarks>
/// A room goes: opened here and claimed by decode, in either order; chunks; last frame; acknowledged. Whoever ends it first tells the
/// other. The rank's thread alone calls it; links speak to it through the inbox. docs/wire-protocol.md has the picture.
/// </remarks>
/// <param name="inbox">Where this rank's listener posts links and frames. Disposed with the sender.</param>
/// <param name="directory">Which rank of this worker holds a room, or null while nobody knows. Any thread may write it; it is asked on this one.</param>
public partial class KvSender(
    KvInbox inbox, KvIdentity self, TransferOptions options, Func<BootstrapRoom, DpRank?> directory, ILogger logger) : IKvSender
{
    private readonly Dictionary<BootstrapRoom, SenderRoom> _rooms = [];
    private readonly Dictionary<BootstrapRoom, EarlyClaim> _early = [];
    private readonly Dictionary<IKvLink, SenderLink> _links = [];
    private readonly EndedRooms _ended = new(options.MaxEndedRooms, options.EndedRoomTime);
    private readonly List<SenderLink> _promising = [];
    private readonly List<KvSenderEvent> _pending = [];
    private TimeSpan _now;
    private bool _isDisposed;

    /// <summary>Rooms that were opened and have not ended.</summary>
    public int OpenRooms => _rooms.Count;

    /// <summary>Claims that wait for their half of the request.</summary>
    public int EarlyClaims => _early.Count;

    public int Links => _links.Count;

    /// <inheritdoc/>
    /// <exception cref="UnreachableException">The room is open already: the scheduler refuses a second request with <c>DuplicateRoom</c>.</exception>
    public void Open(BootstrapRoom room, int promptTokens)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(promptTokens);
        SenderRoom opened = new(room, promptTokens);
        if (!_rooms.TryAdd(room, opened)) throw new UnreachableException($"{room} was opened twice.");

        bool gaveUp = _ended.TryGet(room, out EndedRooms.EndedRoom ended) && ended.ByDecode;
        _ended.Forget(room);
        if (gaveUp)
        {
            End(opened, ended.Failure!, byDecode: true);
            Report(new KvSenderEvent(KvSenderEventKind.Failed, room, ended.Failure));
        }
        else if (_early.Remove(room, out EarlyClaim? early))
        {
            Join(opened, early.Link, early.Claim, early.PromptTokens);
        }
    }

    public bool CanSend(BootstrapRoom room, int payloadBytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(payloadBytes);
        if (!_rooms.TryGetValue(room, out SenderRoom? open) || open.Link is not { } link) return false;
        bool isFirst = link.Promised == 0;
        if (!link.TryPromise(room, payloadBytes)) return false;
        if (isFirst) _promising.Add(link);
        return true;
    }

    public void Rouse(BootstrapRoom room)
    {
        if (_rooms.TryGetValue(room, out SenderRoom? open)) open.Link?.Link.Rouse();
    }

    /// <inheritdoc/>
    /// <exception cref="UnreachableException">No claim, no promise, the wrong length, or not the next range of the room.</exception>
    public void SendChunk(BootstrapRoom room, KvRange range, KvBuffer payload)
    {
        SenderRoom open = Claimed(room);
        if (payload.Length != self.Layout.PayloadBytes(range.TokenCount) || range.TokenCount > self.MaxChunkTokens)
            throw new UnreachableException($"{room}: chunk {range} has {payload.Length} bytes; {self.Layout.BytesPerToken} a token and at most {self.MaxChunkTokens} tokens are right.");
        if (payload.Length > open.Link!.Promised) throw new UnreachableException($"{room}: chunk {range} was sent without asking for room in the window.");
        if (!open.Sent.TryAdd(range)) throw new UnreachableException($"{room}: chunk {range} does not continue [0,{open.Sent.CoveredCount}) of {open.PromptTokens} tokens.");

        if (open.State == TransferState.WaitingForInput) open.MoveTo(TransferState.Transferring);
        open.Link.TakePromised(payload.Length);
        open.Link.Send(KvFrame.ForChunk(room, open.Claim, range, payload));
    }

    /// <inheritdoc/>
    /// <exception cref="UnreachableException">No claim, chunks are missing, or it was sent before.</exception>
    public void SendLast(BootstrapRoom room, FirstToken first)
    {
        SenderRoom open = Claimed(room);
        if (!open.Sent.IsComplete || open.IsLastSent)
            throw new UnreachableException($"{room}: the last frame goes out once, after all {open.PromptTokens} tokens; {open.Sent.CoveredCount} were sent.");
        open.IsLastSent = true;
        open.Link!.Send(KvFrame.ForLast(room, open.Claim, first));
    }

    /// <inheritdoc/>
    /// <remarks>A room that was never opened may be failed too: a request that was refused before it reached a queue.</remarks>
    public void Fail(BootstrapRoom room, RequestFailure failure)
    {
        if (_rooms.TryGetValue(room, out SenderRoom? open))
        {
            open.Link?.Send(KvFrame.ForFail(room, open.Claim, failure));
            End(open, failure, byDecode: false);
            return;
        }
        if (_early.Remove(room, out EarlyClaim? early)) Refuse(early.Link, early.Claim, room, failure);
        _ended.Add(room, failure, byDecode: false, _now);
    }

    public void Poll(TimeSpan now, List<KvSenderEvent> events)
    {
        _now = now;
        events.AddRange(_pending);
        _pending.Clear();
        DropPromises(events);
        while (inbox.TryTake(out KvInbox.Item item)) Handle(item, events);
        _ended.Expire(now);
        ReviewEarlyClaims(now);
    }

    public TimeSpan? NextDeadline
    {
        get
        {
            if (_pending.Count > 0) return _now;
            TimeSpan? ended = _ended.NextDeadline, early = _early.Count == 0 ? null : _nextReview;
            return ended is null || early < ended ? early : ended;
        }
    }

    /// <summary>Tells every decode rank that its rooms end, and closes the links.</summary>
    public void Dispose()
    {
        if (_isDisposed) return;
        _isDisposed = true;
        RequestFailure why = RequestFailure.Of(FailureReason.ShuttingDown, $"Prefill rank {self.Rank} ({self.InstanceId}) is shutting down.");
        foreach (SenderRoom open in _rooms.Values) open.Link?.Send(KvFrame.ForFail(open.Room, open.Claim, why));
        foreach ((BootstrapRoom room, EarlyClaim early) in _early) early.Link.Send(KvFrame.ForFail(room, early.Claim, why));
        foreach (SenderLink link in _links.Values) link.Link.Close(why);
        _rooms.Clear();
        _early.Clear();
        _links.Clear();
        inbox.Dispose();
        GC.SuppressFinalize(this);
    }

    /// <summary>For a checker: what this sender keeps for claims that came before their request, and for rooms that ended.</summary>
    internal SenderAudit Audit()
    {
        BootstrapRoom? revived = null;
        TimeSpan? oldest = null;
        foreach ((BootstrapRoom room, EarlyClaim early) in _early)
        {
            if (_ended.TryGet(room, out _)) revived = room;
            if (oldest is not { } least || early.Until < least) oldest = early.Until;
        }
        long excess = 0;
        foreach (SenderLink link in _links.Values) excess = Math.Max(excess, -link.Available);
        return new SenderAudit(_early.Count, oldest, _ended.Count, revived, excess);
    }

    /// <summary>Virtual for the simulator, which plants a sender that forgets its ended rooms.</summary>
    internal virtual bool HasEnded(BootstrapRoom room, out EndedRooms.EndedRoom ended) => _ended.TryGet(room, out ended);

    private SenderRoom Claimed(BootstrapRoom room) => _rooms.TryGetValue(room, out SenderRoom? open) && open.Link is not null
        ? open
        : throw new UnreachableException($"{room} is not open and claimed here, so nothing can be sent for it.");

    private void DropPromises(List<KvSenderEvent> events)
    {
        foreach (SenderLink link in _promising)
        {
            if (link.DropPromises()) ReportWindow(link, events);
        }
        _promising.Clear();
    }

    private void ReportWindow(SenderLink link, List<KvSenderEvent> events)
    {
        foreach (BootstrapRoom room in link.Starved)
        {
            if (_rooms.TryGetValue(room, out SenderRoom? open) && open.Link == link) events.Add(new KvSenderEvent(KvSenderEventKind.WindowOpen, room, null));
        }
        link.Starved.Clear();
    }

    /// <summary>For what happens outside <see cref="Poll"/>: the next one reports it.</summary>
    private void Report(KvSenderEvent happened)
    {
        _pending.Add(happened);
        inbox.Wake();
    }

    /// <summary>The room's one end on this side.</summary>
    private void End(SenderRoom open, RequestFailure? failure, bool byDecode)
    {
        open.MoveTo(failure is null ? TransferState.Success : TransferState.Failed);
        open.Link?.Claims.Remove(open.Claim);
        _rooms.Remove(open.Room);
        _ended.Add(open.Room, failure, byDecode, _now);
    }

    private static void Refuse(SenderLink link, uint claim, BootstrapRoom room, RequestFailure failure)
    {
        link.Claims.Remove(claim);
        link.Send(KvFrame.ForFail(room, claim, failure));
    }
}
