using Baton.Router.Trouble;

namespace Baton.Router.Workers;

/// <summary>One rank of one worker: what this router has in flight there, what the rank last reported, and its breaker.</summary>
/// <remarks>Atomic counters; every credit taken is returned once.</remarks>
public sealed class RankState(BreakerOptions breaker)
{
    private RankReport? _report;
    private int _requests;
    private long _promptTokens;
    private long _sent;

    /// <summary>Sequences in flight.</summary>
    public int Requests => Volatile.Read(ref _requests);

    /// <summary>Estimated prompt tokens of those sequences.</summary>
    public long PromptTokens => Volatile.Read(ref _promptTokens);

    /// <summary>Sequences ever sent.</summary>
    public long Sent => Volatile.Read(ref _sent);

    public CircuitBreaker Breaker { get; } = new(breaker);

    /// <summary>The rank's own last word on its load, or null when it never spoke.</summary>
    public RankReport? Report
    {
        get => Volatile.Read(ref _report);
        set => Volatile.Write(ref _report, value);
    }

    public void Take(int sequences, int promptTokens)
    {
        Interlocked.Add(ref _requests, sequences);
        Interlocked.Add(ref _promptTokens, promptTokens);
        Interlocked.Add(ref _sent, sequences);
    }

    public void Return(int sequences, int promptTokens)
    {
        Interlocked.Add(ref _requests, -sequences);
        Interlocked.Add(ref _promptTokens, -promptTokens);
    }
}

/// <summary>One element of a worker's <c>/v1/loads</c>.</summary>
/// <param name="At">When this router read it, on the router's clock.</param>
/// <param name="TokenUsage">Share of the KV cells in use, 0 to 1.</param>
/// <param name="WaitingUncachedTokens">Prompt tokens queued there that no cache covers, from all routers.</param>
public sealed record RankReport(
    TimeSpan At, int RunningRequests, int WaitingRequests, long UsedTokens, long MaxTokens, double TokenUsage,
    long WaitingUncachedTokens, double GenThroughput, double CacheHitRate);
