using System.Diagnostics.Metrics;
using Baton.Bootstrap.Registry;

namespace Baton.Bootstrap;

/// <summary>The counters of one bootstrap server, on the meter <c>Baton.Bootstrap</c>. Tags have few values, never a room.</summary>
public sealed class BootstrapMetrics : IDisposable
{
    public const string MeterName = "Baton.Bootstrap";
    private readonly Meter _meter;
    private readonly Counter<long> _registered;
    private readonly Counter<long> _hit;
    private readonly Counter<long> _miss;
    private readonly Counter<long> _failed;
    private readonly Histogram<double> _wait;

    /// <param name="factory">Null: a meter of its own, which listeners find by its name.</param>
    public BootstrapMetrics(BootstrapTable table, RoomQueries queries, IMeterFactory? factory)
    {
        _meter = factory?.Create(MeterName) ?? new Meter(MeterName);
        _registered = _meter.CreateCounter<long>("baton.bootstrap.rooms.registered", "{room}", "Rooms that prefill registered");
        _hit = _meter.CreateCounter<long>("baton.bootstrap.rooms.hit", "{room}", "Rooms of queries that were known");
        _miss = _meter.CreateCounter<long>("baton.bootstrap.rooms.miss", "{room}", "Rooms of queries that were not known when the answer went out");
        _failed = _meter.CreateCounter<long>("baton.bootstrap.rooms.failed", "{room}", "Failed-room notices");
        _wait = _meter.CreateHistogram<double>("baton.bootstrap.query.wait", "s", "How long a query that was ready to wait was parked");
        _meter.CreateObservableCounter("baton.bootstrap.rooms.expired", () => table.Rooms.ExpiredCount, "{room}", "Rooms dropped because of their age");
        _meter.CreateObservableGauge("baton.bootstrap.rooms.live", () => table.Rooms.Count, "{room}", "Rooms held");
        _meter.CreateObservableGauge("baton.bootstrap.queries.parked", () => queries.ParkedCount, "{query}", "Queries that wait");
        _meter.CreateObservableGauge("baton.bootstrap.ranks.registered", () => table.Ranks.RegisteredCount, "{rank}", "Distinct prefill ranks");
    }

    internal void OnRegistered(int rooms) => _registered.Add(rooms);

    internal void OnFailed(int rooms) => _failed.Add(rooms);

    internal void OnAnswered(int hits, int misses)
    {
        if (hits > 0) _hit.Add(hits);
        if (misses > 0) _miss.Add(misses);
    }

    internal void OnWaited(TimeSpan waited) => _wait.Record(waited.TotalSeconds);

    public void Dispose() => _meter.Dispose();
}
