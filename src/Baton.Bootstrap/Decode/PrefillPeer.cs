using Baton.Bootstrap.Client;
using Baton.Bootstrap.Registry;
using Baton.Core.Ids;
using Baton.Core.Resolution;

namespace Baton.Bootstrap.Decode;

/// <summary>What the resolver knows and waits for at one bootstrap address. Guarded by the resolver's lock; its loops are in <see cref="RankResolver"/>.</summary>
internal sealed class PrefillPeer(BootstrapAddress address)
{
    public BootstrapAddress Address { get; } = address;

    // What is known. Dropped as a whole when the instance behind the address changes.
    public PrefillTopology? Topology { get; set; }
    public TimeSpan TopologyAt { get; set; }
    public Dictionary<DpRank, RankEndpoint> Endpoints { get; } = [];

    // Who waits for what. A room is in exactly one of the three.
    public Dictionary<BootstrapRoom, PendingRoom> NeedTopology { get; } = [];
    public Dictionary<BootstrapRoom, PendingRoom> NeedRank { get; } = [];
    public Dictionary<DpRank, Dictionary<BootstrapRoom, PendingRoom>> NeedEndpoint { get; } = [];

    // Single flight: each loop runs at most once.
    public bool IsFetchingTopology { get; set; }
    public bool IsQuerying { get; set; }
    public bool IsJoining { get; set; }

    // The watch on a Baton server.
    public string? WatchId { get; set; }
    public bool IsWatchOpen { get; set; }
    public Queue<PendingRoom> Unwatched { get; } = new();
    public List<BootstrapRoom> Forget { get; } = [];
    public CancellationTokenSource? Park { get; set; }

    /// <summary>A room joined since the last poll, so polling starts fast again.</summary>
    public bool HasNewcomer { get; set; }

    public BootstrapStatus LastStatus { get; set; }
    public string? LastDetail { get; set; }
    public TimeSpan? UnreachableSince { get; set; }
    public TimeSpan LastUsed { get; set; }
    public int PendingCount { get; set; }
}
