namespace Baton.Simulation.Events;

/// <summary>Events by due time, then by the order in which they were made. A four-way heap: half as deep as a binary one, and its children lie side by side.</summary>
internal sealed class EventQueue
{
    private const int Ways = 4;
    private Entry[] _heap = new Entry[1024];

    public int Count { get; private set; }

    /// <summary>Due time of the first event. Only when there is one.</summary>
    public TimeSpan NextDue => new(_heap[0].DueTicks);

    public void Enqueue(TimeSpan due, long order, Action action)
    {
        if (Count == _heap.Length) Array.Resize(ref _heap, 2 * Count);
        Entry entry = new(due.Ticks, order, action);
        int at = Count++;
        while (at > 0)
        {
            int parent = (at - 1) / Ways;
            if (!entry.IsBefore(_heap[parent])) break;
            _heap[at] = _heap[parent];
            at = parent;
        }
        _heap[at] = entry;
    }

    public Action Dequeue()
    {
        Action first = _heap[0].Action;
        Entry last = _heap[--Count];
        _heap[Count] = default;
        if (Count > 0) Sink(last);
        return first;
    }

    private void Sink(in Entry entry)
    {
        Span<Entry> heap = _heap.AsSpan(0, Count);
        int at = 0;
        for (int child = 1; child < heap.Length; child = at * Ways + 1)
        {
            int least = child, end = Math.Min(child + Ways, heap.Length);
            for (int other = child + 1; other < end; other++)
            {
                if (heap[other].IsBefore(heap[least])) least = other;
            }
            if (!heap[least].IsBefore(entry)) break;
            heap[at] = heap[least];
            at = least;
        }
        heap[at] = entry;
    }

    private readonly struct Entry(long dueTicks, long order, Action action)
    {
        public long DueTicks { get; } = dueTicks;

        public Action Action { get; } = action;

        private readonly long _order = order;

        public bool IsBefore(in Entry other) => DueTicks != other.DueTicks ? DueTicks < other.DueTicks : _order < other._order;
    }
}
