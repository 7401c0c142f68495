using System.Diagnostics.Metrics;

namespace Baton.Core.Metrics;

/// <summary>Listens to instruments and adds up what they report, for <c>/metrics</c>. Thread-safe.</summary>
/// <remarks>
/// Bounded: an instrument keeps at most <see cref="MaxSeriesPerInstrument"/> combinations of tags, and what comes after that is counted
/// in <see cref="DroppedSeries"/>. Our tags have few values, so a full table means a mistake.
/// </remarks>
public sealed class MetricsCollector : IDisposable
{
    public const int MaxSeriesPerInstrument = 512;

    private static readonly double[] DefaultBounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

    private readonly MeterListener _listener = new();
    private readonly Lock _lock = new();
    private readonly Dictionary<Instrument, InstrumentSeries> _instruments = [];

    /// <param name="isWanted">Which meters to listen to; two workers in one process tell theirs apart by the instance.</param>
    public MetricsCollector(Func<Meter, bool> isWanted)
    {
        _listener.InstrumentPublished = (instrument, listener) =>
        {
            if (!isWanted(instrument.Meter)) return;
            lock (_lock) _instruments[instrument] = new InstrumentSeries(instrument, BoundsOf(instrument));
            listener.EnableMeasurementEvents(instrument);
        };
        _listener.SetMeasurementEventCallback<long>((instrument, value, tags, _) => Record(instrument, value, tags));
        _listener.SetMeasurementEventCallback<int>((instrument, value, tags, _) => Record(instrument, value, tags));
        _listener.SetMeasurementEventCallback<double>((instrument, value, tags, _) => Record(instrument, value, tags));
        _listener.SetMeasurementEventCallback<float>((instrument, value, tags, _) => Record(instrument, value, tags));
        _listener.Start();
    }

    /// <summary>Measurements that found no place.</summary>
    public long DroppedSeries { get; private set; }

    /// <summary>Reads the observable instruments and returns a copy of everything, ordered by name.</summary>
    public IReadOnlyList<MetricSnapshot> Collect()
    {
        // What an observable instrument no longer reports (a worker that left) has to vanish.
        lock (_lock)
        {
            foreach (InstrumentSeries series in _instruments.Values) series.BeginObservation();
        }
        _listener.RecordObservableInstruments();
        lock (_lock) return [.. _instruments.Values.Select(series => series.Snapshot()).OrderBy(metric => metric.Name, StringComparer.Ordinal)];
    }

    public void Dispose() => _listener.Dispose();

    private void Record(Instrument instrument, double value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        lock (_lock)
        {
            if (_instruments.TryGetValue(instrument, out InstrumentSeries? series) && !series.TryRecord(value, tags)) DroppedSeries++;
        }
    }

    private static double[]? BoundsOf(Instrument instrument) => instrument switch
    {
        Histogram<double> histogram => [.. histogram.Advice?.HistogramBucketBoundaries ?? DefaultBounds],
        Histogram<long> histogram => [.. histogram.Advice?.HistogramBucketBoundaries?.Select(bound => (double)bound) ?? DefaultBounds],
        Histogram<int> histogram => [.. histogram.Advice?.HistogramBucketBoundaries?.Select(bound => (double)bound) ?? DefaultBounds],
        _ => null,
    };

    /// <summary>All tag combinations of one instrument.</summary>
    private sealed class InstrumentSeries(Instrument instrument, double[]? bounds)
    {
        private readonly Dictionary<string, Series> _series = new(StringComparer.Ordinal);
        private readonly bool _isObservable = instrument.IsObservable;
        private readonly MetricKind _kind = KindOf(instrument);

        public void BeginObservation()
        {
            if (_isObservable) _series.Clear();
        }

        public bool TryRecord(double value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
        {
            string labels = PrometheusText.Labels(tags);
            if (!_series.TryGetValue(labels, out Series? series))
            {
                if (_series.Count >= MaxSeriesPerInstrument) return false;
                _series[labels] = series = new Series(bounds is null ? null : new long[bounds.Length]);
            }
            series.Count++;
            if (_kind == MetricKind.Histogram)
            {
                series.Sum += value;
                for (int i = 0; i < bounds!.Length; i++)
                {
                    if (value <= bounds[i]) series.Buckets![i]++;
                }
            }
            else
            {
                // An observable reports totals; the others report changes.
                series.Sum = _isObservable ? value : series.Sum + value;
            }
            return true;
        }

        public MetricSnapshot Snapshot() => new(instrument.Name, instrument.Unit, instrument.Description, _kind, bounds,
            [.. _series.Select(one => new MetricPoint(one.Key, one.Value.Sum, one.Value.Count, one.Value.Buckets is { } buckets ? [.. buckets] : null))]);

        private static MetricKind KindOf(Instrument instrument)
        {
            Type type = instrument.GetType().GetGenericTypeDefinition();
            if (type == typeof(Histogram<>)) return MetricKind.Histogram;
            return type == typeof(Counter<>) || type == typeof(ObservableCounter<>) ? MetricKind.Counter : MetricKind.Gauge;
        }
    }

    private sealed class Series(long[]? buckets)
    {
        public double Sum;
        public long Count;
        public long[]? Buckets { get; } = buckets;
    }
}

public enum MetricKind
{
    Counter,
    Gauge,
    Histogram,
}

/// <summary>One instrument at one moment.</summary>
/// <param name="Bounds">Upper ends of a histogram's buckets.</param>
public sealed record MetricSnapshot(
    string Name, string? Unit, string? Description, MetricKind Kind, IReadOnlyList<double>? Bounds, IReadOnlyList<MetricPoint> Points);

/// <param name="Labels">As Prometheus writes them, without braces.</param>
/// <param name="Value">Counter or gauge value, or a histogram's sum.</param>
/// <param name="Buckets">Cumulative counts, one a bound.</param>
public sealed record MetricPoint(string Labels, double Value, long Count, IReadOnlyList<long>? Buckets);
