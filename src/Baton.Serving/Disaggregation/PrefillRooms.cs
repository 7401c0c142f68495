using System.Collections.Concurrent;
using Baton.Bootstrap.Prefill;
using Baton.Core.Failures;
using Baton.Core.Ids;
using Baton.Core.Requests;
using Baton.Scheduling.Dispatch;

namespace Baton.Serving.Disaggregation;

/// <summary>What a prefill worker knows of its rooms: which rank holds each, and whom to tell when one ends.</summary>
/// <param name="registrar">Null with the fake backend, where nobody asks.</param>
internal sealed class PrefillRooms(RoomRegistrar? registrar, IReadOnlyList<RefusingKvSender> senders) : IRoomRegistration
{
    private readonly ConcurrentDictionary<BootstrapRoom, DpRank> _ranks = new();

    /// <summary>The rank that holds a room, for claims that come to another one.</summary>
    public DpRank? RankOf(BootstrapRoom room) => _ranks.TryGetValue(room, out DpRank rank) ? rank : null;

    bool IRoomRegistration.Register(BootstrapInfo bootstrap, DpRank rank) => registrar?.Register(bootstrap.Room, rank) ?? true;

    /// <summary>The request ended before a rank had it.</summary>
    public void Refuse(BootstrapInfo bootstrap, RequestFailure failure)
    {
        registrar?.NotifyFailed(bootstrap.Room, failure);
        // Decode may infer or be told any rank, so each of them knows.
        foreach (RefusingKvSender sender in senders) sender.Refuse(bootstrap.Room, failure);
    }

    /// <summary>A rank has the room.</summary>
    public void Placed(BootstrapInfo bootstrap, DpRank rank)
    {
        if (!bootstrap.Address.IsFake) _ranks[bootstrap.Room] = rank;
    }

    /// <summary>The rank reported the end, and told decode if decode had claimed the room.</summary>
    public void Ended(BootstrapInfo bootstrap, RequestFailure? failure)
    {
        if (bootstrap.Address.IsFake) return;
        _ranks.TryRemove(bootstrap.Room, out _);
        if (failure is null) registrar?.NotifyEnded(bootstrap.Room);
        else Refuse(bootstrap, failure);
    }
}
