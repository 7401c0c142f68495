using Baton.Core.Metrics;
using Microsoft.Extensions.Logging;

namespace Baton.Router.Http;

/// <summary><c>GET /metrics</c>: what the router's instruments reported, as Prometheus text.</summary>
internal sealed class MetricsScrape : IDisposable
{
    // Several series have one line for each pair of a prefill and a decode worker: room for 128 of each.
    internal const int MaxSeries = 128 * 128;
    private const string Ours = "baton", Smg = "smg";
    private readonly MetricsCollector _collector;
    private readonly MetricsCompat _compat;

    public MetricsScrape(RouterMetrics metrics, MetricsCompat compat, ILogger logger, int maxSeries = MaxSeries)
    {
        _compat = compat;
        _collector = new MetricsCollector(metrics.Owns, maxSeries, name => logger.MetricIsFull(name, maxSeries));
        metrics.ObserveDropped(() => _collector.Dropped);
    }

    public string Write()
    {
        IReadOnlyList<MetricSnapshot> ours = _collector.Collect();
        string text = PrometheusText.Write(ours);
        return _compat == MetricsCompat.Smg ? text + PrometheusText.Write([.. ours.Select(metric => metric with { Name = Smg + metric.Name[Ours.Length..] })]) : text;
    }

    public void Dispose() => _collector.Dispose();
}
