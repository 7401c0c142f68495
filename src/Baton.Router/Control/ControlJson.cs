using Baton.Router.Workers;

namespace Baton.Router.Control;

internal sealed record WorkerAccepted
{
    public required string Status { get; init; }
    public required string WorkerId { get; init; }
    public required string Url { get; init; }
    public required string Location { get; init; }
    public required string Message { get; init; }
}

/// <summary>The answer to <c>POST /workers/lease</c>.</summary>
internal sealed record LeaseGranted
{
    public required string WorkerId { get; init; }
    public required string Url { get; init; }
    /// <summary>Renew before this much time has passed; 0 when the worker is known by other means and needs no lease.</summary>
    public required double LeaseSecs { get; init; }
    public required string Status { get; init; }
}

internal sealed record ControlError
{
    public required string Error { get; init; }
    public required string Code { get; init; }
}

internal sealed record UrlList
{
    public required IReadOnlyList<string> Urls { get; init; }
}

internal sealed record RoleSwitchRequest
{
    public string? WorkerUrl { get; init; }
    public string? NewRole { get; init; }
    public int? BootstrapPort { get; init; }
    public bool? Drain { get; init; }
    public double? DrainTimeoutSecs { get; init; }
}

internal sealed record BroadcastRow
{
    public required string Url { get; init; }
    public required int Status { get; init; }
    public required string Message { get; init; }
}

internal sealed record BroadcastList
{
    public required bool Success { get; init; }
    public required IReadOnlyList<BroadcastRow> Results { get; init; }
}

/// <summary><c>GET /get_loads</c>: the last report of every rank beside this router's own counts.</summary>
internal sealed record LoadList
{
    public required IReadOnlyList<LoadRow> Workers { get; init; }

    public static LoadList Of(WorkerFleet.Snapshot fleet) => new()
    {
        Workers = [.. fleet.All.SelectMany(w => w.Ranks.Select((rank, i) => new LoadRow
        {
            Url = w.Url,
            WorkerType = RouterMetrics.RoleName(w.Role),
            DpRank = i,
            InFlight = rank.Requests,
            PromptTokensInFlight = rank.PromptTokens,
            Reported = rank.Report is { } r
                ? new ReportedLoad { NumRunningReqs = r.RunningRequests, NumWaitingReqs = r.WaitingRequests, NumUsedTokens = r.UsedTokens, TokenUsage = r.TokenUsage, NumWaitingUncachedTokens = r.WaitingUncachedTokens, GenThroughput = r.GenThroughput }
                : null,
        }))],
    };
}

internal sealed record LoadRow
{
    public required string Url { get; init; }
    public required string WorkerType { get; init; }
    public required int DpRank { get; init; }
    public required int InFlight { get; init; }
    public required long PromptTokensInFlight { get; init; }
    public ReportedLoad? Reported { get; init; }
}

internal sealed record ReportedLoad
{
    public int NumRunningReqs { get; init; }
    public int NumWaitingReqs { get; init; }
    /// <summary>Null when the worker only told a share.</summary>
    public long? NumUsedTokens { get; init; }
    public double TokenUsage { get; init; }
    public long NumWaitingUncachedTokens { get; init; }
    public double GenThroughput { get; init; }
}

internal static class EngineMetrics
{
    /// <summary>Puts a <c>worker</c> label in front of every sample's labels.</summary>
    public static string WithWorker(string text, string worker)
    {
        System.Text.StringBuilder merged = new(text.Length * 2);
        foreach (string line in text.Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            int brace = line.IndexOf('{', StringComparison.Ordinal), space = line.IndexOf(' ', StringComparison.Ordinal);
            if (line[0] == '#' || space < 0) merged.Append(line);
            else if (brace >= 0 && brace < space) merged.Append(line.AsSpan(0, brace + 1)).Append($"worker=\"{worker}\",").Append(line.AsSpan(brace + 1));
            else merged.Append(line.AsSpan(0, space)).Append($"{{worker=\"{worker}\"}}").Append(line.AsSpan(space));
            merged.Append('\n');
        }
        return merged.ToString();
    }
}
