using System.Collections.Concurrent;
using System.Diagnostics;
using Baton.Core.Failures;
using Baton.Core.Handover;
using Baton.Core.Ids;
using Baton.Core.Rooms;
using Baton.Transfer.Links;
using Baton.Transfer.Wire;
using Microsoft.Extensions.Logging;

namespace Baton.Transfer.Receiving;

/// <summary>The decode half of the hand-over for one rank: a synchronous state machine over any kind of link.</summary>
/// <remarks>
/// One link for each prefill endpoint, shared by its rooms, made at the first claim and again at the next one after it broke. The rank's
/// thread alone calls it; links speak to it through the inbox. Deadlines of rooms are the scheduler's, those of links are the links'.
/// </remarks>
/// <param name="inbox">Where the links of this rank post. Disposed with the receiver.</param>
public sealed partial class KvReceiver(KvInbox inbox, IKvConnector connector, KvIdentity self, ILogger logger) : IKvReceiver
{
    private readonly Dictionary<BootstrapRoom, ReceiverRoom> _rooms = [];
    private readonly Dictionary<KvEndpoint, ReceiverLink> _byEndpoint = [];
    private readonly Dictionary<IKvLink, ReceiverLink> _links = [];
    private readonly ConcurrentQueue<ReceiverLink> _toGrant = new();
    private long _bufferedBytes;
    private bool _isDisposed;

    /// <summary>Rooms that were claimed and have not ended.</summary>
    public int ClaimedRooms => _rooms.Count;

    public int Links => _links.Count;

    /// <inheritdoc/>
    /// <remarks>Counts what <see cref="Poll"/> handed out and nobody has disposed of yet; each link's share stays inside its window.</remarks>
    public long BufferedBytes => Interlocked.Read(ref _bufferedBytes);

    /// <inheritdoc/>
    /// <exception cref="UnreachableException">The room is claimed already: the scheduler refuses a second request with <c>DuplicateRoom</c>.</exception>
    public void Claim(BootstrapRoom room, KvEndpoint endpoint, int promptTokens)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(promptTokens);
        if (_rooms.ContainsKey(room)) throw new UnreachableException($"{room} was claimed twice.");

        ReceiverLink link = LinkTo(endpoint);
        ReceiverRoom claimed = new(room, link, ++link.NewestClaim);
        _rooms.Add(room, claimed);
        link.Rooms.Add(claimed.Claim, claimed);
        link.Gate.Claim(claimed.Claim, room, promptTokens);
        if (link.IsOpen) claimed.MoveTo(TransferState.WaitingForInput);
        link.Send(KvFrame.ForClaim(room, claimed.Claim, promptTokens));
    }

    /// <inheritdoc/>
    /// <exception cref="UnreachableException">The room is not live, or its last frame has not come.</exception>
    public void Acknowledge(BootstrapRoom room)
    {
        if (!_rooms.TryGetValue(room, out ReceiverRoom? claimed) || !claimed.HasLast) throw new UnreachableException($"{room} cannot be acknowledged: its last frame has not come.");
        End(claimed, TransferState.Success);
        claimed.Link.Send(KvFrame.ForAck(room, claimed.Claim));
    }

    /// <inheritdoc/>
    /// <remarks>A room that is not live is left alone: its failure may be waiting in the events of the last poll.</remarks>
    public void Fail(BootstrapRoom room, RequestFailure failure)
    {
        if (!_rooms.TryGetValue(room, out ReceiverRoom? claimed)) return;
        End(claimed, TransferState.Failed);
        claimed.Link.Send(KvFrame.ForFail(room, claimed.Claim, failure));
    }

    public void Poll(TimeSpan now, List<KvReceiverEvent> events)
    {
        while (inbox.TryTake(out KvInbox.Item item)) Handle(item, events);
        while (_toGrant.TryDequeue(out ReceiverLink? link)) Grant(link);
    }

    /// <summary>Tells every prefill rank that its rooms end, and closes the links.</summary>
    public void Dispose()
    {
        if (_isDisposed) return;
        _isDisposed = true;
        RequestFailure why = RequestFailure.Of(FailureReason.ShuttingDown, $"Decode rank {self.Rank} ({self.InstanceId}) is shutting down.");
        foreach (ReceiverRoom claimed in _rooms.Values) claimed.Link.Send(KvFrame.ForFail(claimed.Room, claimed.Claim, why));
        foreach (IKvLink link in _links.Keys) link.Close(why);
        _rooms.Clear();
        _links.Clear();
        _byEndpoint.Clear();
        inbox.Dispose();
    }

    internal void OnReturned(ReceiverLink link, int bytes, bool isFirst)
    {
        Interlocked.Add(ref _bufferedBytes, -bytes);
        if (!isFirst) return;
        _toGrant.Enqueue(link);
        inbox.Wake();
    }

    private ReceiverLink LinkTo(KvEndpoint endpoint)
    {
        if (_byEndpoint.TryGetValue(endpoint, out ReceiverLink? link)) return link;
        link = new ReceiverLink(this, endpoint, new ChunkGate(self.Layout, self.MaxChunkTokens, self.WindowBytes));
        link.Attach(connector.Connect(endpoint, inbox));
        _byEndpoint.Add(endpoint, link);
        _links.Add(link.Link!, link);
        return link;
    }

    private void Grant(ReceiverLink link)
    {
        long bytes = link.TakeReturned();
        if (bytes == 0 || !_links.ContainsKey(link.Link!)) return;
        link.Gate.Grant(bytes);
        link.Send(KvFrame.ForCredit(bytes));
    }

    /// <summary>The room's one end on this side.</summary>
    private void End(ReceiverRoom claimed, TransferState end)
    {
        claimed.MoveTo(end);
        claimed.Link.Gate.End(claimed.Claim);
        claimed.Link.Rooms.Remove(claimed.Claim);
        _rooms.Remove(claimed.Room);
    }
}
