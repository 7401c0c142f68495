namespace Baton.Bootstrap.Registry;

/// <summary>Bounds on queries that wait.</summary>
public sealed record RoomQueryLimits
{
    /// <summary>Queries that are parked at the same time; the next one is told that the server is overloaded.</summary>
    public int MaxParked { get; init; } = 4096;
    /// <summary>Named watches.</summary>
    public int MaxWatches { get; init; } = 4096;
    /// <summary>Rooms of one query or of one watch.</summary>
    public int MaxRoomsPerWatch { get; init; } = 100_000;
    /// <summary>A longer wait is cut to this.</summary>
    public TimeSpan MaxWait { get; init; } = TimeSpan.FromSeconds(60);
    /// <summary>A watch that no query used for so long is forgotten.</summary>
    public TimeSpan WatchIdleLife { get; init; } = TimeSpan.FromSeconds(60);
}

/// <summary>Answers room queries and parks those that want to wait, until their rooms are known, failed, or time is up.</summary>
/// <param name="continuations">
/// <see cref="TaskCreationOptions.RunContinuationsAsynchronously"/> in a server, where the thread that registers a room must not also
/// write somebody else's response; <see cref="TaskCreationOptions.None"/> in the simulator, where everything runs in event order.
/// </param>
public sealed class RoomQueries(RoomTable table, RoomQueryLimits limits, TimeProvider time, TaskCreationOptions continuations)
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, RoomWatch> _watches = new(StringComparer.Ordinal);
    private readonly Dictionary<TaskCompletionSource, RoomWatch> _parked = [];
    private bool _isClosed;

    public int ParkedCount
    {
        get
        {
            lock (_lock) return _parked.Count;
        }
    }

    public int WatchCount
    {
        get
        {
            lock (_lock) return _watches.Count;
        }
    }

    /// <summary>Answers now, or when the query's condition holds, its time is up or the caller is gone.</summary>
    /// <returns>Null when a bound of <see cref="RoomQueryLimits"/> is reached: the caller should back off.</returns>
    public async ValueTask<RoomQueryReply?> QueryAsync(RoomQuery query, CancellationToken ct)
    {
        if (query.Rooms.Count > limits.MaxRoomsPerWatch) return null;
        bool isNew = query.WatchId is null;
        RoomWatch? watch = query.WatchId is null ? new RoomWatch(table, continuations) : Enter(query.WatchId, out isNew);
        if (watch is null) return null;
        try
        {
            if (watch.WaitingCount + query.Rooms.Count > limits.MaxRoomsPerWatch) return null;
            watch.Forget(query.Forget);
            watch.Add(query.Rooms, Now);
            bool isLost = isNew && query.IsResumed;
            if (query.Wait > TimeSpan.Zero && !isLost && !await WaitAsync(watch, query, ct)) return null;
            return watch.TakeAnswers(isNew && query.WatchId is not null);
        }
        finally
        {
            if (query.WatchId is null) watch.Close();
            else Leave(watch);
        }
    }

    /// <summary>Answers every parked query with what it has: what its caller believes about this server may not be true any more.</summary>
    public void WakeAll()
    {
        KeyValuePair<TaskCompletionSource, RoomWatch>[] parked;
        lock (_lock) parked = [.. _parked];
        foreach ((TaskCompletionSource query, RoomWatch watch) in parked) watch.Unpark(query);
    }

    /// <summary>The server stops: nothing parks from now on, and what is parked is answered.</summary>
    public void Close()
    {
        lock (_lock) _isClosed = true;
        WakeAll();
    }

    /// <summary>Forgets the watches that nobody uses. Called now and then.</summary>
    public int CloseIdleWatches()
    {
        List<RoomWatch> idle = [];
        lock (_lock)
        {
            TimeSpan now = Now;
            foreach ((string id, RoomWatch watch) in _watches.Where(w => w.Value.Users == 0 && now - w.Value.LastUsed > limits.WatchIdleLife).ToArray())
            {
                _watches.Remove(id);
                idle.Add(watch);
            }
        }
        foreach (RoomWatch watch in idle) watch.Close();
        return idle.Count;
    }

    private TimeSpan Now => time.GetElapsedTime(0);

    private async ValueTask<bool> WaitAsync(RoomWatch watch, RoomQuery query, CancellationToken ct)
    {
        TaskCompletionSource? parked;
        ITimer timer;
        lock (_lock)
        {
            if (_isClosed) return true;
            if (_parked.Count >= limits.MaxParked) return false;
            parked = watch.Park(query.WaitFor, keepsWatching: query.WatchId is not null);
            if (parked is null) return true;
            // Its end is set before anybody can see that it is parked.
            TimeSpan wait = query.Wait < limits.MaxWait ? query.Wait : limits.MaxWait;
            timer = time.CreateTimer(_ => watch.Unpark(parked), null, wait, Timeout.InfiniteTimeSpan);
            _parked.Add(parked, watch);
        }
        try
        {
            await using CancellationTokenRegistration gone = ct.UnsafeRegister(_ => watch.Unpark(parked), null);
            await parked.Task;
            return true;
        }
        finally
        {
            lock (_lock) _parked.Remove(parked);
            await timer.DisposeAsync();
        }
    }

    private RoomWatch? Enter(string id, out bool isNew)
    {
        lock (_lock)
        {
            isNew = !_watches.TryGetValue(id, out RoomWatch? watch);
            if (watch is null)
            {
                if (_watches.Count >= limits.MaxWatches) return null;
                _watches[id] = watch = new RoomWatch(table, continuations);
            }
            watch.Users++;
            return watch;
        }
    }

    private void Leave(RoomWatch watch)
    {
        lock (_lock)
        {
            watch.Users--;
            watch.LastUsed = Now;
        }
    }
}
