using System.Diagnostics;
using Baton.Core.Failures;
using Baton.Core.Ids;

namespace Baton.Bootstrap.Registry;

/// <summary>One slice of <see cref="RoomTable"/>: a hash table whose entries also stand in two queues by age, live and finished.</summary>
/// <remarks>
/// Life is the same for every entry, so the head of a queue is always the next to expire and expiry never searches. 32 bytes an entry
/// in chunks that never move, plus 4 to 8 bytes of hash index: growing copies only the index of this one shard. Not thread-safe by
/// itself: the caller holds <see cref="Gate"/>.
/// </remarks>
internal sealed class RoomShard
{
    private const int ChunkShift = 10;
    private const int ChunkMask = (1 << ChunkShift) - 1;
    private const int FailedRank = -1;

    public readonly Lock Gate = new();
    private readonly List<Slot[]> _chunks = [];
    private readonly Dictionary<ulong, RequestFailure> _failures = [];
    // The value is one IRoomWatcher or a List of them: most rooms have one.
    private readonly Dictionary<ulong, object> _watchers = [];
    private int[] _buckets = new int[256];
    private int _freeHead;
    private int _used;
    private AgeQueue _live;
    private AgeQueue _finished;

    public int Count { get; private set; }
    public int FinishedCount { get; private set; }
    public int WatchedCount => _watchers.Count;

    private ref Slot At(int index) => ref _chunks[(index - 1) >> ChunkShift][(index - 1) & ChunkMask];

    /// <summary>Finds an entry that is not older than <paramref name="life"/>.</summary>
    public RoomAnswer Find(ulong room, uint hash, TimeSpan now, TimeSpan life)
    {
        int index = IndexOf(room, hash);
        if (index == 0) return RoomAnswer.Unknown;
        ref Slot slot = ref At(index);
        if (now.Ticks - slot.AtTicks > life.Ticks) return RoomAnswer.Unknown;
        return slot.Rank == FailedRank ? new RoomAnswer(null, _failures[room]) : new RoomAnswer(new DpRank(slot.Rank), null);
    }

    public bool Contains(ulong room, uint hash) => IndexOf(room, hash) != 0;

    /// <summary>Adds or overwrites, with a new age. Returns whoever was watching; they are no longer.</summary>
    public object? Put(ulong room, uint hash, DpRank? rank, RequestFailure? failure, TimeSpan now)
    {
        int index = IndexOf(room, hash);
        if (index == 0) index = Insert(room, hash);
        else Unlink(index);

        ref Slot slot = ref At(index);
        slot.AtTicks = now.Ticks;
        if (rank is { } known)
        {
            slot.Rank = known.Value;
            _failures.Remove(room);
            Append(ref _live, index);
        }
        else
        {
            slot.Rank = FailedRank;
            _failures[room] = failure ?? throw new UnreachableException("a room is put with a rank or with a failure");
            Append(ref _finished, index);
            FinishedCount++;
        }
        _watchers.Remove(room, out object? watching);
        return watching;
    }

    public bool Remove(ulong room, uint hash)
    {
        int index = IndexOf(room, hash);
        if (index == 0) return false;
        Unlink(index);
        Delete(index, hash);
        return true;
    }

    /// <summary>Drops up to <paramref name="max"/> entries that are older than <paramref name="life"/>.</summary>
    public int Expire(TimeSpan now, TimeSpan life, int max, Func<ulong, uint> hashOf)
    {
        int dropped = 0;
        while (dropped < max && (HeadIsOlder(_live.Oldest, now, life) || HeadIsOlder(_finished.Oldest, now, life)))
        {
            int index = HeadIsOlder(_live.Oldest, now, life) ? _live.Oldest : _finished.Oldest;
            ulong room = At(index).Room;
            Unlink(index);
            Delete(index, hashOf(room));
            dropped++;
        }
        return dropped;
    }

    /// <summary>Makes room: the oldest failed entry goes. False when there is none.</summary>
    public bool EvictOldestFinished(Func<ulong, uint> hashOf)
    {
        int index = _finished.Oldest;
        if (index == 0) return false;
        ulong room = At(index).Room;
        Unlink(index);
        Delete(index, hashOf(room));
        return true;
    }

    public void Watch(ulong room, IRoomWatcher watcher)
    {
        if (!_watchers.TryGetValue(room, out object? present)) _watchers[room] = watcher;
        else if (present is List<IRoomWatcher> many) many.Add(watcher);
        else _watchers[room] = new List<IRoomWatcher> { (IRoomWatcher)present, watcher };
    }

    public void Unwatch(ulong room, IRoomWatcher watcher)
    {
        if (!_watchers.TryGetValue(room, out object? present)) return;
        if (present is List<IRoomWatcher> many && many.Remove(watcher) && many.Count > 0) return;
        if (present is List<IRoomWatcher> { Count: > 0 } || (present is IRoomWatcher one && one != watcher)) return;
        _watchers.Remove(room);
    }

    private bool HeadIsOlder(int index, TimeSpan now, TimeSpan life) => index != 0 && now.Ticks - At(index).AtTicks > life.Ticks;

    private int IndexOf(ulong room, uint hash)
    {
        int index = _buckets[hash & (uint)(_buckets.Length - 1)];
        while (index != 0)
        {
            ref Slot slot = ref At(index);
            if (slot.Room == room) return index;
            index = slot.Next;
        }
        return 0;
    }

    private int Insert(ulong room, uint hash)
    {
        int index = _freeHead;
        if (index != 0) _freeHead = At(index).Next;
        else index = TakeFresh();

        ref int bucket = ref _buckets[hash & (uint)(_buckets.Length - 1)];
        ref Slot slot = ref At(index);
        slot.Room = room;
        slot.Next = bucket;
        bucket = index;
        Count++;
        return index;
    }

    private int TakeFresh()
    {
        if (_used == _chunks.Count << ChunkShift) _chunks.Add(new Slot[1 << ChunkShift]);
        return ++_used;
    }

    private void Delete(int index, uint hash)
    {
        ref int link = ref _buckets[hash & (uint)(_buckets.Length - 1)];
        while (link != index) link = ref At(link).Next;
        ref Slot slot = ref At(index);
        link = slot.Next;
        if (slot.Rank == FailedRank) _failures.Remove(slot.Room);
        slot = default;
        slot.Next = _freeHead;
        _freeHead = index;
        Count--;
    }

    /// <summary>Doubles the hash index once it is full. The caller tells how to hash, since slots keep only the room.</summary>
    public void GrowIfFull(Func<ulong, uint> hashOf)
    {
        if (Count < _buckets.Length) return;
        int[] grown = new int[_buckets.Length * 2];
        foreach (int first in _buckets)
        {
            int index = first;
            while (index != 0)
            {
                ref Slot slot = ref At(index);
                int next = slot.Next;
                ref int bucket = ref grown[hashOf(slot.Room) & (uint)(grown.Length - 1)];
                slot.Next = bucket;
                bucket = index;
                index = next;
            }
        }
        _buckets = grown;
    }

    private void Append(ref AgeQueue queue, int index)
    {
        ref Slot slot = ref At(index);
        slot.Newer = 0;
        slot.Older = queue.Newest;
        if (queue.Newest != 0) At(queue.Newest).Newer = index;
        else queue.Oldest = index;
        queue.Newest = index;
    }

    private void Unlink(int index)
    {
        ref Slot slot = ref At(index);
        ref AgeQueue queue = ref _live;
        if (slot.Rank == FailedRank)
        {
            queue = ref _finished;
            FinishedCount--;
        }
        if (slot.Older != 0) At(slot.Older).Newer = slot.Newer;
        else queue.Oldest = slot.Newer;
        if (slot.Newer != 0) At(slot.Newer).Older = slot.Older;
        else queue.Newest = slot.Older;
    }

    private struct AgeQueue
    {
        public int Oldest;
        public int Newest;
    }

    /// <summary>Indices are 1-based so that 0 means none.</summary>
    private struct Slot
    {
        public ulong Room;
        public long AtTicks;
        public int Rank;
        public int Next;
        public int Older;
        public int Newer;
    }
}
