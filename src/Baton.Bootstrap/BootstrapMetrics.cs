using System.Diagnostics.Metrics;
using Baton.Bootstrap.Registry;

namespace Baton.Bootstrap;

/// <summary>The instruments of one bootstrap server, on the meter <c>Baton.Bootstrap</c>. Tags have few values, never a room.</summary>
/// <remarks>What every request counts is a plain number here, read when somebody collects: a listener costs the request nothing.</remarks>
public sealed class BootstrapMetrics : IDisposable
{
    public const string MeterName = "Baton.Bootstrap";
    private readonly Histogram<double> _wait;
    private readonly long[] _refused = new long[Enum.GetValues<Refusal>().Length];
    private long _registered;
    private long _hits;
    private long _misses;
    private long _failed;
    private long _ended;

    /// <param name="factory">Null: a meter of its own, which listeners find by its name.</param>
    public BootstrapMetrics(BootstrapTable table, RoomQueries queries, IMeterFactory? factory)
    {
        Meter = factory?.Create(MeterName) ?? new Meter(MeterName);
        Count("rooms.registered", () => Interlocked.Read(ref _registered), "{room}", "Rooms that prefill registered");
        Count("rooms.hit", () => Interlocked.Read(ref _hits), "{room}", "Rooms of queries that were known");
        Count("rooms.miss", () => Interlocked.Read(ref _misses), "{room}", "Rooms of queries that were not known when the answer went out");
        Count("rooms.failed", () => Interlocked.Read(ref _failed), "{room}", "Failed-room notices");
        Count("rooms.ended", () => Interlocked.Read(ref _ended), "{room}", "Rooms that prefill took back");
        Count("rooms.expired", () => table.Rooms.ExpiredCount, "{room}", "Rooms dropped because of their age");
        Count("instance.changes", () => table.Ranks.ChangeCount, "{change}", "Times that ranks were replaced or taken back");
        Meter.CreateObservableCounter("baton.bootstrap.requests.refused", ReadRefused, "{request}", "Requests that were refused, by reason");
        _wait = Meter.CreateHistogram<double>("baton.bootstrap.query.wait", "s", "How long a query that was ready to wait was parked");
        Meter.CreateObservableGauge("baton.bootstrap.rooms.live", () => table.Rooms.Count, "{room}", "Rooms held");
        Meter.CreateObservableGauge("baton.bootstrap.rooms.watched", () => table.Rooms.WatchedCount, "{room}", "Rooms that decode waits for");
        Meter.CreateObservableGauge("baton.bootstrap.queries.parked", () => queries.ParkedCount, "{query}", "Queries that wait");
        Meter.CreateObservableGauge("baton.bootstrap.ranks.registered", () => table.Ranks.RegisteredCount, "{rank}", "Distinct prefill ranks");
        Meter.CreateObservableGauge("baton.bootstrap.ranks.expected", () => table.Ranks.ExpectedCount, "{rank}", "Ranks of the whole group");
    }

    public Meter Meter { get; }

    internal void OnRegistered(int rooms) => Interlocked.Add(ref _registered, rooms);

    internal void OnUpdated(RoomUpdate update)
    {
        Interlocked.Add(ref _registered, update.Registered.Count);
        Interlocked.Add(ref _failed, update.Failed.Count);
        Interlocked.Add(ref _ended, update.Ended.Count);
    }

    internal void OnAnswered(int hits, int misses)
    {
        Interlocked.Add(ref _hits, hits);
        Interlocked.Add(ref _misses, misses);
    }

    internal void OnWaited(TimeSpan waited) => _wait.Record(waited.TotalSeconds);

    internal void OnRefused(Refusal why) => Interlocked.Increment(ref _refused[(int)why]);

    public void Dispose() => Meter.Dispose();

    private void Count(string name, Func<long> read, string unit, string description) =>
        Meter.CreateObservableCounter("baton.bootstrap." + name, read, unit, description);

    private IEnumerable<Measurement<long>> ReadRefused()
    {
        foreach (Refusal why in Enum.GetValues<Refusal>())
            yield return new Measurement<long>(Interlocked.Read(ref _refused[(int)why]), new KeyValuePair<string, object?>("reason", WireName(why)));
    }

    private static string WireName(Refusal why) => why switch
    {
        Refusal.BadRequest => "bad_request",
        Refusal.WrongToken => "wrong_token",
        Refusal.RankConflict => "rank_conflict",
        Refusal.TableFull => "table_full",
        _ => "too_many_queries",
    };
}

/// <summary>Why a bootstrap server refused a request.</summary>
internal enum Refusal
{
    BadRequest,
    WrongToken,
    /// <summary>A registration that clashes with what is registered.</summary>
    RankConflict,
    TableFull,
    /// <summary>Too many parked queries, watches or rooms in one watch.</summary>
    TooManyQueries,
}
