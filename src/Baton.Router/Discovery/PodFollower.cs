using Baton.Router.Control;
using Baton.Router.Workers;
using Microsoft.Extensions.Logging;

namespace Baton.Router.Discovery;

/// <summary>Keeps the fleet as the pods are: a full list, then its changes for 60 s, then a full list again.</summary>
/// <remarks>While the cluster cannot be asked the workers stay as they were; their health checks go on.</remarks>
internal sealed class PodFollower(KubernetesApi api, DiscoveryOptions options, WorkerLeases leases, RouterMetrics metrics, TimeProvider time, ILogger<PodFollower> logger)
{
    private static readonly TimeSpan AfterFailure = TimeSpan.FromSeconds(1);
    private const int MaxTold = 1000;
    private readonly Dictionary<string, Uri[]> _workersOf = new(StringComparer.Ordinal);
    private readonly HashSet<string> _told = new(StringComparer.Ordinal);
    private bool _hasFailed;

    public async Task RunAsync(CancellationToken ct)
    {
        while (!ct.IsCancellationRequested)
        {
            try
            {
                await FollowAsync(ct);
            }
            catch (DiscoveryException e)
            {
                // Once for a row of failures.
                if (!_hasFailed) logger.DiscoveryFailed(e.Message);
                _hasFailed = true;
                await PauseAsync(ct);
            }
            catch (OperationCanceledException) when (ct.IsCancellationRequested)
            {
                // Shutting down.
            }
        }
    }

    private async Task FollowAsync(CancellationToken ct)
    {
        long began = time.GetTimestamp();
        (List<Pod> pods, string version) = await api.ListAsync(ct);
        foreach (string gone in _workersOf.Keys.Except(pods.Select(pod => pod.Uid)).ToArray()) Set(gone, []);
        foreach (Pod pod in pods) Apply(pod);
        metrics.Synced(WorkerSource.Kubernetes, time.GetElapsedTime(began));
        if (_hasFailed) logger.DiscoveryRecovered(pods.Count);
        _hasFailed = false;
        await foreach ((string kind, Pod pod) in api.WatchAsync(version, ct))
        {
            if (kind == "DELETED") Set(pod.Uid, []);
            else if (kind is "ADDED" or "MODIFIED") Apply(pod);
        }
        // A server that ends each watch at once is not asked in a circle.
        if (time.GetElapsedTime(began) < AfterFailure) await PauseAsync(ct);
    }

    private async Task PauseAsync(CancellationToken ct)
    {
        try
        {
            await Task.Delay(AfterFailure, time, ct);
        }
        catch (OperationCanceledException)
        {
            // Shutting down.
        }
    }

    private void Apply(Pod pod)
    {
        try
        {
            Set(pod.Uid, PodWorkers.Of(pod, options));
        }
        catch (FormatException e)
        {
            // Pods come and go under ever new names.
            if (_told.Count >= MaxTold) _told.Clear();
            if (_told.Add(e.Message)) logger.PodRefused(e.Message);
            Set(pod.Uid, []);
        }
    }

    private void Set(string uid, IReadOnlyList<WorkerSpec> workers)
    {
        Uri[] before = _workersOf.GetValueOrDefault(uid) ?? [], now = [.. workers.Select(w => w.Url)];
        if (now.Length > 0) _workersOf[uid] = now;
        else _workersOf.Remove(uid);
        // An address may already be another pod's.
        foreach (Uri gone in before.Except(now).Where(url => !_workersOf.Values.Any(urls => urls.Contains(url)))) leases.GiveBack(gone);
        foreach (WorkerSpec worker in workers) leases.Renew(worker, uid);
    }
}
