using Baton.Bootstrap.Client;
using Baton.Bootstrap.Registry;
using Baton.Core.Failures;
using Baton.Core.Ids;

namespace Baton.Bootstrap.Decode;

// Rooms whose rank only prefill knows: one query per server, parked where the server can park, polled where it cannot.
public sealed partial class RankResolver
{
    private static readonly TimeSpan TroubleCeiling = TimeSpan.FromSeconds(1);

    /// <summary>Asks for the ranks of all waiting rooms until none is left.</summary>
    private Task QueryAsync(PrefillPeer peer) => UntilStopAsync(peer, async () =>
    {
        Backoff poll = new(_options.PollFloor, _options.PollCeiling, _random, _randomLock);
        Backoff trouble = new(_options.PollCeiling, TroubleCeiling, _random, _randomLock);
        while (true)
        {
            bool parks;
            lock (_lock)
            {
                if (peer.NeedRank.Count == 0)
                {
                    peer.IsQuerying = false;
                    return;
                }
                parks = peer.Topology is { HasWaitRoute: true };
            }
            TimeSpan pause = parks ? await ParkOnceAsync(peer, trouble) : await PollOnceAsync(peer, poll, trouble);
            if (pause > TimeSpan.Zero) await Task.Delay(pause, _time, _stop.Token);
        }
    });

    /// <summary>One parked query of a Baton server. The server remembers the rooms, so only new ones are sent.</summary>
    private async Task<TimeSpan> ParkOnceAsync(PrefillPeer peer, Backoff trouble)
    {
        RoomQuery query;
        CancellationTokenSource park = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token);
        lock (_lock)
        {
            query = TakeQuery(peer, _options.ParkTime);
            peer.Park = park;
        }
        BootstrapReply<RoomQueryReply>? reply = null;
        try
        {
            reply = await _api.WatchRoomsAsync(peer.Address, query, park.Token);
        }
        catch (OperationCanceledException) when (!_stop.IsCancellationRequested)
        {
            // ForgetWatch cut it: what it waited for is void.
        }
        bool isFine = false;
        lock (_lock)
        {
            peer.Park = null;
            park.Dispose();
            if (reply is not null) isFine = TakeWatchReply(peer, query, reply);
        }
        RunAfter();
        if (!isFine) return trouble.Next();
        trouble.Reset();
        return TimeSpan.Zero;
    }

    /// <summary>Adds rooms to a watch whose query is parked: a short request of its own, so that a newcomer does not wait for the parked one.</summary>
    private Task JoinAsync(PrefillPeer peer) => UntilStopAsync(peer, async () =>
    {
        while (true)
        {
            RoomQuery query;
            lock (_lock)
            {
                query = peer.WatchId is null || peer.Park is null ? new RoomQuery() : TakeQuery(peer, TimeSpan.Zero);
                if (query.Rooms.Count == 0)
                {
                    peer.IsJoining = false;
                    return;
                }
            }
            BootstrapReply<RoomQueryReply> reply = await _api.WatchRoomsAsync(peer.Address, query, _stop.Token);
            lock (_lock)
            {
                // Whatever went wrong here, the parked query starts over with all rooms.
                if (!TakeWatchReply(peer, query, reply)) ForgetWatch(peer);
            }
            RunAfter();
        }
    });

    private RoomQuery TakeQuery(PrefillPeer peer, TimeSpan wait)
    {
        if (peer.WatchId is null)
        {
            lock (_randomLock) peer.WatchId = _random.NextInt64().ToString("x16");
            peer.IsWatchOpen = false;
            foreach (PendingRoom pending in peer.NeedRank.Values)
            {
                pending.IsWatched = false;
                peer.Unwatched.Enqueue(pending);
            }
        }
        List<BootstrapRoom> rooms = [];
        List<PendingRoom> asked = [];
        while (rooms.Count < _options.MaxRoomsPerQuery && peer.Unwatched.TryDequeue(out PendingRoom? next))
        {
            if (next.Stage != PendingStage.Rank || next.IsWatched) continue;
            next.IsWatched = true;
            rooms.Add(next.Room);
            asked.Add(next);
        }
        BootstrapRoom[] forget = [.. peer.Forget];
        peer.Forget.Clear();
        RoomQuery query = new()
        {
            WatchId = peer.WatchId,
            IsResumed = peer.IsWatchOpen,
            Rooms = rooms,
            Forget = forget,
            // More than one body's worth: send it all before parking.
            Wait = peer.Unwatched.Count > 0 ? TimeSpan.Zero : wait,
            WaitFor = RoomWaitFor.Any,
        };
        foreach (PendingRoom pending in asked)
        {
            pending.AskedBy = query;
            pending.RoundTrips++;
        }
        return query;
    }

    /// <summary>Uses the answers. False: something is wrong and the watch starts over, after a pause.</summary>
    private bool TakeWatchReply(PrefillPeer peer, RoomQuery query, BootstrapReply<RoomQueryReply> reply)
    {
        if (reply is not { IsOk: true, Value: { } value })
        {
            TakeTrouble(peer, reply.Status, reply.Detail);
            return false;
        }
        peer.UnreachableSince = null;
        bool isSameWatch = query.WatchId == peer.WatchId;
        foreach ((BootstrapRoom room, RoomAnswer answer) in value.Answers) Take(peer, query, room, answer);
        // The server lost the rooms that were sent before (it restarted, or nobody asked for a minute): all of them go again.
        if (isSameWatch && value.IsNewWatch && peer.IsWatchOpen) ForgetWatch(peer);
        else if (isSameWatch) peer.IsWatchOpen = true;
        Observe(peer, answered: true, reply.InstanceId);
        return true;
    }

    private void TakeTrouble(PrefillPeer peer, BootstrapStatus status, string? detail)
    {
        ForgetWatch(peer);
        if (status == BootstrapStatus.RouteMissing)
        {
            peer.Topology = peer.Topology is { } known ? known with { HasWaitRoute = false } : null;
            return;
        }
        NoteTrouble(peer, status, detail);
        if (status != BootstrapStatus.Overloaded) Forget(peer, $"a room query failed: {detail}");
    }

    private void Take(PrefillPeer peer, RoomQuery? query, BootstrapRoom room, RoomAnswer answer)
    {
        // Not ours any more: cancelled, expired, or answered twice.
        if (!peer.NeedRank.TryGetValue(room, out PendingRoom? pending)) return;
        if (query is not null && pending.AskedBy != query) pending.RoundTrips++;
        pending.IsWatched = false;
        if (answer.Failure is { } failure)
        {
            Fail(pending, RequestFailure.Of(FailureReason.PeerFailed, $"{room}: prefill failed it ({failure.Reason.Code}): {failure.Message}"));
            return;
        }
        StopWaiting(pending);
        pending.ToldRank = answer.Rank;
        Advance(pending);
    }

    /// <summary>The server's watch is void. A query that is parked on it is cut; the next one sends every room.</summary>
    private void ForgetWatch(PrefillPeer peer)
    {
        peer.WatchId = null;
        peer.Unwatched.Clear();
        peer.Forget.Clear();
        if (peer.Park is not { } park) return;
        _after.Enqueue(() =>
        {
            bool isParked;
            lock (_lock) isParked = peer.Park == park;
            // Between the look and the cut its own loop may have ended it; then there is nothing to cut.
            try
            {
                if (isParked) park.Cancel();
            }
            catch (ObjectDisposedException)
            {
                return;
            }
        });
    }

    /// <summary>One round of queries of a server that cannot park them.</summary>
    private async Task<TimeSpan> PollOnceAsync(PrefillPeer peer, Backoff poll, Backoff trouble)
    {
        BootstrapRoom[] rooms;
        lock (_lock)
        {
            rooms = [.. peer.NeedRank.Keys];
            peer.Unwatched.Clear();
            if (peer.HasNewcomer) poll.Reset();
            peer.HasNewcomer = false;
        }
        foreach (BootstrapRoom[] batch in rooms.Chunk(_options.MaxRoomsPerQuery))
        {
            BootstrapReply<RoomQueryReply> reply = await _api.QueryRoomsAsync(peer.Address, batch, _stop.Token);
            lock (_lock)
            {
                foreach (BootstrapRoom room in batch)
                {
                    if (peer.NeedRank.TryGetValue(room, out PendingRoom? asked)) asked.RoundTrips++;
                }
                TakePollReply(peer, reply, poll);
            }
            RunAfter();
            if (!reply.IsOk) return trouble.Next();
        }
        trouble.Reset();
        return poll.Next();
    }

    private void TakePollReply(PrefillPeer peer, BootstrapReply<RoomQueryReply> reply, Backoff poll)
    {
        if (reply is not { IsOk: true, Value: { } value })
        {
            TakeTrouble(peer, reply.Status, reply.Detail);
            return;
        }
        peer.UnreachableSince = null;
        if (value.Answers.Count > 0) poll.Reset();
        foreach ((BootstrapRoom room, RoomAnswer answer) in value.Answers) Take(peer, null, room, answer);
        Observe(peer, answered: true, reply.InstanceId);
    }
}
