using System.IO.Pipelines;
using Baton.Bootstrap.Client;
using Baton.Bootstrap.Registry;
using Baton.Core.Failures;
using Baton.Core.Handover;
using Baton.Core.Ids;
using Baton.Core.Requests;
using Baton.Core.Resolution;
using Microsoft.Extensions.Logging;

namespace Baton.Bootstrap.Decode;

/// <summary>Finds the prefill rank of each room of a decode worker, without a rank thread ever waiting. One per worker, shared by its ranks.</summary>
/// <remarks>
/// A room goes topology -> rank -> endpoint, and skips what is cached: with a warm cache and a hint, a single rank or the modulo it is
/// answered inside <see cref="Begin"/> with no I/O. Per bootstrap address one topology fetch, one query and one heartbeat run at a
/// time, whatever the number of rooms. Every room has a deadline and ends once.
/// Decision table and pictures: docs/rank-resolution.md.
/// </remarks>
public sealed partial class RankResolver : IRankResolver, IAsyncDisposable
{
    private readonly RankResolverOptions _options;
    private readonly IBootstrapApi _api;
    private readonly TimeProvider _time;
    private readonly Random _random;
    private readonly PipeScheduler _scheduler;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _stop = new();
    private readonly ITimer _deadlineTimer;
    private readonly Lock _randomLock = new();
    private readonly Lock _lock = new();
    private readonly Dictionary<BootstrapAddress, PrefillPeer> _peers = [];
    private readonly Dictionary<BootstrapRoom, PendingRoom> _rooms = [];
    // The timeout is the same for all, so the order of arrival is the order of deadlines.
    private readonly LinkedList<PendingRoom> _deadlines = new();
    // What happens after the lock is given back: answers to sinks, and loops to start.
    private readonly Queue<Action> _after = new();

    /// <param name="random">Jitter and watch ids; used under a lock.</param>
    /// <param name="scheduler">Where requests start: <see cref="PipeScheduler.ThreadPool"/> in a worker, so that a rank's thread never runs
    /// HTTP code; <see cref="PipeScheduler.Inline"/> in the simulator, where the event order is the order of everything.</param>
    public RankResolver(RankResolverOptions options, IBootstrapApi api, TimeProvider time, Random random, PipeScheduler scheduler, ILogger<RankResolver> logger)
    {
        _options = options;
        _api = api;
        _time = time;
        _random = random;
        _scheduler = scheduler;
        _logger = logger;
        _deadlineTimer = time.CreateTimer(_ => ExpireOverdue(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    /// <summary>Rooms without an answer yet.</summary>
    public int PendingCount
    {
        get
        {
            lock (_lock) return _rooms.Count;
        }
    }

    /// <summary>When the room that waits longest has to have its answer; null when none waits.</summary>
    public TimeSpan? NextDeadline
    {
        get
        {
            lock (_lock) return _deadlines.First?.Value.Deadline;
        }
    }

    /// <summary>The cached topology, for <c>/server_info</c> and tests; null when the address is unknown or its instance was lost.</summary>
    public PrefillTopology? TopologyOf(BootstrapAddress address)
    {
        lock (_lock) return _peers.TryGetValue(address, out PrefillPeer? peer) ? peer.Topology : null;
    }

    private TimeSpan Now => _time.GetElapsedTime(0);

    public void Begin(BootstrapInfo bootstrap, IRankResolutionSink answer) => Accept(bootstrap, null, answer);

    public void BeginRedirect(BootstrapInfo bootstrap, DpRank rightRank, IRankResolutionSink answer) => Accept(bootstrap, rightRank, answer);

    public void Cancel(BootstrapRoom room)
    {
        lock (_lock)
        {
            if (_rooms.TryGetValue(room, out PendingRoom? pending)) Leave(pending);
        }
        RunAfter();
    }

    public async ValueTask DisposeAsync()
    {
        // Not CancelAsync: that goes over the thread pool, and virtual time would not see it end.
        _stop.Cancel();
        lock (_lock)
        {
            foreach (PendingRoom pending in _rooms.Values.ToArray())
                Fail(pending, RequestFailure.Of(FailureReason.ShuttingDown, $"{pending.Room}: the decode worker stops while the room waits for its prefill rank."));
        }
        RunAfter();
        await _deadlineTimer.DisposeAsync();
        // _stop is not disposed: loops that are still unwinding read its token.
    }

    private void Accept(BootstrapInfo bootstrap, DpRank? redirect, IRankResolutionSink answer)
    {
        lock (_lock) AcceptLocked(bootstrap, redirect, answer);
        RunAfter();
    }

    private void AcceptLocked(BootstrapInfo bootstrap, DpRank? redirect, IRankResolutionSink answer)
    {
        TimeSpan now = Now;
        if (Refuse(bootstrap) is { } refusal)
        {
            _after.Enqueue(() => answer.OnResolveFailed(bootstrap.Room, refusal));
            return;
        }
        PrefillPeer peer = PeerOf(bootstrap.Address);
        peer.LastUsed = now;
        // Silence counts only while somebody listens.
        if (peer.PendingCount == 0) peer.UnreachableSince = null;
        PendingRoom pending = new(peer, bootstrap, answer, now + _options.ResolveTimeout) { ToldRank = redirect };
        _rooms[bootstrap.Room] = pending;
        peer.PendingCount++;
        // Without a hint it was our own belief that sent decode to the wrong rank, so the belief goes.
        if (redirect is not null && bootstrap.PrefillDpRankHint is null) Forget(peer, "a prefill rank redirected a room");
        Advance(pending);
        if (pending.Stage != PendingStage.Done) Enqueue(pending);
    }

    private RequestFailure? Refuse(BootstrapInfo bootstrap)
    {
        if (_stop.IsCancellationRequested)
            return RequestFailure.Of(FailureReason.ShuttingDown, $"{bootstrap.Room}: the decode worker is stopping.");
        if (_rooms.ContainsKey(bootstrap.Room))
            return RequestFailure.Of(FailureReason.DuplicateRoom, $"{bootstrap.Room} is being resolved already for another request.");
        if (_rooms.Count >= _options.MaxPendingRooms)
            return RequestFailure.Of(FailureReason.QueueFull, $"{bootstrap.Room}: {_rooms.Count} rooms wait for their prefill rank, which is the limit.");
        if (_peers.Count >= _options.MaxServers && !_peers.ContainsKey(bootstrap.Address))
            return RequestFailure.Of(FailureReason.QueueFull, $"{bootstrap.Room}: {_peers.Count} bootstrap servers are in use, which is the limit; {bootstrap.Address} would be another.");
        return null;
    }

    private PrefillPeer PeerOf(BootstrapAddress address)
    {
        if (_peers.TryGetValue(address, out PrefillPeer? peer)) return peer;
        PrefillPeer added = new(address);
        _peers[address] = added;
        Start(() => KeepAsync(added));
        return added;
    }

    /// <summary>Moves a room as far as what is known carries it, and lets it wait for the next thing.</summary>
    private void Advance(PendingRoom pending)
    {
        PrefillPeer peer = pending.Peer;
        if (peer.Topology is not { } topology)
        {
            Wait(pending, PendingStage.Topology);
            return;
        }
        if (FindMismatch(topology, pending) is { } mismatch)
        {
            Fail(pending, mismatch);
            return;
        }
        if (Decide(topology, pending) is not { } decided)
        {
            Wait(pending, PendingStage.Rank);
            return;
        }
        (pending.Rank, pending.Source) = decided;
        if (!decided.Rank.IsBelow(topology.DpSize)) RefuseRank(topology, pending);
        else if (peer.Endpoints.TryGetValue(decided.Rank, out RankEndpoint endpoint)) Complete(pending, endpoint);
        else Wait(pending, PendingStage.Endpoint);
    }

    /// <summary>What prefill told beats everything; then hint, single rank, modulo; null is "ask".</summary>
    private (DpRank Rank, RankSource Source)? Decide(PrefillTopology topology, PendingRoom pending)
    {
        if (pending.ToldRank is { } told) return (told, RankSource.Query);
        return RankResolutionRules.TryResolve(topology, pending.Room, pending.Info.PrefillDpRankHint, _options.ForceQuery);
    }

    private RequestFailure? FindMismatch(PrefillTopology topology, PendingRoom pending)
    {
        if (topology.PageSize != _options.PageSize)
            return RequestFailure.Of(FailureReason.PeerMismatch, $"{pending.Room}: prefill at {pending.Info.Address} has page size {topology.PageSize}, this decode worker {_options.PageSize}.");
        if (_options.KvCacheDtype is { } mine && topology.KvCacheDtype is { } theirs && mine != theirs)
            return RequestFailure.Of(FailureReason.PeerMismatch, $"{pending.Room}: prefill at {pending.Info.Address} has KV cache type '{theirs}', this decode worker '{mine}'.");
        return null;
    }

    /// <summary>The rank is outside the topology: that may have grown, so it is fetched again once; else the rank is wrong.</summary>
    private void RefuseRank(PrefillTopology topology, PendingRoom pending)
    {
        if (Now - pending.Peer.TopologyAt > _options.TopologyTrust)
        {
            Forget(pending.Peer, $"rank {pending.Rank} is outside its {topology.DpSize} ranks");
            Wait(pending, PendingStage.Topology);
            return;
        }
        string origin = pending.Source == RankSource.Hint ? "disagg_prefill_dp_rank" : "the rank that prefill registered";
        Fail(pending, RequestFailure.Of(FailureReason.RankOutOfRange,
            $"{pending.Room}: {origin} is {pending.Rank}, but the prefill worker at {pending.Info.Address} has ranks [0, {topology.DpSize})."));
    }

    private void Wait(PendingRoom pending, PendingStage stage)
    {
        PrefillPeer peer = pending.Peer;
        pending.Stage = stage;
        switch (stage)
        {
            case PendingStage.Topology:
                peer.NeedTopology[pending.Room] = pending;
                if (peer.IsFetchingTopology) break;
                peer.IsFetchingTopology = true;
                Start(() => FetchTopologyAsync(peer));
                break;
            case PendingStage.Rank:
                peer.NeedRank[pending.Room] = pending;
                peer.HasNewcomer = true;
                pending.IsWatched = false;
                peer.Unwatched.Enqueue(pending);
                StartQuery(peer);
                break;
            default:
                if (!peer.NeedEndpoint.TryGetValue(pending.Rank, out Dictionary<BootstrapRoom, PendingRoom>? waiting))
                {
                    DpRank rank = pending.Rank;
                    Dictionary<BootstrapRoom, PendingRoom> fresh = [];
                    peer.NeedEndpoint[rank] = waiting = fresh;
                    Start(() => FetchEndpointAsync(peer, rank, fresh));
                }
                waiting[pending.Room] = pending;
                break;
        }
    }

    private void StartQuery(PrefillPeer peer)
    {
        if (!peer.IsQuerying)
        {
            peer.IsQuerying = true;
            Start(() => QueryAsync(peer));
        }
        else if (peer.Park is not null && !peer.IsJoining)
        {
            peer.IsJoining = true;
            Start(() => JoinAsync(peer));
        }
    }

    /// <summary>Takes a room out of whatever it waits in.</summary>
    private static void StopWaiting(PendingRoom pending)
    {
        PrefillPeer peer = pending.Peer;
        switch (pending.Stage)
        {
            case PendingStage.Topology: peer.NeedTopology.Remove(pending.Room); break;
            case PendingStage.Rank:
                peer.NeedRank.Remove(pending.Room);
                if (pending.IsWatched) peer.Forget.Add(pending.Room);
                break;
            case PendingStage.Endpoint:
                if (peer.NeedEndpoint.TryGetValue(pending.Rank, out Dictionary<BootstrapRoom, PendingRoom>? waiting)) waiting.Remove(pending.Room);
                break;
            default: break;
        }
    }

    /// <summary>The room is nobody's business here any more.</summary>
    private void Leave(PendingRoom pending)
    {
        StopWaiting(pending);
        pending.Stage = PendingStage.Done;
        _rooms.Remove(pending.Room);
        pending.Peer.PendingCount--;
        if (pending.DeadlineNode is not { } node) return;
        _deadlines.Remove(node);
        pending.DeadlineNode = null;
        if (_deadlines.Count == 0) _deadlineTimer.Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    private void Complete(PendingRoom pending, RankEndpoint endpoint)
    {
        Leave(pending);
        ResolvedRank resolved = new(new KvEndpoint(endpoint.Ip, endpoint.Port, pending.Rank), pending.Source, pending.RoundTrips);
        _after.Enqueue(() => pending.Sink.OnResolved(pending.Room, resolved));
    }

    private void Fail(PendingRoom pending, RequestFailure failure)
    {
        Leave(pending);
        _after.Enqueue(() => pending.Sink.OnResolveFailed(pending.Room, failure));
    }

    private void Enqueue(PendingRoom pending)
    {
        bool isFirst = _deadlines.Count == 0;
        pending.DeadlineNode = _deadlines.AddLast(pending);
        if (isFirst) ArmDeadline();
    }

    private void ArmDeadline()
    {
        if (_deadlines.First is not { } first) return;
        TimeSpan left = first.Value.Deadline - Now;
        _deadlineTimer.Change(left > TimeSpan.Zero ? left : TimeSpan.Zero, Timeout.InfiniteTimeSpan);
    }

    private void ExpireOverdue()
    {
        lock (_lock)
        {
            TimeSpan now = Now;
            while (_deadlines.First is { } first && first.Value.Deadline <= now) Fail(first.Value, TimedOut(first.Value));
            ArmDeadline();
        }
        RunAfter();
    }

    private RequestFailure TimedOut(PendingRoom pending)
    {
        PrefillPeer peer = pending.Peer;
        string after = $"{pending.Room}: after {_options.ResolveTimeout.TotalSeconds:F1} s";
        string where = $"(bootstrap {peer.Address}, {pending.RoundTrips} requests)";
        bool isSilent = peer.UnreachableSince is not null;
        return pending.Stage switch
        {
            PendingStage.Rank when !isSilent => RequestFailure.Of(FailureReason.ResolveTimeout, $"{after} no prefill rank has registered this room {where}."),
            _ when isSilent => SilenceOf(peer, $"{after} {where}"),
            _ => RequestFailure.Of(FailureReason.ResolveTimeout, $"{after} the prefill worker has not registered all its ranks {where}: {peer.LastDetail}."),
        };
    }

    /// <summary>Starts a loop once the lock is free.</summary>
    private void Start(Func<Task> loop) => _after.Enqueue(() => _scheduler.Schedule(static state => _ = ((Func<Task>)state!)(), loop));

    /// <summary>Runs what was decided under the lock. Never called while holding it.</summary>
    private void RunAfter()
    {
        while (true)
        {
            Action action;
            lock (_lock)
            {
                if (!_after.TryDequeue(out action!)) return;
            }
            action();
        }
    }
}
