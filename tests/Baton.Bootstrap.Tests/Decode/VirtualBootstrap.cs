using System.Collections.Concurrent;
using Baton.Bootstrap.Client;
using Baton.Bootstrap.Registry;
using Baton.Core.Ids;
using Baton.Core.Resolution;
using Baton.Simulation.Clock;

namespace Baton.Bootstrap.Tests.Decode;

/// <summary>A bootstrap server behind a network of virtual time: the real table and queries, a latency, and switches for what can go wrong.</summary>
internal sealed class VirtualBootstrap : IBootstrapApi
{
    private readonly VirtualTimeProvider _time;
    private BootstrapTable _table;
    private LocalBootstrapApi _local;
    private int _restarts;

    public VirtualBootstrap(VirtualTimeProvider time)
    {
        _time = time;
        (_table, _local) = NewServer();
    }

    /// <summary>One way. The round trip is twice this; with none, a call ends where it begins.</summary>
    public TimeSpan Latency { get; set; } = TimeSpan.FromMilliseconds(0.1);

    /// <summary>Only SGLang's routes, and no instance header.</summary>
    public bool IsSglang { get; set; }

    /// <summary>The topology claims parked queries, but the route is not there: a proxy in between, or a downgrade.</summary>
    public bool HidesWaitRoute { get; set; }

    public bool IsDown { get; set; }

    /// <summary>Topology and endpoints are there, and every room query fails.</summary>
    public bool BreaksQueries { get; set; }

    /// <summary>A batch with this room is refused, as with a bad field.</summary>
    public ulong RefusedRoom { get; set; }

    public BootstrapTable Table => _table;

    public ConcurrentDictionary<string, int> Calls { get; } = [];

    public int CallCount => Calls.Values.Sum();

    private readonly List<(string Name, TimeSpan At)> _log = [];

    /// <summary>When calls of this name began, counted from a moment, in ms.</summary>
    public IEnumerable<double> TimesOf(string name, TimeSpan since) => _log.Where(call => call.Name == name && call.At >= since).Select(call => (call.At - since).TotalMilliseconds);

    /// <summary>A new process behind the same address: it knows nothing.</summary>
    public void Restart()
    {
        _restarts++;
        (_table, _local) = NewServer();
    }

    /// <summary>The same server, which has dropped its watches.</summary>
    public void ForgetWatches() => _local = NewApi(_table);

    public void RegisterRanks(int dpSize, string method = "round_robin", int pageSize = 1, string? dtype = null, string worker = "worker", int firstPort = 4000, int? count = null)
    {
        for (int rank = 0; rank < (count ?? dpSize); rank++)
        {
            RankRegistration registration = new()
            {
                SystemDpSize = dpSize,
                SystemDpRank = rank,
                RankIp = "10.0.0.1",
                RankPort = firstPort + rank,
                PageSize = pageSize,
                KvCacheDtype = dtype,
                LoadBalanceMethod = method,
            };
            Assert.True(_table.Ranks.TryRegister(registration, worker, _time.Now, out string? conflict), conflict);
        }
    }

    public void RegisterRoom(ulong room, int rank) => Assert.True(_table.Rooms.TryRegister(new BootstrapRoom(room), new DpRank(rank), _time.Now));

    public async ValueTask<BootstrapReply<PrefillTopology>> GetTopologyAsync(BootstrapAddress server, CancellationToken ct)
    {
        BootstrapReply<PrefillTopology> reply = await CallAsync("topology", api => api.GetTopologyAsync(server, ct), ct);
        return IsSglang && reply.Value is { } topology ? reply with { Value = topology with { InstanceId = null, HasWaitRoute = false } } : reply;
    }

    public ValueTask<BootstrapReply<RankEndpoint>> GetRankAsync(BootstrapAddress server, DpRank rank, CancellationToken ct) =>
        CallAsync("rank", api => api.GetRankAsync(server, rank, ct), ct);

    public ValueTask<BootstrapReply<RoomQueryReply>> QueryRoomsAsync(BootstrapAddress server, IReadOnlyList<BootstrapRoom> rooms, CancellationToken ct) =>
        CallAsync("query", api => api.QueryRoomsAsync(server, rooms, ct), ct);

    public ValueTask<BootstrapReply<RoomQueryReply>> WatchRoomsAsync(BootstrapAddress server, RoomQuery query, CancellationToken ct) =>
        CallAsync("watch", api => api.WatchRoomsAsync(server, query, ct), ct, isOurs: true);

    public ValueTask<BootstrapReply<Done>> RegisterRankAsync(BootstrapAddress server, RankRegistration registration, string incarnation, CancellationToken ct) =>
        CallAsync("put", api => api.RegisterRankAsync(server, registration, incarnation, ct), ct);

    public ValueTask<BootstrapReply<Done>> UnregisterAsync(BootstrapAddress server, string incarnation, CancellationToken ct) =>
        CallAsync("unregister", api => api.UnregisterAsync(server, incarnation, ct), ct, isOurs: true);

    public ValueTask<BootstrapReply<Done>> RegisterRoomAsync(BootstrapAddress server, BootstrapRoom room, DpRank rank, CancellationToken ct) =>
        CallAsync("register", api => api.RegisterRoomAsync(server, room, rank, ct), ct);

    public ValueTask<BootstrapReply<Done>> UpdateRoomsAsync(BootstrapAddress server, RoomUpdate update, CancellationToken ct) =>
        CallAsync("update", api => RefusedRoom != 0 && update.Registered.Any(room => room.Key.Value == RefusedRoom)
            ? ValueTask.FromResult(new BootstrapReply<Done>(BootstrapStatus.Refused, default, "400: bad room", _table.Ranks.InstanceId, IsBaton: true))
            : api.UpdateRoomsAsync(server, update, ct), ct, isOurs: true);

    public ValueTask<BootstrapReply<Done>> CheckHealthAsync(BootstrapAddress server, CancellationToken ct) =>
        CallAsync("health", api => api.CheckHealthAsync(server, ct), ct);

    private async ValueTask<BootstrapReply<T>> CallAsync<T>(
        string name, Func<LocalBootstrapApi, ValueTask<BootstrapReply<T>>> call, CancellationToken ct, bool isOurs = false)
    {
        Task pass = PassAsync(ct);
        // After its timer is set: whoever waits for the call to begin may move the clock then.
        Calls[name] = Calls.GetValueOrDefault(name) + 1;
        lock (_log) _log.Add((name, _time.Now));
        await pass;
        if (BreaksQueries && (name is "query" or "watch")) return new BootstrapReply<T>(BootstrapStatus.Unreachable, default, "500: broken", null, IsBaton: false);
        int run = _restarts;
        BootstrapReply<T> reply = isOurs && (IsSglang || HidesWaitRoute)
            ? new BootstrapReply<T>(BootstrapStatus.RouteMissing, default, "404: Not Found", null, IsBaton: false)
            : await call(_local);
        await PassAsync(ct);
        if (IsDown || run != _restarts) return new BootstrapReply<T>(BootstrapStatus.Unreachable, default, "connection refused", null, IsBaton: false);
        return IsSglang ? reply with { InstanceId = null, IsBaton = false } : reply;
    }

    /// <summary>Not Task.Delay, which knows no time below a millisecond.</summary>
    private async Task PassAsync(CancellationToken ct)
    {
        ct.ThrowIfCancellationRequested();
        if (Latency == TimeSpan.Zero) return;
        TaskCompletionSource arrived = new();
        await using ITimer timer = _time.CreateTimer(_ => arrived.TrySetResult(), null, Latency, Timeout.InfiniteTimeSpan);
        await using CancellationTokenRegistration gone = ct.Register(() => arrived.TrySetCanceled(ct));
        await arrived.Task;
    }

    private (BootstrapTable, LocalBootstrapApi) NewServer()
    {
        BootstrapTable table = new($"server{_restarts}", BootstrapTable.DefaultClashWindow, new RoomTableOptions());
        return (table, NewApi(table));
    }

    private LocalBootstrapApi NewApi(BootstrapTable table) =>
        new(table, new RoomQueries(table.Rooms, new RoomQueryLimits(), _time, TaskCreationOptions.None), _time);
}
