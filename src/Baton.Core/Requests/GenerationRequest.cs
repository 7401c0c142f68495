using Baton.Core.Ids;

namespace Baton.Core.Requests;

/// <summary>One sequence to compute, accepted and normalised: what a DP controller dispatches and a rank schedules.</summary>
/// <remarks>An HTTP batch, or <c>n &gt; 1</c>, becomes several of these. Immutable; live state is the scheduler's own.</remarks>
public sealed record GenerationRequest
{
    public required RequestId Id { get; init; }
    /// <summary>At least one token, each in [0, vocabulary size).</summary>
    public required ReadOnlyMemory<int> PromptTokens { get; init; }
    public required SamplingOptions Sampling { get; init; }
    /// <summary>Set on prefill and decode workers, null on unified ones.</summary>
    public BootstrapInfo? Bootstrap { get; init; }
    /// <summary>Forces the rank of the worker that receives the request: header, then <c>routed_dp_rank</c>.</summary>
    public DpRank? RoutedDpRank { get; init; }
    /// <summary>Higher goes first; 0 by default.</summary>
    public int Priority { get; init; }
    /// <summary>On the worker's clock (<see cref="TimeProvider"/> timestamp since start).</summary>
    public TimeSpan AcceptedAt { get; init; }
    /// <summary>Receives the tokens and exactly one end. Called on the rank's thread: it must not block and must not throw.</summary>
    public required IGenerationSink Sink { get; init; }
}

/// <summary>The rendezvous fields of a request on a prefill or decode worker.</summary>
/// <param name="Address">The prefill side's bootstrap server.</param>
/// <param name="Room">Never 0 outside health checks.</param>
/// <param name="PrefillDpRankHint"><c>disagg_prefill_dp_rank</c>: which prefill rank holds the KV. Read by decode only.</param>
public sealed record BootstrapInfo(BootstrapAddress Address, BootstrapRoom Room, DpRank? PrefillDpRankHint);
