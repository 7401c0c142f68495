namespace Baton.Core.Ranks;

/// <summary>What a rank publishes after each turn, for the DP controller, <c>/v1/loads</c> and <c>/server_info</c>.</summary>
public sealed record RankLoad
{
    public required int DpRank { get; init; }
    /// <summary>On the worker's clock.</summary>
    public TimeSpan At { get; init; }
    public int RunningRequests { get; init; }
    public int WaitingRequests { get; init; }
    /// <summary>Prompt tokens accepted and not yet computed: the true remaining prefill work.</summary>
    public int UncomputedPromptTokens { get; init; }
    /// <summary>SGLang's num_total_tokens: tokens held plus tokens of every queued request.</summary>
    public int TotalTokens { get; init; }
    public int UsedCells { get; init; }
    public int CellCount { get; init; }
    public int MaxRunningRequests { get; init; }
    public int BootstrapQueue { get; init; }
    public int InflightQueue { get; init; }
    public int PreallocQueue { get; init; }
    public int TransferQueue { get; init; }
    public int RetractedQueue { get; init; }
    /// <summary>Output tokens per second over the last second of work.</summary>
    public double GenThroughput { get; init; }
    /// <summary>The rank takes no new work (dead engine, draining).</summary>
    public bool IsAvailable { get; init; } = true;
    public long StepCount { get; init; }
}
