using Baton.Core.Handover;
using Baton.Core.Ids;
using Baton.Core.Rooms;
using Baton.Transfer.Links;
using Baton.Transfer.Wire;

namespace Baton.Transfer.Receiving;

/// <summary>A room that decode claimed and that has not ended.</summary>
internal sealed class ReceiverRoom(BootstrapRoom room, ReceiverLink link, uint claim)
{
    public BootstrapRoom Room { get; } = room;

    public ReceiverLink Link { get; } = link;

    public uint Claim { get; } = claim;

    public TransferState State { get; private set; } = TransferState.Bootstrapping;

    /// <summary>All chunks and the last frame are there: what is left is the rank's own import.</summary>
    public bool HasLast { get; set; }

    public void MoveTo(TransferState next) => State = State.MoveTo(next, Room);
}

/// <summary>The link to one prefill rank, shared by all rooms that it holds for this rank.</summary>
internal sealed class ReceiverLink(KvReceiver owner, KvEndpoint endpoint, ChunkGate gate)
{
    private KvSession? _session;
    private long _returned;

    /// <summary>Null until the connector has made it.</summary>
    public IKvLink? Link { get; private set; }

    public KvEndpoint Endpoint { get; } = endpoint;

    public string Name { get; private set; } = $"prefill rank {endpoint.Rank} at {endpoint.Host}:{endpoint.Port}";

    public bool IsOpen { get; private set; }

    /// <summary>Knows the claims, their coverage and the window.</summary>
    public ChunkGate Gate { get; } = gate;

    public Dictionary<uint, ReceiverRoom> Rooms { get; } = [];

    public uint NewestClaim { get; set; }

    /// <summary>Set on every buffer of this link that is handed out.</summary>
    public Action<int> OnReturned => field ??= Return;

    public void Attach(IKvLink link) => (Link, _session) = (link, new KvSession(link));

    public void Open(KvIdentity peer)
    {
        IsOpen = true;
        Name = $"prefill rank {peer.Rank} ({peer.InstanceId}) at {Endpoint.Host}:{Endpoint.Port}";
    }

    public void Send(in KvFrame frame) => _session!.Send(frame);

    public void CheckNumber(in KvFrame frame) => _session!.CheckNumber(frame);

    /// <summary>Bytes that were used up, or thrown away, since the last grant.</summary>
    public long TakeReturned() => Interlocked.Exchange(ref _returned, 0);

    /// <summary>Any thread: a buffer went back, so the peer may send as much again.</summary>
    public void Return(int bytes)
    {
        bool isFirst = Interlocked.Add(ref _returned, bytes) == bytes;
        owner.OnReturned(this, bytes, isFirst);
    }
}
