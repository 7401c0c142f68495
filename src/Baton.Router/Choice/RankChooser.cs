using Baton.Core.Ids;
using Baton.Router.Workers;

namespace Baton.Router.Choice;

/// <summary>How <c>--dp-mode two-level</c> picks a rank inside the worker that the policy picked: <c>--rank-policy</c>.</summary>
public enum RankPolicy
{
    /// <summary>Least tokens: the last report's, or this router's own count when that is larger.</summary>
    MinTokens,
    RoundRobin,
    /// <summary>Sends no rank to prefill: the room, drawn for a rank in turn, implies it.</summary>
    FollowRoom,
}

/// <summary>The second level of a two-level choice.</summary>
public sealed class RankChooser(RankPolicy policy)
{
    private uint _turn;

    public Candidate Choose(Worker worker, WorkerRole role, bool isDryRun)
    {
        if (worker.DpSize == 1) return new Candidate(worker, null);
        if (policy == RankPolicy.MinTokens) return new Candidate(worker, LeastTokens(worker));
        uint turn = isDryRun ? Volatile.Read(ref _turn) : Interlocked.Increment(ref _turn) - 1;
        return new Candidate(worker, (int)(turn % (uint)worker.DpSize)) { IsImplied = policy == RankPolicy.FollowRoom && role == WorkerRole.Prefill };
    }

    private static int LeastTokens(Worker worker)
    {
        int best = 0;
        long least = long.MaxValue;
        for (int rank = 0; rank < worker.DpSize; rank++)
        {
            RankState state = worker.Rank(rank);
            if (state.Breaker.State == Trouble.BreakerState.Open && worker.Ranks.Any(r => r.Breaker.State != Trouble.BreakerState.Open)) continue;
            long tokens = Math.Max(state.Report?.UsedTokens ?? 0, 0) + state.PromptTokens;
            if (tokens < least) (best, least) = (rank, tokens);
        }
        return best;
    }
}
