using Baton.Core.Ids;
using Baton.Core.Ranks;

namespace Baton.Scheduling.Dispatch;

/// <summary>How a worker spreads its requests over its ranks.</summary>
public sealed record DpControllerOptions
{
    public required WorkerRole Role { get; init; }

    public LoadBalanceMethod Method { get; init; } = LoadBalanceMethod.LeastWork;

    /// <summary>SGLANG_DISAGGREGATION_FORCE_QUERY_PREFILL_DP_RANK: register every room, matching ones included.</summary>
    public bool ForceQueryPrefillDpRank { get; init; }

    /// <summary>The engine steps all ranks together (attention data parallelism), so that what is in the present step delays no rank more than
    /// another and least_work looks behind it. Baton's own ranks step on their own.</summary>
    public bool RanksStepTogether { get; init; }

    /// <summary>For total_requests and total_tokens: ranks are read at most this often. SGLang's 20 ms.</summary>
    public TimeSpan SnapshotInterval { get; init; } = TimeSpan.FromMilliseconds(20);

    /// <summary>What <c>auto</c> means here. SGLang's is follow_bootstrap_room on prefill and round_robin elsewhere.</summary>
    public static LoadBalanceMethod Auto => LoadBalanceMethod.LeastWork;
}
