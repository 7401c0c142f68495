using Baton.Router.Workers;
using Microsoft.Extensions.Logging;

namespace Baton.Router.Control;

/// <summary>Workers of one source that somebody has to keep speaking for. Each stays as long as its lease is renewed; one whose lease ends drains and goes.</summary>
/// <param name="length">Of a lease; infinite when only <see cref="GiveBack"/> ends it.</param>
/// <remarks>
/// Nothing is kept beyond the process: a router that restarts has its workers back with their next renewals. Thread-safe; timers are
/// the given clock's.
/// </remarks>
public sealed class WorkerLeases(WorkerSource source, FleetControl control, WorkerFleet fleet, TimeSpan length, RouterMetrics metrics, TimeProvider time, ILogger<WorkerLeases> logger) : IDisposable
{
    private readonly Lock _lock = new();
    private readonly Dictionary<Uri, Lease> _leases = [];
    // Taken out by an operator while they went on renewing: that process stays out, the next one at the URL may come.
    private readonly Dictionary<Uri, string?> _expelled = [];

    /// <summary>One worker's word for it. <see cref="Leaving"/> is set while it drains because its lease ended or it said goodbye.</summary>
    private sealed class Lease
    {
        public required WorkerSpec Spec { get; set; }
        public required string? Instance { get; set; }
        public ITimer? Timer { get; set; }
        public CancellationTokenSource? Leaving { get; set; }
    }

    /// <summary>How long a lease lasts.</summary>
    public TimeSpan Length => length;

    /// <summary>Adds the worker, or lets one that is known stay for another <see cref="Length"/>.</summary>
    /// <param name="instance">The worker's process, or null.</param>
    /// <returns>The worker, and whether it holds a lease (one that a flag, the file or an operator added needs none); null when an operator removed that process.</returns>
    public (Worker Worker, bool HasLease)? Renew(WorkerSpec spec, string? instance)
    {
        lock (_lock)
        {
            Worker? known = Find(spec.Url);
            if (Held(spec.Url) is { } lease)
            {
                if (known is null && lease.Leaving is null) Expel(spec.Url, lease);
                else return (Keep(lease, spec, instance, known), true);
            }
            else if (known is not null) return (known, false);
            if (_expelled.TryGetValue(spec.Url, out string? removed) && removed == instance) return null;
            _expelled.Remove(spec.Url);
            if (control.Add(spec, source) is not { } added) return (Find(spec.Url)!, false);
            lease = _leases[spec.Url] = new Lease { Spec = spec, Instance = instance };
            Restart(lease);
            return (added, true);
        }
    }

    /// <summary>The worker goes: it takes nothing new, and is removed when its requests have ended.</summary>
    /// <returns>False when it holds no lease.</returns>
    public bool GiveBack(Uri url)
    {
        lock (_lock)
        {
            if (Held(url) is not { } lease) return false;
            Leave(lease);
            return true;
        }
    }

    public void Dispose()
    {
        lock (_lock)
        {
            foreach (Lease lease in _leases.Values.ToArray())
            {
                lease.Timer?.Dispose();
                lease.Leaving?.Cancel();
            }
            _leases.Clear();
        }
    }

    // A worker that the workers file names by now is the file's: no lease keeps it, and none ends it.
    private Lease? Held(Uri url)
    {
        if (!_leases.TryGetValue(url, out Lease? lease) || Find(url) is not { } worker || worker.Source == source) return lease;
        Drop(url, lease);
        return null;
    }

    private Worker? Find(Uri url) => fleet.Now.All.FirstOrDefault(w => w.Spec.Url == url);

    private Worker Keep(Lease lease, WorkerSpec spec, string? instance, Worker? known)
    {
        if (lease.Leaving is { } leaving)
        {
            // It is back before it was gone, or another process took its place: its health check decides when it is used again.
            lease.Leaving = null;
            leaving.Cancel();
            if (known is not null) known.Status = WorkerStatus.NotReady;
        }
        if (known is not null && lease.Instance != instance)
        {
            known.Forget();
            control.Forget(known);
        }
        known ??= control.Add(spec, source) ?? Find(spec.Url)!;
        // Only what the worker itself changed: what an operator changed stays.
        if (!WorkersFile.AreSame(lease.Spec, spec)) known = control.Change(known, spec);
        (lease.Spec, lease.Instance) = (spec, instance);
        Restart(lease);
        return known;
    }

    private void Restart(Lease lease)
    {
        if (lease.Timer is { } timer) timer.Change(length, Timeout.InfiniteTimeSpan);
        else lease.Timer = time.CreateTimer(_ => End(lease), null, length, Timeout.InfiniteTimeSpan);
    }

    private void End(Lease lease)
    {
        lock (_lock)
        {
            if (lease.Leaving is not null || Held(lease.Spec.Url) != lease) return;
            if (Find(lease.Spec.Url) is not { } worker)
            {
                Drop(lease.Spec.Url, lease);
                return;
            }
            metrics.LeaseEnded(source);
            logger.LeaseEnded(worker.Url, length.TotalSeconds, worker.InFlight);
            Leave(lease);
        }
    }

    private void Leave(Lease lease)
    {
        if (lease.Leaving is not null) return;
        CancellationTokenSource leaving = lease.Leaving = new CancellationTokenSource();
        lease.Timer!.Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        if (Find(lease.Spec.Url) is { } worker) _ = RemoveAsync(lease, worker, leaving);
        else Drop(lease.Spec.Url, lease);
    }

    private async Task RemoveAsync(Lease lease, Worker worker, CancellationTokenSource leaving)
    {
        try
        {
            await control.RemoveAsync(worker, drain: true, leaving.Token, of: source);
        }
        catch (OperationCanceledException)
        {
            // It came back, or the router stops.
        }
        lock (_lock)
        {
            leaving.Dispose();
            if (lease.Leaving == leaving) Drop(lease.Spec.Url, lease);
            // It came back in the moment in which it was removed.
            else if (_leases.GetValueOrDefault(lease.Spec.Url) == lease && Find(lease.Spec.Url) is null) control.Add(lease.Spec, source);
        }
    }

    private void Expel(Uri url, Lease lease)
    {
        _expelled[url] = lease.Instance;
        Drop(url, lease);
    }

    private void Drop(Uri url, Lease lease)
    {
        lease.Timer?.Dispose();
        if (_leases.GetValueOrDefault(url) == lease) _leases.Remove(url);
    }
}
