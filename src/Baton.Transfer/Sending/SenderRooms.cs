using Baton.Core.Ids;
using Baton.Core.Kv;
using Baton.Core.Rooms;
using Baton.Transfer.Links;
using Baton.Transfer.Wire;

namespace Baton.Transfer.Sending;

/// <summary>A room that prefill opened and that has not ended.</summary>
internal sealed class SenderRoom(BootstrapRoom room, int promptTokens)
{
    public BootstrapRoom Room { get; } = room;

    public int PromptTokens { get; } = promptTokens;

    public TransferState State { get; private set; } = TransferState.Bootstrapping;

    /// <summary>Null until decode claims the room.</summary>
    public SenderLink? Link { get; private set; }

    public uint Claim { get; private set; }

    /// <summary>What was sent, in order.</summary>
    public KvCoverage Sent = new(promptTokens);

    public bool IsLastSent { get; set; }

    public void MoveTo(TransferState next) => State = State.MoveTo(next, Room);

    public void Attach(SenderLink link, uint claim)
    {
        MoveTo(TransferState.WaitingForInput);
        (Link, Claim) = (link, claim);
    }
}

/// <summary>A claim that came before prefill's half of the request.</summary>
internal sealed record EarlyClaim(SenderLink Link, uint Claim, int PromptTokens, TimeSpan Until);

/// <summary>One decode rank's link, with its window and the claims that came over it.</summary>
internal sealed class SenderLink(IKvLink link, KvIdentity peer, long windowBytes)
{
    private readonly KvSession _session = new(link);
    private long _underWay;

    public IKvLink Link { get; } = link;

    public KvIdentity Peer { get; } = peer;

    public string Name { get; } = $"decode rank {peer.Rank} ({peer.InstanceId})";

    /// <summary>Claims that have not ended, early ones included.</summary>
    public Dictionary<uint, BootstrapRoom> Claims { get; } = [];

    public uint NewestClaim { get; set; }

    /// <summary>Payload bytes that may still be sent.</summary>
    public long Available => windowBytes - _underWay;

    /// <summary>Set aside by CanSend until the next Poll.</summary>
    public long Promised { get; private set; }

    /// <summary>Rooms that asked while the window was full.</summary>
    public List<BootstrapRoom> Starved { get; } = [];

    public void Send(in KvFrame frame) => _session.Send(frame);

    public void CheckNumber(in KvFrame frame) => _session.CheckNumber(frame);

    public bool TryPromise(BootstrapRoom room, long bytes)
    {
        if (bytes <= Available - Promised)
        {
            Promised += bytes;
            return true;
        }
        if (!Starved.Contains(room)) Starved.Add(room);
        return false;
    }

    public void TakePromised(long bytes)
    {
        Promised -= bytes;
        _underWay += bytes;
    }

    /// <summary>Gives back what was set aside and not used.</summary>
    /// <returns>True when rooms that were refused may now have luck.</returns>
    public bool DropPromises()
    {
        bool hadAny = Promised > 0;
        Promised = 0;
        return hadAny && Starved.Count > 0;
    }

    /// <exception cref="KvProtocolException">More than was ever taken.</exception>
    public void Grant(long bytes)
    {
        if (bytes > _underWay) throw new KvProtocolException($"{Name} granted {bytes} bytes while only {_underWay} were under way.");
        _underWay -= bytes;
    }
}
