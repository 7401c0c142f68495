using Baton.Bootstrap.Client;
using Baton.Bootstrap.Registry;
using Baton.Core.Ids;
using Baton.Core.Resolution;

namespace Baton.Simulation.Tests.Resolution;

/// <summary>A worker's way to the bootstrap server: counts what is asked, and hides Baton's routes and headers when the server is to be SGLang's.</summary>
internal sealed class CountingBootstrapApi(IBootstrapApi inner, bool isSglang) : IBootstrapApi
{
    /// <summary>Requests, heartbeats left out.</summary>
    public int Requests { get; private set; }

    public async ValueTask<BootstrapReply<PrefillTopology>> GetTopologyAsync(BootstrapAddress server, CancellationToken ct)
    {
        BootstrapReply<PrefillTopology> reply = await Shared(inner.GetTopologyAsync(server, ct));
        return isSglang && reply.Value is { } topology ? reply with { Value = topology with { InstanceId = null, HasWaitRoute = false } } : reply;
    }

    public ValueTask<BootstrapReply<RankEndpoint>> GetRankAsync(BootstrapAddress server, DpRank rank, CancellationToken ct) => Shared(inner.GetRankAsync(server, rank, ct));

    public ValueTask<BootstrapReply<RoomQueryReply>> QueryRoomsAsync(BootstrapAddress server, IReadOnlyList<BootstrapRoom> rooms, CancellationToken ct) =>
        Shared(inner.QueryRoomsAsync(server, rooms, ct));

    public ValueTask<BootstrapReply<RoomQueryReply>> WatchRoomsAsync(BootstrapAddress server, RoomQuery query, CancellationToken ct) =>
        isSglang ? Missing<RoomQueryReply>() : Shared(inner.WatchRoomsAsync(server, query, ct));

    public ValueTask<BootstrapReply<Done>> RegisterRankAsync(BootstrapAddress server, RankRegistration registration, string incarnation, CancellationToken ct) =>
        Shared(inner.RegisterRankAsync(server, registration, incarnation, ct));

    public ValueTask<BootstrapReply<Done>> UnregisterAsync(BootstrapAddress server, string incarnation, CancellationToken ct) =>
        isSglang ? Missing<Done>() : Shared(inner.UnregisterAsync(server, incarnation, ct));

    public ValueTask<BootstrapReply<Done>> RegisterRoomAsync(BootstrapAddress server, BootstrapRoom room, DpRank rank, CancellationToken ct) =>
        Shared(inner.RegisterRoomAsync(server, room, rank, ct));

    public ValueTask<BootstrapReply<Done>> UpdateRoomsAsync(BootstrapAddress server, RoomUpdate update, CancellationToken ct) =>
        isSglang ? Missing<Done>() : Shared(inner.UpdateRoomsAsync(server, update, ct));

    public async ValueTask<BootstrapReply<Done>> CheckHealthAsync(BootstrapAddress server, CancellationToken ct) => Hide(await inner.CheckHealthAsync(server, ct));

    private async ValueTask<BootstrapReply<T>> Shared<T>(ValueTask<BootstrapReply<T>> call)
    {
        Requests++;
        return Hide(await call);
    }

    private ValueTask<BootstrapReply<T>> Missing<T>()
    {
        Requests++;
        return ValueTask.FromResult(new BootstrapReply<T>(BootstrapStatus.RouteMissing, default, "404: Not Found", null, IsBaton: false));
    }

    private BootstrapReply<T> Hide<T>(BootstrapReply<T> reply) => isSglang ? reply with { InstanceId = null, IsBaton = false } : reply;
}
