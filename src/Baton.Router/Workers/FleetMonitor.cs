using System.Text.Json;
using Baton.Core.Ids;
using Baton.Router.Legs;
using Microsoft.Extensions.Logging;

namespace Baton.Router.Workers;

/// <summary>Keeps the fleet's picture true: health checks, and what each worker says about itself.</summary>
public sealed class FleetMonitor(WorkerFleet fleet, HttpLegTransport http, RouterOptions options, TimeProvider time, ILogger<FleetMonitor> logger)
{
    // A pending worker is asked more often: nobody waits a whole interval for a router to notice a worker that just came up.
    private static readonly TimeSpan PendingInterval = TimeSpan.FromMilliseconds(200);
    private readonly Dictionary<Worker, WorkerWatch> _watches = [];

    private sealed class WorkerWatch
    {
        public int Failures, Successes;
        public TimeSpan NextCheck, NextInfo;
        public Task Running = Task.CompletedTask;
    }

    /// <summary>Checks workers as they fall due, until cancelled.</summary>
    public async Task RunAsync(CancellationToken ct)
    {
        using PeriodicTimer timer = new(PendingInterval, time);
        do
        {
            foreach (Worker worker in fleet.Now.All)
            {
                if (!_watches.TryGetValue(worker, out WorkerWatch? watch)) _watches[worker] = watch = new WorkerWatch();
                if (!watch.Running.IsCompleted || Now < watch.NextCheck) continue;
                watch.Running = CheckAsync(worker, watch, ct);
            }
            foreach (Worker gone in _watches.Keys.Except(fleet.Now.All).ToArray()) _watches.Remove(gone);
        }
        while (await TickAsync(timer, ct));
    }

    private TimeSpan Now => time.GetElapsedTime(0);

    private static async Task<bool> TickAsync(PeriodicTimer timer, CancellationToken ct)
    {
        try
        {
            return await timer.WaitForNextTickAsync(ct);
        }
        catch (OperationCanceledException)
        {
            return false;
        }
    }

    private async Task CheckAsync(Worker worker, WorkerWatch watch, CancellationToken ct)
    {
        string? problem = await ProbeAsync(worker, watch, ct);
        if (ct.IsCancellationRequested) return;
        if (problem is null)
        {
            (watch.Successes, watch.Failures) = (watch.Successes + 1, 0);
            int needed = worker.Status == WorkerStatus.Pending ? 1 : options.HealthSuccessThreshold;
            if (worker.Status is WorkerStatus.Pending or WorkerStatus.NotReady && watch.Successes >= needed) Move(worker, WorkerStatus.Ready, "its health check passed");
        }
        else
        {
            (watch.Successes, watch.Failures) = (0, watch.Failures + 1);
            watch.NextInfo = default;
            if (worker.Status == WorkerStatus.Ready && watch.Failures >= options.HealthFailureThreshold) Move(worker, WorkerStatus.NotReady, problem);
        }
        watch.NextCheck = Now + (worker.Status == WorkerStatus.Ready ? options.HealthCheckInterval : PendingInterval);
    }

    /// <returns>Null when the worker can be used; otherwise what is wrong.</returns>
    private async Task<string?> ProbeAsync(Worker worker, WorkerWatch watch, CancellationToken ct)
    {
        using CancellationTokenSource limit = new(options.HealthCheckTimeout, time);
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(ct, limit.Token);
        try
        {
            (int status, _, _) = await http.CallAsync(HttpMethod.Get, worker.Url + options.HealthCheckEndpoint, worker.Spec.ApiKey, null, either.Token);
            if (status is < 200 or > 299) return $"GET {options.HealthCheckEndpoint} answered {status}";
            return Now < watch.NextInfo ? null : await ReadInfoAsync(worker, watch, either.Token);
        }
        catch (LegException e)
        {
            return e.Message;
        }
        catch (OperationCanceledException)
        {
            return $"no answer within {options.HealthCheckTimeout.TotalSeconds} s";
        }
    }

    private async Task<string?> ReadInfoAsync(Worker worker, WorkerWatch watch, CancellationToken ct)
    {
        (int status, byte[] body, _) = await http.CallAsync(HttpMethod.Get, worker.Url + "/server_info", worker.Spec.ApiKey, null, ct);
        if (status == 404) (status, body, _) = await http.CallAsync(HttpMethod.Get, worker.Url + "/get_server_info", worker.Spec.ApiKey, null, ct);
        if (status is < 200 or > 299) return $"GET /server_info answered {status}";
        try
        {
            WorkerInfo info = WorkerInfo.Parse(body);
            if (Contradicts(info.DisaggregationMode, worker.Role))
            {
                logger.RoleMismatch(worker.Url, worker.Role.ToString(), info.DisaggregationMode!);
                return $"it runs in mode {info.DisaggregationMode}";
            }
            worker.Learn(info);
            watch.NextInfo = Now + options.ServerInfoInterval;
            return null;
        }
        catch (JsonException e)
        {
            return $"GET /server_info: {e.Message}";
        }
    }

    private static bool Contradicts(string? mode, WorkerRole role) => mode is not null && role != (mode switch
    {
        "prefill" => WorkerRole.Prefill,
        "decode" => WorkerRole.Decode,
        _ => WorkerRole.Unified,
    });

    private void Move(Worker worker, WorkerStatus status, string why)
    {
        worker.Status = status;
        logger.WorkerStatusChanged(worker.Url, worker.Role.ToString(), status.ToString(), why);
    }
}
