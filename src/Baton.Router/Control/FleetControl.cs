using System.Text.Json;
using Baton.Core.Ids;
using Baton.Router.Legs;
using Baton.Router.Workers;
using Microsoft.Extensions.Logging;

namespace Baton.Router.Control;

/// <summary>Changes the fleet while it serves: adds, drains, removes, switches roles, and follows the workers file.</summary>
public sealed class FleetControl(
    PdRouter router, HttpLegTransport http, RouterOptions options, RouterMetrics metrics, TimeProvider time, ILogger<FleetControl> logger)
{
    private static readonly TimeSpan DrainLook = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan FileLook = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan SwitchRetry = TimeSpan.FromSeconds(1);
    private (DateTime, long) _fileSeen;

    private WorkerFleet Fleet => router.Fleet;

    /// <summary>Adds a worker, or returns null when the URL is there already.</summary>
    public Worker? Add(WorkerSpec spec, WorkerSource source = WorkerSource.Api)
    {
        if (Fleet.Add(spec, source) is not { } worker) return null;
        metrics.Registered(source);
        logger.FleetChanged(worker.Url, $"added as {spec.Role} ({source.Name})");
        return worker;
    }

    /// <summary>Gives a worker another specification; in another role it is Pending until its health check passes.</summary>
    public Worker Change(Worker worker, WorkerSpec spec)
    {
        logger.FleetChanged(worker.Url, "changed");
        if (spec.Role != worker.Role) return Fleet.Replace(worker, spec);
        worker.Respec(spec);
        return worker;
    }

    /// <summary>Takes nothing new there, and returns once nothing runs there any more or the time is up.</summary>
    /// <returns>Requests still running; 0 when it drained.</returns>
    public async Task<int> DrainAsync(Worker worker, TimeSpan limit, CancellationToken ct)
    {
        worker.Status = WorkerStatus.Draining;
        logger.FleetChanged(worker.Url, $"drains {worker.InFlight} requests");
        long began = time.GetTimestamp();
        // A worker may want its balancers and its last callers to notice before it is gone.
        TimeSpan settle = worker.Spec.Tuning.DrainSettle is { } own && own < limit ? own : TimeSpan.Zero;
        while ((worker.InFlight > 0 && time.GetElapsedTime(began) < limit) || time.GetElapsedTime(began) < settle) await Task.Delay(DrainLook, time, ct);
        return worker.InFlight;
    }

    /// <summary>Drains and removes.</summary>
    /// <param name="of">Whose worker it must still be when it has drained; null: anybody's.</param>
    public async Task RemoveAsync(Worker worker, bool drain, CancellationToken ct, WorkerSource? of = null)
    {
        int cut = drain ? await DrainAsync(worker, options.DrainTimeout, ct) : worker.InFlight;
        if (of is { } source && worker.Source != source)
        {
            // The workers file named it in the meantime: its health check decides when it is used again.
            worker.TryMove(WorkerStatus.Draining, WorkerStatus.NotReady);
            return;
        }
        worker.Status = WorkerStatus.Draining;
        if (!Fleet.Remove(worker)) return;
        Forget(worker);
        metrics.Deregistered(worker);
        logger.FleetChanged(worker.Url, $"removed with {cut} requests in flight");
    }

    /// <summary>What the policies remember of a worker no longer holds.</summary>
    public void Forget(Worker worker) => router.Forget(worker);

    /// <summary>Turns a prefill worker into a decode worker or back: drains it, asks it until it is idle, and takes it back in its new role.</summary>
    /// <returns>Null when it switched; otherwise status and text.</returns>
    public async Task<(int Status, string Text)?> SwitchRoleAsync(Worker worker, WorkerRole role, int? bootstrapPort, bool drain, TimeSpan limit, CancellationToken ct)
    {
        if (worker.Role == role) return (400, $"{worker.Url} is a {RouterMetrics.RoleName(role)} worker already.");
        WorkerStatus before = worker.Status;
        long began = time.GetTimestamp();
        worker.Status = WorkerStatus.Draining;
        if (drain && await DrainAsync(worker, limit, ct) is var left and > 0)
        {
            worker.Status = before;
            return (502, $"{worker.Url} still runs {left} requests after {limit.TotalSeconds} s; it stays a {RouterMetrics.RoleName(worker.Role)} worker.");
        }
        byte[] body = JsonSerializer.SerializeToUtf8Bytes(new Dictionary<string, string> { ["new_role"] = RouterMetrics.RoleName(role) }, RouterJson.Default.DictionaryStringString);
        while (true)
        {
            (bool done, string text, bool safe) = await AskToSwitchAsync(worker, body, ct);
            if (done) break;
            if (!text.Contains("not idle", StringComparison.OrdinalIgnoreCase) || time.GetElapsedTime(began) >= limit)
            {
                // Unless the worker says it is as before, nobody knows in which role it is now.
                worker.Status = safe ? before : WorkerStatus.Failed;
                worker.Problem = safe ? null : "role switch refused: " + text;
                return (502, $"{worker.Url} refused to become a {RouterMetrics.RoleName(role)} worker: {text}");
            }
            await Task.Delay(SwitchRetry, time, ct);
        }
        Forget(worker);
        Worker switched = Fleet.Replace(worker, worker.Spec with { Role = role, BootstrapPort = role == WorkerRole.Prefill ? bootstrapPort ?? BootstrapAddress.DefaultPort : null });
        logger.FleetChanged(switched.Url, $"is a {RouterMetrics.RoleName(role)} worker now");
        return null;
    }

    /// <summary>Follows the workers file until cancelled.</summary>
    public async Task FollowFileAsync(CancellationToken ct)
    {
        if (options.WorkersFile is not { } file) return;
        using PeriodicTimer timer = new(FileLook, time);
        try
        {
            while (await timer.WaitForNextTickAsync(ct))
            {
                FileInfo info = new(file);
                if (info.Exists && _fileSeen != (info.LastWriteTimeUtc, info.Length)) Reload(ct);
            }
        }
        catch (OperationCanceledException)
        {
            // Shutting down.
        }
    }

    /// <summary>Takes the workers file over: new ones are added, missing ones drain and go, changed ones change. All or nothing.</summary>
    /// <returns>Null, or why the file was refused; then nothing changed.</returns>
    public string? Reload(CancellationToken ct)
    {
        if (options.WorkersFile is not { } file) return "no --workers-file was given";
        long began = time.GetTimestamp();
        try
        {
            FileInfo info = new(file);
            _fileSeen = (info.LastWriteTimeUtc, info.Length);
            IReadOnlyList<WorkerSpec> wanted = WorkersFile.Read(file);
            foreach (WorkerSpec spec in wanted)
            {
                Worker? known = Fleet.Now.All.FirstOrDefault(w => w.Spec.Url == spec.Url);
                if (known is null)
                {
                    Add(spec, WorkerSource.File);
                    continue;
                }
                // From now on the file alone ends it, not its lease or its pod.
                if (known.Source is WorkerSource.Lease or WorkerSource.Kubernetes) known.Source = WorkerSource.File;
                if (!WorkersFile.AreSame(known.Spec, spec)) Change(known, spec);
            }
            foreach (Worker gone in Fleet.Now.All.Where(w => w.Source == WorkerSource.File && w.Status != WorkerStatus.Draining && !wanted.Any(s => s.Url == w.Spec.Url)))
                _ = RemoveAsync(gone, drain: true, ct);
            return null;
        }
        catch (Exception e) when (e is IOException or FormatException or UnauthorizedAccessException)
        {
            logger.WorkersFileRefused(file, e.Message);
            return e.Message;
        }
        finally
        {
            metrics.Synced(WorkerSource.File, time.GetElapsedTime(began));
        }
    }

    private async Task<(bool Done, string Text, bool Safe)> AskToSwitchAsync(Worker worker, byte[] body, CancellationToken ct)
    {
        try
        {
            WorkerAnswer answer = await http.CallAsync(HttpMethod.Post, worker.Url + "/pd_role_switch", worker.Spec.ApiKey, body, ct);
            using JsonDocument? document = answer.Body.Length > 0 && answer.Body[0] == '{' ? JsonDocument.Parse(answer.Body) : null;
            JsonElement root = document?.RootElement ?? default;
            bool success = answer.IsOk && !(root.ValueKind == JsonValueKind.Object && root.TryGetProperty("success", out JsonElement ok) && ok.ValueKind == JsonValueKind.False);
            // A worker without that route did nothing.
            bool safe = answer.Status is 404 or 405 or 501 || root.ValueKind == JsonValueKind.Object && root.TryGetProperty("safe_to_restore", out JsonElement restore) && restore.ValueKind == JsonValueKind.True;
            return (success, $"{answer.Status} {Errors.WorkerWords.Read(answer.Body).Message}", safe);
        }
        catch (Exception e) when (e is LegException or JsonException)
        {
            return (false, e.Message, false);
        }
    }
}
