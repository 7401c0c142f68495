using Baton.Router.KvEvents;
using Baton.Router.Trouble;

namespace Baton.Router.Workers;

/// <summary>One rank of one worker: what this router has in flight there, what the rank last reported, and its breaker.</summary>
/// <remarks>Atomic counters; every credit taken is returned once.</remarks>
public sealed class RankState
{
    private RankReport? _report;
    private volatile bool _isClosed = true;
    private int _requests;
    private long _sent;

    /// <summary>Sequences in flight.</summary>
    public int Requests => Volatile.Read(ref _requests);

    /// <summary>Estimated prompt tokens of those sequences whose prompt is not computed yet, as far as this router can tell.</summary>
    public long PromptTokens => Prompts.Tokens;

    /// <summary>Those prompts.</summary>
    public PromptLine Prompts { get; }

    /// <summary>Sequences ever sent.</summary>
    public long Sent => Volatile.Read(ref _sent);

    public CircuitBreaker Breaker { get; }

    /// <summary>What the rank told of its KV cache.</summary>
    public KvBlocks Blocks { get; } = new();

    /// <param name="speed">Shared by the ranks of a worker.</param>
    public RankState(BreakerOptions breaker, PromptSpeed speed)
    {
        Breaker = new CircuitBreaker(breaker, state => _isClosed = state == BreakerState.Closed);
        Prompts = new PromptLine(speed);
    }

    /// <summary>Whether a request may go there now.</summary>
    /// <remarks>Asked of every rank for every request: a closed breaker, which most are, is neither locked nor even looked at.</remarks>
    public bool Admits(TimeSpan now) => _isClosed || Breaker.Admits(now);

    /// <summary>The rank's own last word on its load, or null when it never spoke.</summary>
    public RankReport? Report
    {
        get => Volatile.Read(ref _report);
        set => Volatile.Write(ref _report, value);
    }

    /// <param name="now">The router's clock.</param>
    public void Take(int sequences, int promptTokens, TimeSpan now)
    {
        Interlocked.Add(ref _requests, sequences);
        Interlocked.Add(ref _sent, sequences);
        Prompts.Add(promptTokens, now);
    }

    /// <summary>The prompts of a request are computed, or never will be: the next in line begins.</summary>
    public void EndPrompts(int promptTokens, TimeSpan now, bool areComputed) => Prompts.Remove(promptTokens, now, areComputed);

    public void Return(int sequences) => Interlocked.Add(ref _requests, -sequences);
}

/// <summary>One element of a worker's <c>/v1/loads</c>.</summary>
/// <param name="At">When this router read it, on the router's clock.</param>
/// <param name="UsedTokens">Null when the worker only told a share.</param>
/// <param name="TokenUsage">Share of the KV cells in use, 0 to 1.</param>
/// <param name="WaitingUncachedTokens">Prompt tokens there that are still to be computed, from all routers.</param>
public sealed record RankReport(
    TimeSpan At, int RunningRequests, int WaitingRequests, long? UsedTokens, long MaxTokens, double TokenUsage,
    long WaitingUncachedTokens, double GenThroughput, double CacheHitRate)
{
    /// <summary>Prompt tokens that this router had in flight there when it asked: what it knows itself, and better.</summary>
    public long OwnPromptTokens { get; init; }

    /// <summary>Null where the worker does not tell.</summary>
    public double? KvTransferLatencyMs { get; init; }
    public double? KvTransferSpeedGbS { get; init; }
    public double? PrefillQueueRequests { get; init; }
    public double? DecodeQueueRequests { get; init; }

    /// <summary>Prompt tokens still to be computed there for other routers.</summary>
    public long OthersWaitingTokens => Math.Max(0, WaitingUncachedTokens - OwnPromptTokens);
}
