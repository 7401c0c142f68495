using System.Collections.Concurrent;
using System.Diagnostics.Metrics;

namespace Baton.Core.Metrics;

/// <summary>Listens to instruments and adds up what they report, for <c>/metrics</c>. Thread-safe; a measurement takes no lock and allocates nothing.</summary>
/// <remarks>
/// Bounded: an instrument keeps at most so many combinations of tags, and what comes after that is counted in <see cref="Dropped"/>.
/// Our tags have few values, so a full table means a mistake, or a fleet that is larger than the bound was made for.
/// </remarks>
public sealed class MetricsCollector : IDisposable
{
    /// <summary>The bound where nothing else is said.</summary>
    public const int MaxSeriesPerInstrument = 512;

    private static readonly double[] DefaultBounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

    private readonly MeterListener _listener = new();
    private readonly Lock _collecting = new();
    private readonly ConcurrentDictionary<Instrument, InstrumentSeries> _instruments = [];

    /// <param name="isWanted">Which meters to listen to; two workers in one process tell theirs apart by the instance.</param>
    /// <param name="maxSeries">Combinations of tags that one instrument keeps.</param>
    /// <param name="filled">Told the name of each instrument whose table is full, once, in the midst of a measurement.</param>
    public MetricsCollector(Func<Meter, bool> isWanted, int maxSeries = MaxSeriesPerInstrument, Action<string>? filled = null)
    {
        _listener.InstrumentPublished = (instrument, listener) =>
        {
            if (!isWanted(instrument.Meter)) return;
            // The series come back with every measurement, so nothing has to be looked up by instrument.
            InstrumentSeries series = _instruments.GetOrAdd(instrument, i => new InstrumentSeries(i, BoundsOf(i), maxSeries, filled));
            listener.EnableMeasurementEvents(instrument, series);
        };
        _listener.SetMeasurementEventCallback<long>(static (_, value, tags, series) => Record(value, tags, series));
        _listener.SetMeasurementEventCallback<int>(static (_, value, tags, series) => Record(value, tags, series));
        _listener.SetMeasurementEventCallback<double>(static (_, value, tags, series) => Record(value, tags, series));
        _listener.SetMeasurementEventCallback<float>(static (_, value, tags, series) => Record(value, tags, series));
        _listener.Start();
    }

    /// <summary>Measurements that found no place, by instrument; those that lost none are not there.</summary>
    public IEnumerable<(string Instrument, long Count)> Dropped => _instruments.Where(one => one.Value.Dropped > 0).Select(one => (one.Key.Name, one.Value.Dropped));

    /// <summary>Reads the observable instruments and returns a copy of everything, ordered by name.</summary>
    public IReadOnlyList<MetricSnapshot> Collect()
    {
        // One reader at a time: a second one would clear what the first one has just observed.
        lock (_collecting)
        {
            // What an observable instrument no longer reports (a worker that left) has to vanish.
            foreach (InstrumentSeries series in _instruments.Values) series.BeginObservation();
            _listener.RecordObservableInstruments();
            return [.. _instruments.Values.Select(series => series.Snapshot()).OrderBy(metric => metric.Name, StringComparer.Ordinal)];
        }
    }

    public void Dispose() => _listener.Dispose();

    private static void Record(double value, ReadOnlySpan<KeyValuePair<string, object?>> tags, object? series) => ((InstrumentSeries)series!).Record(value, tags);

    private static double[]? BoundsOf(Instrument instrument) => instrument switch
    {
        Histogram<double> histogram => [.. histogram.Advice?.HistogramBucketBoundaries ?? DefaultBounds],
        Histogram<long> histogram => [.. histogram.Advice?.HistogramBucketBoundaries?.Select(bound => (double)bound) ?? DefaultBounds],
        Histogram<int> histogram => [.. histogram.Advice?.HistogramBucketBoundaries?.Select(bound => (double)bound) ?? DefaultBounds],
        _ => null,
    };
}
