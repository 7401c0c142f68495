using Baton.Bootstrap.Registry;
using Baton.Core.Ids;
using Baton.Core.Requests;
using Baton.Core.Resolution;

namespace Baton.Bootstrap.Decode;

/// <summary>What a room waits for.</summary>
internal enum PendingStage
{
    Topology,
    /// <summary>Prefill has to tell the rank.</summary>
    Rank,
    Endpoint,
    Done,
}

/// <summary>One room on its way through the resolver. Guarded by the resolver's lock.</summary>
internal sealed class PendingRoom(PrefillPeer peer, BootstrapInfo info, IRankResolutionSink sink, TimeSpan deadline)
{
    public PrefillPeer Peer { get; } = peer;
    public BootstrapInfo Info { get; } = info;
    public IRankResolutionSink Sink { get; } = sink;
    public TimeSpan Deadline { get; } = deadline;
    public BootstrapRoom Room => Info.Room;
    public PendingStage Stage { get; set; }
    /// <summary>Known from a query or from prefill's redirect; else the rules decide.</summary>
    public DpRank? ToldRank { get; set; }
    public DpRank Rank { get; set; }
    public RankSource Source { get; set; }
    public int RoundTrips { get; set; }
    /// <summary>The server's watch holds this room already.</summary>
    public bool IsWatched { get; set; }
    /// <summary>The last query that carried this room.</summary>
    public RoomQuery? AskedBy { get; set; }
    /// <summary>Its place in the order of deadlines.</summary>
    public LinkedListNode<PendingRoom>? DeadlineNode { get; set; }
}
