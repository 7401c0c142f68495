using Baton.Bootstrap.Registry;
using Baton.Core.Ids;
using Baton.Core.Resolution;

namespace Baton.Bootstrap.Client;

/// <summary>What a worker asks of bootstrap servers: over HTTP (<see cref="BootstrapClient"/>), in process (<see cref="LocalBootstrapApi"/>), or over a simulated network.</summary>
/// <remarks>
/// Every call ends within a deadline of its own and reports expected trouble as a <see cref="BootstrapStatus"/>. Only cancellation by
/// the caller's own token throws.
/// </remarks>
public interface IBootstrapApi
{
    /// <summary><c>GET /route</c> with four -1. <see cref="BootstrapStatus.NotReady"/> until every rank has registered.</summary>
    ValueTask<BootstrapReply<PrefillTopology>> GetTopologyAsync(BootstrapAddress server, CancellationToken ct);

    /// <summary><c>GET /route</c> of one dp rank (tensor, context and pipeline rank 0).</summary>
    ValueTask<BootstrapReply<RankEndpoint>> GetRankAsync(BootstrapAddress server, DpRank rank, CancellationToken ct);

    /// <summary><c>POST /query_dp_ranks</c>: answers at once; unknown rooms are absent.</summary>
    ValueTask<BootstrapReply<RoomQueryReply>> QueryRoomsAsync(BootstrapAddress server, IReadOnlyList<BootstrapRoom> rooms, CancellationToken ct);

    /// <summary><c>POST /baton/v1/rooms/query</c>: may wait. <see cref="BootstrapStatus.RouteMissing"/> on SGLang's server.</summary>
    ValueTask<BootstrapReply<RoomQueryReply>> WatchRoomsAsync(BootstrapAddress server, RoomQuery query, CancellationToken ct);

    /// <summary><c>PUT /route</c>. The same registration again is harmless on a Baton server; SGLang's counts it twice.</summary>
    ValueTask<BootstrapReply<Done>> RegisterRankAsync(BootstrapAddress server, RankRegistration registration, string incarnation, CancellationToken ct);

    /// <summary><c>DELETE /baton/v1/ranks</c>: the worker stops and takes its ranks with it. <see cref="BootstrapStatus.RouteMissing"/> on SGLang's server.</summary>
    ValueTask<BootstrapReply<Done>> UnregisterAsync(BootstrapAddress server, string incarnation, CancellationToken ct);

    /// <summary><c>POST /register_dp_rank</c>.</summary>
    ValueTask<BootstrapReply<Done>> RegisterRoomAsync(BootstrapAddress server, BootstrapRoom room, DpRank rank, CancellationToken ct);

    /// <summary><c>POST /baton/v1/rooms</c>: any number of changes in one request. <see cref="BootstrapStatus.RouteMissing"/> on SGLang's server.</summary>
    ValueTask<BootstrapReply<Done>> UpdateRoomsAsync(BootstrapAddress server, RoomUpdate update, CancellationToken ct);

    /// <summary><c>GET /health</c>: the heartbeat.</summary>
    ValueTask<BootstrapReply<Done>> CheckHealthAsync(BootstrapAddress server, CancellationToken ct);
}

public enum BootstrapStatus
{
    Ok,
    /// <summary>Not every prefill rank has registered yet.</summary>
    NotReady,
    /// <summary>The prefill worker stopped, its ranks went with it, and no other has come. From Baton servers only.</summary>
    PrefillStopped,
    /// <summary>The server is ready and has no such rank.</summary>
    NotFound,
    /// <summary>The server has no Baton routes.</summary>
    RouteMissing,
    /// <summary>The request was refused and will be again: a bad field, a clash, a wrong token.</summary>
    Refused,
    /// <summary>A bound is reached; later it may work.</summary>
    Overloaded,
    /// <summary>No connection, no answer in time, or a 5xx.</summary>
    Unreachable,
    /// <summary>The answer cannot be read.</summary>
    BadReply,
}

/// <summary>One answer of a bootstrap server.</summary>
/// <param name="Value">Set when <paramref name="Status"/> is Ok.</param>
/// <param name="Detail">What the server or the network said otherwise.</param>
/// <param name="InstanceId">From the response header; null when the server sends none or did not answer.</param>
/// <param name="IsBaton">The server has the routes under <c>/baton/v1</c>.</param>
public sealed record BootstrapReply<T>(BootstrapStatus Status, T? Value, string? Detail, string? InstanceId, bool IsBaton)
{
    public bool IsOk => Status == BootstrapStatus.Ok;
}

/// <summary>The value of a reply that only says yes.</summary>
public readonly record struct Done;
