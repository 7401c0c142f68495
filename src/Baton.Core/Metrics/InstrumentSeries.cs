using System.Diagnostics.Metrics;

namespace Baton.Core.Metrics;

/// <summary>All tag combinations of one instrument. Recording finds its cell by the tags' hash, without a lock and without building labels.</summary>
/// <remarks>The table only grows, under a lock; readers see a slot empty or filled. Labels are built once, when a combination is new.</remarks>
internal sealed class InstrumentSeries(Instrument instrument, double[]? bounds, int maxSeries, Action<string>? filled)
{
    private readonly Lock _growing = new();
    private readonly Dictionary<string, Cell> _cells = new(StringComparer.Ordinal);
    private readonly MetricKind _kind = KindOf(instrument);
    // An observable, or a gauge, reports where it stands; the others report changes.
    private readonly bool _sets = instrument.IsObservable || instrument.GetType().GetGenericTypeDefinition() == typeof(Gauge<>);
    private Entry?[] _table = new Entry?[16];
    private int _entries;
    private long _dropped;

    /// <summary>One order of one combination of tags.</summary>
    private sealed record Entry(int Hash, KeyValuePair<string, object?>[] Tags, Cell Cell);

    private sealed class Cell(int buckets)
    {
        public double Sum;
        public long Count;
        public readonly long[] Buckets = new long[buckets];

        public void Add(double value)
        {
            double seen = Volatile.Read(ref Sum);
            while (Interlocked.CompareExchange(ref Sum, seen + value, seen) is var now && !now.Equals(seen)) seen = now;
        }
    }

    /// <summary>Measurements that found no place.</summary>
    public long Dropped => Volatile.Read(ref _dropped);

    public void BeginObservation()
    {
        if (!instrument.IsObservable) return;
        lock (_growing)
        {
            _cells.Clear();
            _entries = 0;
            Volatile.Write(ref _table, new Entry?[_table.Length]);
        }
    }

    public void Record(double value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        int hash = HashOf(tags);
        if ((Find(Volatile.Read(ref _table), hash, tags) ?? Add(hash, tags)) is not { } cell)
        {
            if (Interlocked.Increment(ref _dropped) == 1) filled?.Invoke(instrument.Name);
            return;
        }
        Interlocked.Increment(ref cell.Count);
        if (_sets) Volatile.Write(ref cell.Sum, value);
        else cell.Add(value);
        if (bounds is null) return;
        int bucket = Array.BinarySearch(bounds, value);
        Interlocked.Increment(ref cell.Buckets[bucket < 0 ? ~bucket : bucket]);
    }

    public MetricSnapshot Snapshot()
    {
        lock (_growing) return new(instrument.Name, instrument.Unit, instrument.Description, _kind, bounds, [.. _cells.Select(one => Point(one.Key, one.Value))]);
    }

    private MetricPoint Point(string labels, Cell cell)
    {
        if (bounds is null) return new(labels, Volatile.Read(ref cell.Sum), Volatile.Read(ref cell.Count), null);
        // The count comes from the buckets: read at another moment it could be less than the last of them.
        long[] cumulative = new long[bounds.Length];
        long sum = 0;
        for (int i = 0; i < bounds.Length; i++) cumulative[i] = sum += Volatile.Read(ref cell.Buckets[i]);
        return new(labels, Volatile.Read(ref cell.Sum), sum + Volatile.Read(ref cell.Buckets[^1]), cumulative);
    }

    private static Cell? Find(Entry?[] table, int hash, ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        for (int i = hash & (table.Length - 1); Volatile.Read(ref table[i]) is { } entry; i = (i + 1) & (table.Length - 1))
            if (entry.Hash == hash && AreSame(entry.Tags, tags)) return entry.Cell;
        return null;
    }

    private Cell? Add(int hash, ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        lock (_growing)
        {
            if (Find(_table, hash, tags) is { } other) return other;
            // The same tags in another order are the same series.
            string labels = PrometheusText.Labels(tags);
            if (!_cells.TryGetValue(labels, out Cell? cell))
            {
                if (_cells.Count >= maxSeries) return null;
                _cells[labels] = cell = new Cell(bounds is null ? 0 : bounds.Length + 1);
            }
            // Orders are few; without this a caller that shuffles its tags would grow the table without end.
            if (_entries >= 8 * maxSeries) return cell;
            if (++_entries * 2 > _table.Length) Volatile.Write(ref _table, Grown(_table));
            Put(_table, new Entry(hash, tags.ToArray(), cell));
            return cell;
        }
    }

    private static Entry?[] Grown(Entry?[] from)
    {
        Entry?[] table = new Entry?[from.Length * 2];
        foreach (Entry? entry in from)
            if (entry is not null) Put(table, entry);
        return table;
    }

    private static void Put(Entry?[] table, Entry entry)
    {
        int i = entry.Hash & (table.Length - 1);
        while (table[i] is not null) i = (i + 1) & (table.Length - 1);
        Volatile.Write(ref table[i], entry);
    }

    private static int HashOf(ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        HashCode hash = default;
        foreach ((string _, object? value) in tags) hash.Add(value);
        return hash.ToHashCode();
    }

    private static bool AreSame(KeyValuePair<string, object?>[] known, ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        if (known.Length != tags.Length) return false;
        for (int i = 0; i < known.Length; i++)
            if (known[i].Key != tags[i].Key || !Equals(known[i].Value, tags[i].Value)) return false;
        return true;
    }

    private static MetricKind KindOf(Instrument instrument)
    {
        Type type = instrument.GetType().GetGenericTypeDefinition();
        if (type == typeof(Histogram<>)) return MetricKind.Histogram;
        return type == typeof(Counter<>) || type == typeof(ObservableCounter<>) ? MetricKind.Counter : MetricKind.Gauge;
    }
}
