namespace Baton.Router.Workers;

/// <summary>Workers that were removed a short while ago: their breakers are reported as removed, where a series that merely ends says nothing.</summary>
/// <remarks>Thread-safe. Of a fleet that turns over faster the newest are kept.</remarks>
internal sealed class RemovedWorkers(TimeProvider time)
{
    /// <summary>How far back Prometheus looks for a sample, and more than the usual time between two scrapes.</summary>
    public static readonly TimeSpan KeptFor = TimeSpan.FromMinutes(5);
    public const int KeptCount = 256;

    private readonly Lock _lock = new();
    private readonly List<(string Url, int DpSize, TimeSpan At)> _removed = [];

    private TimeSpan Now => time.GetElapsedTime(0);

    public void Add(Worker worker)
    {
        lock (_lock)
        {
            _removed.RemoveAll(r => r.Url == worker.Url);
            if (_removed.Count == KeptCount) _removed.RemoveAt(0);
            _removed.Add((worker.Url, worker.DpSize, Now));
        }
    }

    /// <summary>Those of the last <see cref="KeptFor"/>, in the order in which they went. A URL may have come back since.</summary>
    public IReadOnlyList<(string Url, int DpSize)> Recent()
    {
        TimeSpan since = Now - KeptFor;
        lock (_lock)
        {
            _removed.RemoveAll(r => r.At <= since);
            return [.. _removed.Select(r => (r.Url, r.DpSize))];
        }
    }
}
