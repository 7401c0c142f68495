using Baton.Core.Failures;
using Baton.Core.Ids;

namespace Baton.Transfer.Sending;

/// <summary>Remembers rooms that ended a while ago, so that a claim that comes too late is answered at once and not kept waiting.</summary>
/// <remarks>Bounded in number and in time; the oldest goes first.</remarks>
internal sealed class EndedRooms(int capacity, TimeSpan time)
{
    private readonly Dictionary<BootstrapRoom, EndedRoom> _rooms = [];
    private readonly Queue<(BootstrapRoom Room, long Order)> _byAge = new();
    private long _order;

    /// <param name="Failure">Null for a room that was delivered.</param>
    /// <param name="ByDecode">Decode gave it up before prefill opened it.</param>
    public readonly record struct EndedRoom(RequestFailure? Failure, bool ByDecode, TimeSpan Until, long Order);

    public int Count => _rooms.Count;

    public TimeSpan? NextDeadline => _byAge.TryPeek(out (BootstrapRoom Room, long Order) oldest) && IsCurrent(oldest) ? _rooms[oldest.Room].Until : null;

    public void Add(BootstrapRoom room, RequestFailure? failure, bool byDecode, TimeSpan now)
    {
        _rooms[room] = new EndedRoom(failure, byDecode, now + time, ++_order);
        _byAge.Enqueue((room, _order));
        while (_rooms.Count > capacity || _byAge.Count > 2 * capacity) DropOldest();
    }

    public bool TryGet(BootstrapRoom room, out EndedRoom ended) => _rooms.TryGetValue(room, out ended);

    /// <summary>The room lives again.</summary>
    public void Forget(BootstrapRoom room)
    {
        _rooms.Remove(room);
        SkipStale();
    }

    public void Expire(TimeSpan now)
    {
        while (NextDeadline is { } until && until <= now) DropOldest();
    }

    private void DropOldest()
    {
        (BootstrapRoom Room, long Order) oldest = _byAge.Dequeue();
        if (IsCurrent(oldest)) _rooms.Remove(oldest.Room);
        SkipStale();
    }

    /// <summary>Keeps a current entry at the front, so that the front tells the next deadline.</summary>
    private void SkipStale()
    {
        while (_byAge.TryPeek(out (BootstrapRoom Room, long Order) oldest) && !IsCurrent(oldest)) _byAge.Dequeue();
    }

    private bool IsCurrent((BootstrapRoom Room, long Order) entry) => _rooms.TryGetValue(entry.Room, out EndedRoom ended) && ended.Order == entry.Order;
}
