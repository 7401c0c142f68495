namespace Baton.Core.Metrics;

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
