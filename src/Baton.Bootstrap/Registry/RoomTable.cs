using Baton.Core.Failures;
using Baton.Core.Ids;

namespace Baton.Bootstrap.Registry;

/// <summary>Limits of a <see cref="RoomTable"/>.</summary>
public sealed record RoomTableOptions
{
    /// <summary>An entry is answered while its age is at most this, and then forgotten.</summary>
    public TimeSpan EntryLife { get; init; } = TimeSpan.FromSeconds(330);
    /// <summary>Entries of both kinds. When it is reached the oldest failed room goes; when there is none, registration is refused.</summary>
    public int Capacity { get; init; } = 2_000_000;
    /// <summary>Failed rooms that are remembered with their text.</summary>
    public int MaxFailedRooms { get; init; } = 65_536;
    /// <summary>Makes the places of rooms in the table unguessable from outside.</summary>
    public ulong HashSeed { get; init; }
}

/// <summary>Which prefill rank works on which room. Safe for any number of threads; time is an argument, on one monotonic clock.</summary>
/// <remarks>
/// 64 shards with a lock each. Every call touches one shard for a few hundred nanoseconds, also while a million rooms expire: a write
/// drops at most two expired entries of its shard, and <see cref="Sweep"/> gives the lock back after 256.
/// </remarks>
public sealed class RoomTable
{
    private const int ShardShift = 6;
    private const int ShardCount = 1 << ShardShift;
    private const int ExpirePerWrite = 2;
    private const int ExpirePerLock = 256;
    private readonly RoomShard[] _shards = new RoomShard[ShardCount];
    private readonly RoomTableOptions _options;
    private readonly int _maxFailedPerShard;
    private readonly Func<ulong, uint> _slotHash;
    private int _count;
    private long _expired;

    public RoomTable(RoomTableOptions options)
    {
        _options = options;
        _maxFailedPerShard = Math.Max(1, options.MaxFailedRooms / ShardCount);
        _slotHash = room => (uint)Hash(room);
        for (int i = 0; i < ShardCount; i++) _shards[i] = new RoomShard();
    }

    /// <summary>Entries held, expired ones that nobody met yet included.</summary>
    public int Count => Volatile.Read(ref _count);

    /// <summary>Entries dropped because of their age, since the start.</summary>
    public long ExpiredCount => Interlocked.Read(ref _expired);

    public TimeSpan EntryLife => _options.EntryLife;

    /// <summary>Writes that <paramref name="rank"/> works on the room; again is a new age, and the last writer wins as in SGLang.</summary>
    /// <returns>False when the table is full and nothing finished can go: nothing changed.</returns>
    public bool TryRegister(BootstrapRoom room, DpRank rank, TimeSpan now) => TryPut(room, rank, null, now);

    /// <summary>Writes that prefill gave the room up. Decode is told the reason instead of waiting for its deadline.</summary>
    public bool TryFail(BootstrapRoom room, RequestFailure failure, TimeSpan now) => TryPut(room, null, failure, now);

    /// <summary>Applies a batch; false when the table was full on the way. What came before stays, and the whole may be sent again.</summary>
    public bool TryApply(RoomUpdate update, TimeSpan now)
    {
        // What makes space comes first: in a full table, ends behind registrations would never be reached, however often the batch came.
        // Failures of rooms that the table holds make space as well, and the others may need it.
        // A room that is in more than one list went through them: its end counts, then its failure.
        HashSet<BootstrapRoom>? over = update.Ended.Count + update.Failed.Count == 0 ? null : [.. update.Ended];
        foreach (BootstrapRoom room in update.Ended) Remove(room);
        foreach ((BootstrapRoom room, RequestFailure failure) in update.Failed)
        {
            if (!over!.Contains(room) && Holds(room) && TryFail(room, failure, now)) over.Add(room);
        }
        foreach ((BootstrapRoom room, RequestFailure failure) in update.Failed)
        {
            if (over!.Add(room) && !TryFail(room, failure, now)) return false;
        }
        foreach ((BootstrapRoom room, DpRank rank) in update.Registered)
        {
            if (over?.Contains(room) != true && !TryRegister(room, rank, now)) return false;
        }
        return true;
    }

    /// <summary>The room ended: nobody will ask for it again.</summary>
    public bool Remove(BootstrapRoom room)
    {
        RoomShard shard = ShardOf(room, out uint hash);
        lock (shard.Gate)
        {
            if (!shard.Remove(room.Value, hash)) return false;
        }
        Interlocked.Decrement(ref _count);
        return true;
    }

    public RoomAnswer Find(BootstrapRoom room, TimeSpan now)
    {
        RoomShard shard = ShardOf(room, out uint hash);
        lock (shard.Gate) return shard.Find(room.Value, hash, now, _options.EntryLife);
    }

    /// <summary>Finds the room, or registers <paramref name="watcher"/> for the moment when it is known, in one step.</summary>
    public RoomAnswer FindOrWatch(BootstrapRoom room, IRoomWatcher watcher, TimeSpan now)
    {
        RoomShard shard = ShardOf(room, out uint hash);
        lock (shard.Gate)
        {
            RoomAnswer answer = shard.Find(room.Value, hash, now, _options.EntryLife);
            if (answer.IsUnknown) shard.Watch(room.Value, watcher);
            return answer;
        }
    }

    public void Unwatch(BootstrapRoom room, IRoomWatcher watcher)
    {
        RoomShard shard = ShardOf(room, out _);
        lock (shard.Gate) shard.Unwatch(room.Value, watcher);
    }

    /// <summary>Rooms that somebody waits for. Counts each room once.</summary>
    public int WatchedCount
    {
        get
        {
            int watched = 0;
            foreach (RoomShard shard in _shards)
            {
                lock (shard.Gate) watched += shard.WatchedCount;
            }
            return watched;
        }
    }

    /// <summary>Drops every entry past its life, a few at a time so that no request waits behind it. Returns how many.</summary>
    public int Sweep(TimeSpan now)
    {
        int total = 0;
        foreach (RoomShard shard in _shards)
        {
            int dropped;
            do
            {
                lock (shard.Gate) dropped = shard.Expire(now, _options.EntryLife, ExpirePerLock, _slotHash);
                total += dropped;
            }
            while (dropped == ExpirePerLock);
        }
        NoteExpired(total);
        return total;
    }

    private bool TryPut(BootstrapRoom room, DpRank? rank, RequestFailure? failure, TimeSpan now)
    {
        RoomShard shard = ShardOf(room, out uint hash);
        // Full: make space first, and outside this shard's lock, since the space may have to come from another shard.
        if (Count >= _options.Capacity && !Holds(shard, room, hash) && !MakeSpace(shard, now)) return false;

        object? watching;
        int expired;
        lock (shard.Gate)
        {
            expired = shard.Expire(now, _options.EntryLife, ExpirePerWrite, _slotHash);
            shard.GrowIfFull(_slotHash);
            int before = shard.Count;
            watching = shard.Put(room.Value, hash, rank, failure, now);
            Interlocked.Add(ref _count, shard.Count - before);
            if (shard.FinishedCount > _maxFailedPerShard && shard.EvictOldestFinished(_slotHash)) Interlocked.Decrement(ref _count);
        }
        if (expired > 0) NoteExpired(expired);
        Notify(watching, room, new RoomAnswer(rank, failure));
        return true;
    }

    private bool Holds(BootstrapRoom room)
    {
        RoomShard shard = ShardOf(room, out uint hash);
        return Holds(shard, room, hash);
    }

    private static bool Holds(RoomShard shard, BootstrapRoom room, uint hash)
    {
        lock (shard.Gate) return shard.Contains(room.Value, hash);
    }

    private bool MakeSpace(RoomShard preferred, TimeSpan now)
    {
        if (MakeSpaceIn(preferred, now)) return true;
        foreach (RoomShard shard in _shards)
        {
            if (shard != preferred && MakeSpaceIn(shard, now)) return true;
        }
        return false;
    }

    private bool MakeSpaceIn(RoomShard shard, TimeSpan now)
    {
        lock (shard.Gate)
        {
            int expired = shard.Expire(now, _options.EntryLife, ExpirePerWrite, _slotHash);
            if (expired > 0)
            {
                NoteExpired(expired);
                return true;
            }
            if (!shard.EvictOldestFinished(_slotHash)) return false;
        }
        Interlocked.Decrement(ref _count);
        return true;
    }

    private void NoteExpired(int expired)
    {
        Interlocked.Add(ref _count, -expired);
        Interlocked.Add(ref _expired, expired);
    }

    private static void Notify(object? watching, BootstrapRoom room, RoomAnswer answer)
    {
        if (watching is IRoomWatcher one) one.OnRoom(room, answer);
        else if (watching is List<IRoomWatcher> many)
        {
            foreach (IRoomWatcher watcher in many) watcher.OnRoom(room, answer);
        }
    }

    private RoomShard ShardOf(BootstrapRoom room, out uint hash)
    {
        ulong mixed = Hash(room.Value);
        hash = (uint)mixed;
        return _shards[mixed >> (64 - ShardShift)];
    }

    // The finalizer of splitmix64: rooms of a batch are consecutive numbers and must still spread over shards and buckets.
    private ulong Hash(ulong room)
    {
        ulong z = room + _options.HashSeed;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }
}
