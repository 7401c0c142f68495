using System.Collections.Concurrent;
using Baton.Core.Failures;
using Baton.Core.Ids;
using Baton.Core.Requests;
using Baton.Core.Rooms;
using Baton.Scheduling.Ranks;

namespace Baton.Scheduling.Dispatch;

/// <summary>What a prefill worker knows of its rooms: which rank holds each, and whom to tell when one ends. Thread-safe.</summary>
/// <remarks>
/// A failure goes two ways at once: to the bootstrap server, where a decode worker that still asks for the rank hears of it, and to
/// every rank, since decode may infer any of them or be told any: its claim is answered there. So however decode finds the rank, it
/// learns of the failure as soon as it looks.
/// </remarks>
/// <param name="ranks">May be filled after this, before the first request.</param>
/// <param name="server">Null with the fake backend, where nobody asks.</param>
public sealed class PrefillRooms(IReadOnlyList<IRank> ranks, IRoomRegistration? server)
{
    private readonly ConcurrentDictionary<BootstrapRoom, DpRank> _ranks = new();

    /// <summary>The rank that holds a room, for claims that come to another one.</summary>
    public DpRank? RankOf(BootstrapRoom room) => _ranks.TryGetValue(room, out DpRank rank) ? rank : null;

    /// <summary>The rank has the room from now on.</summary>
    /// <returns>Null, or why not: another request has it.</returns>
    internal RequestFailure? TryPlace(GenerationRequest request, BootstrapRoom room, DpRank rank) => _ranks.TryAdd(room, rank)
        ? null
        : RequestFailure.Of(FailureReason.DuplicateRoom, $"{request.Id}: {room} is live already on dp rank {RankOf(room) ?? rank}.");

    /// <summary>The rank did not take it after all.</summary>
    internal void Unplace(BootstrapRoom room) => _ranks.TryRemove(room, out _);

    /// <returns>False when no more rooms can be told to the server.</returns>
    internal bool Register(BootstrapRoom room, DpRank rank) => server?.Register(room, rank) ?? true;

    /// <summary>A request ended before a rank had it. When its room is live under another request, that one goes on and nobody is told.</summary>
    public void Refuse(BootstrapInfo bootstrap, RequestFailure failure)
    {
        if (!bootstrap.Address.IsFake && !_ranks.ContainsKey(bootstrap.Room)) Tell(bootstrap.Room, failure);
    }

    /// <summary>The rank reported the end of a request that it had taken.</summary>
    /// <param name="failure">Null when the hand-over was complete.</param>
    public void Ended(BootstrapInfo bootstrap, RequestFailure? failure)
    {
        if (bootstrap.Address.IsFake) return;
        // Told while the room still is taken: the next request with this number cannot be hit by it.
        if (failure is null) server?.NotifyEnded(bootstrap.Room);
        else Tell(bootstrap.Room, failure);
        _ranks.TryRemove(bootstrap.Room, out _);
    }

    private void Tell(BootstrapRoom room, RequestFailure failure)
    {
        server?.NotifyFailed(room, failure);
        foreach (IRank rank in ranks) rank.Inbox.Refuse(room, failure);
    }
}
