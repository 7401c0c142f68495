using System.Text;
using System.Text.Json;
using Baton.Core.Ids;
using Baton.Router.Legs;
using Microsoft.Extensions.Logging;

namespace Baton.Router.Workers;

/// <summary>Keeps the fleet's picture true: health, what each worker says about itself, how loaded its ranks are, and replaced processes.</summary>
/// <param name="onUnhealthy">Called once for a worker that has failed its checks for so long that it has to go.</param>
/// <param name="onReplaced">Called when another process answers at a worker's URL: policies forget what they knew of it.</param>
public sealed class FleetMonitor(
    WorkerFleet fleet, HttpLegTransport http, RouterOptions options, RouterMetrics metrics, TimeProvider time, ILogger<FleetMonitor> logger, Action<Worker> onReplaced, Action<Worker> onUnhealthy)
{
    private static readonly TimeSpan Tick = TimeSpan.FromMilliseconds(200);
    private readonly Dictionary<Worker, WorkerWatch> _watches = [];

    private sealed class WorkerWatch
    {
        public int Failures, Successes;
        public TimeSpan NextCheck, NextInfo, NextLoads;
        public TimeSpan? BadSince;
        public bool HasNoLoads, HasOnlyGauges, WarnedOfPlainDp;
        public string? InstanceId;
        public Task Running = Task.CompletedTask, Loading = Task.CompletedTask;
    }

    private TimeSpan Now => time.GetElapsedTime(0);

    /// <summary>Checks workers as they fall due, until cancelled.</summary>
    public async Task RunAsync(CancellationToken ct)
    {
        using PeriodicTimer timer = new(options.StartupCheckInterval < Tick ? options.StartupCheckInterval : Tick, time);
        do
        {
            foreach (Worker worker in fleet.Now.All)
            {
                if (!_watches.TryGetValue(worker, out WorkerWatch? watch)) _watches[worker] = watch = new WorkerWatch();
                if (watch.Running.IsCompleted && Now >= watch.NextCheck) watch.Running = CheckAsync(worker, watch, ct);
                if (worker.Status == WorkerStatus.Ready && options.LoadInterval > TimeSpan.Zero && !watch.HasNoLoads && watch.Loading.IsCompleted && Now >= watch.NextLoads)
                    watch.Loading = ReadLoadsAsync(worker, watch, ct);
            }
            foreach (Worker gone in _watches.Keys.Except(fleet.Now.All).ToArray()) _watches.Remove(gone);
        }
        while (await TickAsync(timer, ct));
        await Task.WhenAll(_watches.Values.SelectMany(w => new[] { w.Running, w.Loading }));
    }

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
        string? problem = options.IsHealthCheckEnabled ? await ProbeAsync(worker, watch, ct) : null;
        if (ct.IsCancellationRequested) return;
        if (options.IsHealthCheckEnabled) metrics.HealthChecked(worker.Url, problem is null);
        if (problem is null)
        {
            (watch.Successes, watch.Failures) = (watch.Successes + 1, 0);
            watch.BadSince = null;
            WorkerStatus before = worker.Status;
            int needed = before == WorkerStatus.Pending ? 1 : options.HealthSuccessThreshold;
            if (before is WorkerStatus.Pending or WorkerStatus.NotReady && watch.Successes >= needed)
            {
                watch.HasNoLoads = watch.HasOnlyGauges = false;
                Move(worker, before, WorkerStatus.Ready, "its health check passed");
            }
        }
        else
        {
            (watch.Successes, watch.Failures) = (0, watch.Failures + 1);
            // What it says about itself may have changed by the time it is back.
            watch.NextInfo = default;
            worker.Problem = problem;
            if (worker.Status == WorkerStatus.Ready && watch.Failures >= options.HealthFailureThreshold) Move(worker, WorkerStatus.Ready, WorkerStatus.NotReady, problem);
            watch.BadSince ??= Now;
            RemoveIfHopeless(worker, watch);
        }
        watch.NextCheck = Now + (worker.Status is WorkerStatus.Ready or WorkerStatus.Draining ? worker.Spec.Tuning.HealthCheckInterval ?? options.HealthCheckInterval : options.StartupCheckInterval);
    }

    // One that starts has its time to start.
    private void RemoveIfHopeless(Worker worker, WorkerWatch watch)
    {
        TimeSpan? limit = worker.Status switch { WorkerStatus.NotReady => options.UnhealthyFor, WorkerStatus.Pending => options.WorkerStartupTimeout, _ => null };
        if (!options.RemoveUnhealthyWorkers || limit is null || Now - watch.BadSince < limit) return;
        logger.UnhealthyRemoved(worker.Url, limit.Value.TotalSeconds, worker.Problem ?? "");
        onUnhealthy(worker);
    }

    /// <returns>Null when the worker can be used; otherwise what is wrong.</returns>
    private async Task<string?> ProbeAsync(Worker worker, WorkerWatch watch, CancellationToken ct)
    {
        using CancellationTokenSource limit = new(options.HealthCheckTimeout, time);
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(ct, limit.Token);
        try
        {
            WorkerAnswer health = await GetAsync(worker, options.HealthCheckEndpoint, either.Token);
            if (!health.IsOk) return $"GET {options.HealthCheckEndpoint} answered {health.Status}";
            NoteInstance(worker, watch, health.InstanceId);
            if (Now >= watch.NextInfo && await ReadInfoAsync(worker, watch, either.Token) is { } wrong) return wrong;
            // Alive with a dead bootstrap server, a prefill worker lets every request wait for its timeout.
            if (worker is { Role: WorkerRole.Prefill, BootstrapPort: { } port })
                await http.CallAsync(HttpMethod.Get, $"http://{worker.BootstrapHost}:{port}/health", null, null, either.Token);
            return null;
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
        WorkerAnswer answer = await GetAsync(worker, "/server_info", ct);
        if (answer.Status == 404) answer = await GetAsync(worker, "/get_server_info", ct);
        if (!answer.IsOk) return $"GET /server_info answered {answer.Status}";
        try
        {
            WorkerInfo info = WorkerInfo.Parse(answer.Body);
            if (!options.AllowRoleMismatch && Contradicts(info.DisaggregationMode, worker.Role))
            {
                if (watch.Failures == 0) logger.RoleMismatch(worker.Url, worker.Role.ToString(), info.DisaggregationMode!);
                return $"role_mismatch: it runs in mode {info.DisaggregationMode}";
            }
            NoteInstance(worker, watch, info.InstanceId);
            WarnOfPlainDp(worker, watch, info);
            worker.Learn(info);
            watch.NextInfo = Now + options.ServerInfoInterval;
            return null;
        }
        catch (JsonException e)
        {
            return $"GET /server_info: {e.Message}";
        }
    }

    private async Task ReadLoadsAsync(Worker worker, WorkerWatch watch, CancellationToken ct)
    {
        using CancellationTokenSource limit = new(options.HealthCheckTimeout, time);
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(ct, limit.Token);
        try
        {
            long[] ownPromptTokens = [.. worker.Ranks.Select(rank => rank.PromptTokens)];
            if (!watch.HasOnlyGauges)
            {
                WorkerAnswer answer = await GetAsync(worker, "/v1/loads?include=core,disagg,queues,memory", either.Token);
                if (answer.IsOk) LoadsDocument.Apply(answer.Body, worker, ownPromptTokens, Now);
                // Older workers do not have it; asked again when the worker was away and came back.
                watch.HasOnlyGauges = answer.Status is 404 or 405 or 501;
            }
            if (watch.HasOnlyGauges)
            {
                WorkerAnswer gauges = await GetAsync(worker, "/metrics", either.Token);
                watch.HasNoLoads = !gauges.IsOk || !EngineGauges.Apply(Encoding.UTF8.GetString(gauges.Body), worker, Now);
            }
        }
        catch (Exception e) when (e is LegException or OperationCanceledException or JsonException)
        {
            // The health check tells whether the worker is in trouble; without reports the router's own counts decide.
        }
        watch.NextLoads = Now + options.LoadInterval;
    }

    private Task<WorkerAnswer> GetAsync(Worker worker, string path, CancellationToken ct) => http.CallAsync(HttpMethod.Get, worker.Url + path, worker.Spec.ApiKey, null, ct);

    private void NoteInstance(Worker worker, WorkerWatch watch, string? instance)
    {
        if (instance is null || instance == watch.InstanceId) return;
        if (watch.InstanceId is not null)
        {
            logger.WorkerRestarted(worker.Url, watch.InstanceId, instance);
            worker.Forget();
            onReplaced(worker);
        }
        watch.InstanceId = instance;
    }

    // Such a prefill compares the routed rank with an attention rank that is always 0 and rejects every other one.
    private void WarnOfPlainDp(Worker worker, WorkerWatch watch, WorkerInfo info)
    {
        if (watch.WarnedOfPlainDp || worker.Role != WorkerRole.Prefill || info is not { DpSize: > 1, EnableDpAttention: false, CancelAnytime: false, LoadBalanceMethod: "follow_bootstrap_room" }) return;
        watch.WarnedOfPlainDp = true;
        logger.PlainDp(worker.Url, info.DpSize);
    }

    private static bool Contradicts(string? mode, WorkerRole role) => mode is not null && role != (mode switch
    {
        "prefill" => WorkerRole.Prefill,
        "decode" => WorkerRole.Decode,
        _ => WorkerRole.Unified,
    });

    private void Move(Worker worker, WorkerStatus from, WorkerStatus status, string why)
    {
        // An operator's drain may have come since the look at its status.
        if (!worker.TryMove(from, status)) return;
        worker.Problem = status == WorkerStatus.Ready ? null : why;
        logger.WorkerStatusChanged(worker.Url, worker.Role.ToString(), status.ToString(), why);
    }
}
