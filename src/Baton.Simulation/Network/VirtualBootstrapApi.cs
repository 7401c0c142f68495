using Baton.Bootstrap.Client;
using Baton.Bootstrap.Registry;
using Baton.Core.Ids;
using Baton.Core.Resolution;
using Baton.Simulation.Events;

namespace Baton.Simulation.Network;

/// <summary>The real bootstrap table behind the virtual network, as seen from one host.</summary>
/// <param name="servers">The table that listens at an address now, or null.</param>
public sealed class VirtualBootstrapApi(
    EventLoop loop, NetworkOptions options, Reachability hosts, string host, Func<BootstrapAddress, (string Host, IBootstrapApi Api)?> servers, EventLog? log = null) : IBootstrapApi
{
    public ValueTask<BootstrapReply<PrefillTopology>> GetTopologyAsync(BootstrapAddress server, CancellationToken ct) =>
        CallAsync(server, api => api.GetTopologyAsync(server, ct), ct);

    public ValueTask<BootstrapReply<RankEndpoint>> GetRankAsync(BootstrapAddress server, DpRank rank, CancellationToken ct) =>
        CallAsync(server, api => api.GetRankAsync(server, rank, ct), ct);

    public ValueTask<BootstrapReply<RoomQueryReply>> QueryRoomsAsync(BootstrapAddress server, IReadOnlyList<BootstrapRoom> rooms, CancellationToken ct) =>
        CallAsync(server, api => api.QueryRoomsAsync(server, rooms, ct), ct);

    public ValueTask<BootstrapReply<RoomQueryReply>> WatchRoomsAsync(BootstrapAddress server, RoomQuery query, CancellationToken ct) =>
        CallAsync(server, api => api.WatchRoomsAsync(server, query, ct), ct);

    public ValueTask<BootstrapReply<Done>> RegisterRankAsync(BootstrapAddress server, RankRegistration registration, string incarnation, CancellationToken ct) =>
        CallAsync(server, api => api.RegisterRankAsync(server, registration, incarnation, ct), ct);

    public ValueTask<BootstrapReply<Done>> UnregisterAsync(BootstrapAddress server, string incarnation, CancellationToken ct) =>
        CallAsync(server, api => api.UnregisterAsync(server, incarnation, ct), ct);

    public ValueTask<BootstrapReply<Done>> RegisterRoomAsync(BootstrapAddress server, BootstrapRoom room, DpRank rank, CancellationToken ct) =>
        CallAsync(server, api => api.RegisterRoomAsync(server, room, rank, ct), ct);

    public ValueTask<BootstrapReply<Done>> UpdateRoomsAsync(BootstrapAddress server, RoomUpdate update, CancellationToken ct) =>
        CallAsync(server, api => api.UpdateRoomsAsync(server, update, ct), ct);

    public ValueTask<BootstrapReply<Done>> CheckHealthAsync(BootstrapAddress server, CancellationToken ct) =>
        CallAsync(server, api => api.CheckHealthAsync(server, ct), ct);

    private async ValueTask<BootstrapReply<T>> CallAsync<T>(BootstrapAddress server, Func<IBootstrapApi, ValueTask<BootstrapReply<T>>> call, CancellationToken ct)
    {
        log?.Detail(loop.Now, $"{host} asks {server} for {typeof(T).Name}");
        await Task.Delay(options.Latency, loop.Time, ct);
        if (servers(server) is not { } there) return Unreachable<T>($"nothing listens at {server}");
        if (!hosts.CanTalk(host, there.Host))
        {
            await Task.Delay(options.PeerTimeout, loop.Time, ct);
            return Unreachable<T>($"{server} does not answer");
        }
        BootstrapReply<T> reply = await call(there.Api);
        await Task.Delay(options.Latency, loop.Time, ct);
        return hosts.CanTalk(host, there.Host) ? reply : Unreachable<T>($"the answer of {server} was lost");
    }

    private static BootstrapReply<T> Unreachable<T>(string detail) => new(BootstrapStatus.Unreachable, default, detail, null, IsBaton: false);
}
