using Baton.Bootstrap.Client;
using Baton.Bootstrap.Registry;
using Baton.Core.Failures;
using Baton.Core.Ids;
using Baton.Core.Resolution;

namespace Baton.Bootstrap.Decode;

// What is cached of a bootstrap server: topology and endpoints, how they are fetched, kept and dropped.
public sealed partial class RankResolver
{
    /// <summary>Fetches the topology until it is there or nobody waits for it any more.</summary>
    private Task FetchTopologyAsync(PrefillPeer peer) => UntilStopAsync(peer, async () =>
    {
        Backoff backoff = new(_options.TopologyRetryFloor, _options.TopologyRetryCeiling, _random, _randomLock);
        while (true)
        {
            BootstrapReply<PrefillTopology> reply = await _api.GetTopologyAsync(peer.Address, _stop.Token);
            bool isOver;
            lock (_lock)
            {
                foreach (PendingRoom waiting in peer.NeedTopology.Values) waiting.RoundTrips++;
                isOver = TakeTopology(peer, reply);
            }
            RunAfter();
            if (isOver) return;
            await Task.Delay(PauseOf(peer, backoff), _time, _stop.Token);
            if (StopFetchingIfNobodyWaits(peer)) return;
        }
    });

    /// <summary>The next pause, cut so that the last try of a silent server falls on the end of its time.</summary>
    private TimeSpan PauseOf(PrefillPeer peer, Backoff backoff)
    {
        TimeSpan pause = backoff.Next();
        lock (_lock)
        {
            if (peer.UnreachableSince is not { } since) return pause;
            // Whole milliseconds: Task.Delay would cut a part of one off.
            TimeSpan left = TimeSpan.FromMilliseconds(Math.Ceiling((since + _options.UnreachableAfter - Now).TotalMilliseconds));
            return left > TimeSpan.Zero && left < pause ? left : pause;
        }
    }

    private bool TakeTopology(PrefillPeer peer, BootstrapReply<PrefillTopology> reply)
    {
        if (reply is not { IsOk: true, Value: { } topology })
        {
            NoteTrouble(peer, reply.Status, reply.Detail);
            GiveUpOnSilence(peer);
            return false;
        }
        peer.IsFetchingTopology = false;
        peer.UnreachableSince = null;
        peer.Topology = topology;
        peer.TopologyAt = Now;
        _logger.TopologyLearned(peer.Address, topology.DpSize, topology.FollowsBootstrapRoom, topology.InstanceId ?? "none", topology.HasWaitRoute);
        PendingRoom[] waiting = [.. peer.NeedTopology.Values];
        peer.NeedTopology.Clear();
        foreach (PendingRoom pending in waiting) Advance(pending);
        return true;
    }

    private bool StopFetchingIfNobodyWaits(PrefillPeer peer)
    {
        lock (_lock)
        {
            if (peer.NeedTopology.Count > 0) return false;
            peer.IsFetchingTopology = false;
            return true;
        }
    }

    private void NoteTrouble(PrefillPeer peer, BootstrapStatus status, string? detail)
    {
        (peer.LastStatus, peer.LastDetail) = (status, detail ?? status.ToString());
        // A server that says "not ready" or "overloaded" is there; what it lacks comes with the deadline of each room.
        // One that says "stopped" is no better than a silent one: whoever should compute the room is gone.
        bool isSilent = status is BootstrapStatus.Unreachable or BootstrapStatus.PrefillStopped or BootstrapStatus.BadReply or BootstrapStatus.Refused or BootstrapStatus.NotFound;
        if (!isSilent) peer.UnreachableSince = null;
        else peer.UnreachableSince ??= Now;
    }

    /// <summary>Fails the rooms that wait for a server that has not answered for long. A later request starts over.</summary>
    private void GiveUpOnSilence(PrefillPeer peer)
    {
        if (peer.UnreachableSince is not { } since || Now - since < _options.UnreachableAfter) return;
        peer.UnreachableSince = null;
        // Those who waited may have left meanwhile.
        if (peer.NeedTopology.Count == 0) return;
        double seconds = (Now - since).TotalSeconds;
        if (peer.LastStatus == BootstrapStatus.PrefillStopped) _logger.PrefillStopped(peer.Address, seconds, peer.NeedTopology.Count);
        else _logger.ServerUnreachable(peer.Address, seconds, peer.NeedTopology.Count, peer.LastDetail ?? "no detail");
        foreach (PendingRoom pending in peer.NeedTopology.Values.ToArray()) Fail(pending, SilenceOf(peer, $"{pending.Room}: for {seconds:F1} s"));
    }

    /// <summary>Why nobody says where the prefill ranks are.</summary>
    private static RequestFailure SilenceOf(PrefillPeer peer, string begin) => peer.LastStatus == BootstrapStatus.PrefillStopped
        ? RequestFailure.Of(FailureReason.RankUnavailable, $"{begin} the prefill worker registered at {peer.Address} has been stopped, and no other has come.")
        : RequestFailure.Of(FailureReason.BootstrapUnreachable, $"{begin} the bootstrap server {peer.Address} has not answered: {peer.LastDetail}.");

    private Task FetchEndpointAsync(PrefillPeer peer, DpRank rank, Dictionary<BootstrapRoom, PendingRoom> waiting) => UntilStopAsync(peer, async () =>
    {
        BootstrapReply<RankEndpoint> reply = await _api.GetRankAsync(peer.Address, rank, _stop.Token);
        bool isSettled;
        lock (_lock) isSettled = TakeEndpoint(peer, rank, waiting, reply);
        RunAfter();
        if (isSettled) return;

        await Task.Delay(_options.TopologyRetryFloor, _time, _stop.Token);
        lock (_lock)
        {
            if (IsCurrent(peer, rank, waiting)) Forget(peer, $"rank {rank} could not be looked up: {reply.Detail}");
        }
        RunAfter();
    });

    private bool TakeEndpoint(PrefillPeer peer, DpRank rank, Dictionary<BootstrapRoom, PendingRoom> waiting, BootstrapReply<RankEndpoint> reply)
    {
        // The instance changed while this was under way: its rooms wait elsewhere, and the endpoint is not to be kept.
        if (!IsCurrent(peer, rank, waiting)) return true;
        foreach (PendingRoom pending in waiting.Values) pending.RoundTrips++;
        if (reply.Status is not (BootstrapStatus.Ok or BootstrapStatus.NotFound))
        {
            NoteTrouble(peer, reply.Status, reply.Detail);
            return false;
        }
        if (reply.IsOk) peer.Endpoints[rank] = reply.Value;
        peer.NeedEndpoint.Remove(rank);
        foreach (PendingRoom pending in waiting.Values.ToArray())
        {
            if (reply.IsOk) Complete(pending, reply.Value);
            else Fail(pending, RequestFailure.Of(FailureReason.RankUnavailable, $"{pending.Room}: the bootstrap server {peer.Address} has no endpoint of prefill rank {rank}."));
        }
        Observe(peer, reply.IsOk, reply.InstanceId);
        return true;
    }

    private static bool IsCurrent(PrefillPeer peer, DpRank rank, Dictionary<BootstrapRoom, PendingRoom> waiting) =>
        peer.NeedEndpoint.TryGetValue(rank, out Dictionary<BootstrapRoom, PendingRoom>? present) && present == waiting;

    /// <summary>The heartbeat of one server, and its end when nobody uses it. Servers are independent: a slow one delays no other.</summary>
    private Task KeepAsync(PrefillPeer peer) => UntilStopAsync(peer, async () =>
    {
        int failures = 0;
        while (true)
        {
            await Task.Delay(_options.HeartbeatInterval, _time, _stop.Token);
            bool hasTopology;
            lock (_lock)
            {
                if (peer.PendingCount == 0 && Now - peer.LastUsed >= _options.IdleLife)
                {
                    _peers.Remove(peer.Address);
                    return;
                }
                hasTopology = peer.Topology is not null;
            }
            if (!hasTopology) continue;
            BootstrapReply<Done> reply = await _api.CheckHealthAsync(peer.Address, _stop.Token);
            failures = reply.IsOk ? 0 : failures + 1;
            lock (_lock)
            {
                Observe(peer, reply.IsOk, reply.InstanceId);
                if (failures >= _options.HeartbeatMaxFailure) Forget(peer, $"{failures} heartbeats failed: {reply.Detail}");
            }
            RunAfter();
        }
    });

    /// <summary>Compares the instance that answered with the one that is cached.</summary>
    private void Observe(PrefillPeer peer, bool answered, string? instanceId)
    {
        if (answered && peer.Topology is { } topology && topology.InstanceId != instanceId)
            Forget(peer, $"its instance is now {instanceId ?? "without id"} and was {topology.InstanceId ?? "without id"}");
    }

    /// <summary>Nothing cached about the server is believed any more; its rooms start again from the topology, with their old deadlines.</summary>
    private void Forget(PrefillPeer peer, string why)
    {
        if (peer.Topology is null) return;
        _logger.TopologyDropped(peer.Address, why);
        peer.Topology = null;
        peer.Endpoints.Clear();
        PendingRoom[] waiting = [.. peer.NeedRank.Values, .. peer.NeedEndpoint.Values.SelectMany(rooms => rooms.Values)];
        peer.NeedRank.Clear();
        peer.NeedEndpoint.Clear();
        ForgetWatch(peer);
        foreach (PendingRoom pending in waiting)
        {
            pending.ToldRank = null;
            Wait(pending, PendingStage.Topology);
        }
    }

    /// <summary>Runs a loop that ends with the resolver. What it does not expect is a bug: it is logged, the rooms that wait end with their
    /// deadlines, and the next request for this server starts afresh.</summary>
    private async Task UntilStopAsync(PrefillPeer peer, Func<Task> loop)
    {
        try
        {
            await loop();
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            // The resolver stops; DisposeAsync has answered every room.
        }
        catch (Exception bug)
        {
            _logger.LoopBroke(peer.Address, bug);
            lock (_lock) _peers.Remove(peer.Address);
        }
    }
}
