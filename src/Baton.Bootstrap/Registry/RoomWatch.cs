using Baton.Core.Ids;

namespace Baton.Bootstrap.Registry;

/// <summary>The rooms that one caller waits for, and the answers it has not fetched yet.</summary>
/// <param name="continuations">How a parked query goes on when another thread registers its room: see <see cref="RoomQueries"/>.</param>
internal sealed class RoomWatch(RoomTable table, TaskCreationOptions continuations) : IRoomWatcher
{
    private readonly Lock _lock = new();
    private readonly HashSet<ulong> _waiting = [];
    private List<KeyValuePair<BootstrapRoom, RoomAnswer>> _answers = [];
    private TaskCompletionSource? _parked;
    private RoomWaitFor _parkedFor;
    private bool _isClosed;

    public TimeSpan LastUsed { get; set; }

    /// <summary>Requests that use this watch now; it is not forgotten under them. Guarded by <see cref="RoomQueries"/>.</summary>
    public int Users { get; set; }

    public void OnRoom(BootstrapRoom room, RoomAnswer answer)
    {
        TaskCompletionSource? wake = null;
        lock (_lock)
        {
            if (!_waiting.Remove(room.Value)) return;
            _answers.Add(new(room, answer));
            if (_parkedFor == RoomWaitFor.Any || _waiting.Count == 0) wake = TakeParked();
        }
        wake?.TrySetResult();
    }

    /// <summary>Starts to watch rooms; those that are known already become answers at once.</summary>
    public void Add(IReadOnlyList<BootstrapRoom> rooms, TimeSpan now)
    {
        foreach (BootstrapRoom room in rooms)
        {
            lock (_lock)
            {
                if (_isClosed || !_waiting.Add(room.Value)) continue;
            }
            RoomAnswer answer = table.FindOrWatch(room, this, now);
            if (!answer.IsUnknown) OnRoom(room, answer);
        }
    }

    public void Forget(IReadOnlyList<BootstrapRoom> rooms)
    {
        foreach (BootstrapRoom room in rooms)
        {
            lock (_lock)
            {
                if (!_waiting.Remove(room.Value)) continue;
            }
            table.Unwatch(room, this);
        }
    }

    /// <summary>A task that ends when there is something to tell, or null when there is already. A query parked before gives way.</summary>
    public TaskCompletionSource? Park(RoomWaitFor waitFor, bool keepsWatching)
    {
        TaskCompletionSource? previous;
        TaskCompletionSource? mine = null;
        lock (_lock)
        {
            previous = TakeParked();
            bool isSettled = waitFor == RoomWaitFor.Any ? _answers.Count > 0 : _waiting.Count == 0;
            // A named watch with no rooms may still get some while the query is parked; an unnamed one may not.
            bool isEmpty = _waiting.Count == 0 && !keepsWatching;
            if (!isSettled && !isEmpty)
            {
                _parkedFor = waitFor;
                mine = _parked = new TaskCompletionSource(continuations);
            }
        }
        previous?.TrySetResult();
        return mine;
    }

    /// <summary>Time is up, the caller is gone, or the server has news of another kind.</summary>
    public void Unpark(TaskCompletionSource parked)
    {
        lock (_lock)
        {
            if (_parked == parked) _parked = null;
        }
        parked.TrySetResult();
    }

    public RoomQueryReply TakeAnswers(bool isNew)
    {
        lock (_lock)
        {
            List<KeyValuePair<BootstrapRoom, RoomAnswer>> taken = _answers;
            _answers = [];
            return new RoomQueryReply(taken, _waiting.Count, isNew);
        }
    }

    public int WaitingCount
    {
        get
        {
            lock (_lock) return _waiting.Count;
        }
    }

    public void Close()
    {
        ulong[] left;
        lock (_lock)
        {
            _isClosed = true;
            left = [.. _waiting];
            _waiting.Clear();
        }
        foreach (ulong room in left) table.Unwatch(new BootstrapRoom(room), this);
    }

    private TaskCompletionSource? TakeParked()
    {
        TaskCompletionSource? parked = _parked;
        _parked = null;
        return parked;
    }
}
