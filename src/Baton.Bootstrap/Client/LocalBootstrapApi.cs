using Baton.Bootstrap.Registry;
using Baton.Core.Ids;
using Baton.Core.Resolution;

namespace Baton.Bootstrap.Client;

/// <summary>A bootstrap server without a network: the table in the same process, whatever the address says.</summary>
/// <remarks>
/// A prefill worker that hosts its own server registers through this, and the simulator puts its virtual network in front of it, so
/// both run the table and the parked queries of the real server.
/// </remarks>
public sealed class LocalBootstrapApi : IBootstrapApi
{
    private readonly BootstrapTable _table;
    private readonly RoomQueries _queries;
    private readonly TimeProvider _time;
    private readonly BootstrapMetrics? _metrics;

    /// <summary>Ties the two together: when the instance behind the table changes, what is parked is answered, and its caller sees the new one.</summary>
    /// <param name="metrics">The server's, which counts what comes this way like what comes over HTTP.</param>
    public LocalBootstrapApi(BootstrapTable table, RoomQueries queries, TimeProvider time, BootstrapMetrics? metrics = null)
    {
        (_table, _queries, _time, _metrics) = (table, queries, time, metrics);
        table.Ranks.InstanceChanged = queries.WakeAll;
    }

    private TimeSpan Now => _time.GetElapsedTime(0);

    public ValueTask<BootstrapReply<PrefillTopology>> GetTopologyAsync(BootstrapAddress server, CancellationToken ct)
    {
        if (_table.Ranks.ReadyTopology is not { } group)
            return NotReady<PrefillTopology>();
        return Answer(BootstrapStatus.Ok, new PrefillTopology(
            group.DpSize, group.FollowsBootstrapRoom, group.PageSize, group.KvCacheDtype, _table.Ranks.InstanceId, HasWaitRoute: true));
    }

    public ValueTask<BootstrapReply<RankEndpoint>> GetRankAsync(BootstrapAddress server, DpRank rank, CancellationToken ct)
    {
        if (_table.Ranks.ReadyTopology is null) return NotReady<RankEndpoint>();
        return _table.Ranks.Find(new RankKey(rank.Value, 0, 0, 0)) is { } endpoint
            ? Answer(BootstrapStatus.Ok, endpoint)
            : Answer<RankEndpoint>(BootstrapStatus.NotFound, detail: $"no rank {rank}");
    }

    public ValueTask<BootstrapReply<RoomQueryReply>> QueryRoomsAsync(BootstrapAddress server, IReadOnlyList<BootstrapRoom> rooms, CancellationToken ct)
    {
        TimeSpan now = Now;
        List<KeyValuePair<BootstrapRoom, RoomAnswer>> known = [];
        foreach (BootstrapRoom room in rooms)
        {
            RoomAnswer answer = _table.Rooms.Find(room, now);
            if (answer.Rank is not null) known.Add(new(room, answer));
        }
        return Answer(BootstrapStatus.Ok, new RoomQueryReply(known, rooms.Count - known.Count, IsNewWatch: false));
    }

    public async ValueTask<BootstrapReply<RoomQueryReply>> WatchRoomsAsync(BootstrapAddress server, RoomQuery query, CancellationToken ct)
    {
        RoomQueryReply? reply = await _queries.QueryAsync(query, ct);
        return reply is null
            ? await Answer<RoomQueryReply>(BootstrapStatus.Overloaded, detail: "too many parked queries or rooms")
            : await Answer(BootstrapStatus.Ok, reply);
    }

    public ValueTask<BootstrapReply<Done>> RegisterRankAsync(BootstrapAddress server, RankRegistration registration, string incarnation, CancellationToken ct) =>
        _table.Ranks.TryRegister(registration, incarnation, Now, out string? conflict) ? Ok() : Answer<Done>(BootstrapStatus.Refused, detail: conflict);

    public ValueTask<BootstrapReply<Done>> UnregisterAsync(BootstrapAddress server, string incarnation, CancellationToken ct)
    {
        _table.Ranks.Unregister(incarnation);
        return Ok();
    }

    public ValueTask<BootstrapReply<Done>> RegisterRoomAsync(BootstrapAddress server, BootstrapRoom room, DpRank rank, CancellationToken ct)
    {
        if (!_table.Rooms.TryRegister(room, rank, Now)) return Full();
        _metrics?.OnRegistered(1);
        return Ok();
    }

    public ValueTask<BootstrapReply<Done>> UpdateRoomsAsync(BootstrapAddress server, RoomUpdate update, CancellationToken ct)
    {
        if (!_table.Rooms.TryApply(update, Now)) return Full();
        _metrics?.OnUpdated(update);
        return Ok();
    }

    public ValueTask<BootstrapReply<Done>> CheckHealthAsync(BootstrapAddress server, CancellationToken ct) => Ok();

    private ValueTask<BootstrapReply<T>> NotReady<T>() => Answer<T>(
        _table.Ranks.IsStopped ? BootstrapStatus.PrefillStopped : BootstrapStatus.NotReady,
        detail: $"{_table.Ranks.RegisteredCount} of {_table.Ranks.ExpectedCount} ranks registered");

    private ValueTask<BootstrapReply<Done>> Ok() => Answer(BootstrapStatus.Ok, default(Done));

    private ValueTask<BootstrapReply<Done>> Full() => Answer<Done>(BootstrapStatus.Overloaded, detail: $"the room table is full ({_table.Rooms.Count} rooms)");

    private ValueTask<BootstrapReply<T>> Answer<T>(BootstrapStatus status, T? value = default, string? detail = null) =>
        ValueTask.FromResult(new BootstrapReply<T>(status, value, detail, _table.Ranks.InstanceId, IsBaton: true));
}
