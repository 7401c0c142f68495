using Baton.Core.Ids;
using Baton.Router.Workers;

namespace Baton.Router.Http;

/// <summary><c>GET /workers</c>.</summary>
internal sealed record WorkerList
{
    public required IReadOnlyList<WorkerRow> Workers { get; init; }
    public required int Total { get; init; }
    public required WorkerStats Stats { get; init; }

    public static WorkerList Of(WorkerFleet.Snapshot fleet) => new()
    {
        Workers = [.. fleet.All.Select(WorkerRow.Of)],
        Total = fleet.All.Count,
        Stats = new WorkerStats { PrefillCount = fleet.Prefill.Count, DecodeCount = fleet.Decode.Count, RegularCount = fleet.Unified.Count },
    };
}

internal sealed record WorkerStats
{
    public int PrefillCount { get; init; }
    public int DecodeCount { get; init; }
    public int RegularCount { get; init; }
}

/// <summary>One worker; its key is never shown.</summary>
internal sealed record WorkerRow
{
    public required string Id { get; init; }
    public required string Url { get; init; }
    public string? ModelId { get; init; }
    public required string WorkerType { get; init; }
    public required bool IsHealthy { get; init; }
    public required string Status { get; init; }
    public string? Problem { get; init; }
    public required int Load { get; init; }
    public required int Priority { get; init; }
    public required double Cost { get; init; }
    public required string ConnectionMode { get; init; }
    public int? BootstrapPort { get; init; }
    public required int DpSize { get; init; }
    /// <summary>Where SGLang lists a row for each rank; here a row is a physical worker and its own base.</summary>
    public required string DpBaseUrl { get; init; }
    public int? DpRank { get; init; }
    /// <summary><c>pending</c> until its first health check passed, then null.</summary>
    public string? JobStatus { get; init; }
    public required IReadOnlyList<int> RankLoads { get; init; }
    public required IReadOnlyDictionary<string, string> Labels { get; init; }

    public static WorkerRow Of(Worker worker) => new()
    {
        Id = worker.Id,
        Url = worker.Url,
        ModelId = worker.ModelName,
        WorkerType = worker.Role switch { WorkerRole.Prefill => "prefill", WorkerRole.Decode => "decode", _ => "regular" },
        IsHealthy = worker.Status == WorkerStatus.Ready,
        Status = worker.Status.ToString().ToLowerInvariant(),
        Problem = worker.Problem,
        Load = worker.InFlight,
        Priority = worker.Spec.Priority,
        Cost = worker.Spec.Cost,
        ConnectionMode = "http",
        BootstrapPort = worker.BootstrapPort,
        DpSize = worker.DpSize,
        DpBaseUrl = worker.Url,
        JobStatus = worker.Status == WorkerStatus.Pending ? "pending" : null,
        RankLoads = [.. worker.Ranks.Select(r => r.Requests)],
        Labels = worker.Spec.Labels,
    };
}

/// <summary><c>GET /readiness</c>: ready means that a request could be placed now.</summary>
internal sealed record ReadinessBody
{
    public required string Status { get; init; }
    public required int HealthyWorkers { get; init; }
    public required int TotalWorkers { get; init; }
    public required int PrefillReady { get; init; }
    public required int DecodeReady { get; init; }
    public required int UnifiedReady { get; init; }
    /// <summary>Only with <c>?deep=1</c>: a real token through every pair.</summary>
    public IReadOnlyList<PairProbe>? Pairs { get; init; }

    public static ReadinessBody Of(WorkerFleet.Snapshot fleet)
    {
        int prefill = Ready(fleet.Prefill), decode = Ready(fleet.Decode), unified = Ready(fleet.Unified);
        bool ready = fleet.Prefill.Count + fleet.Decode.Count > 0 ? prefill > 0 && decode > 0 : unified > 0;
        return new ReadinessBody
        {
            Status = ready ? "ready" : "not_ready",
            HealthyWorkers = prefill + decode + unified,
            TotalWorkers = fleet.All.Count,
            PrefillReady = prefill,
            DecodeReady = decode,
            UnifiedReady = unified,
        };
    }

    private static int Ready(IReadOnlyList<Worker> workers)
    {
        int count = 0;
        foreach (Worker worker in workers)
            if (worker.Status == WorkerStatus.Ready) count++;
        return count;
    }
}
