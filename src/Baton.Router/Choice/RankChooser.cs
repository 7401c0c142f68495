using Baton.Core.Ids;
using Baton.Router.Workers;

namespace Baton.Router.Choice;

/// <summary>How <c>--dp-mode two-level</c> picks a rank inside the worker that the policy picked: <c>--rank-policy</c>.</summary>
public enum RankPolicy
{
    /// <summary>Least tokens: the last report's, and this router's own since.</summary>
    MinTokens,
    RoundRobin,
    /// <summary>Sends no rank to prefill: the room, drawn for a rank in turn, implies it.</summary>
    FollowRoom,
    /// <summary>The rank that was sent the longest part of the prompt, unless it has far more tokens than the others.</summary>
    CachePrefix,
}

/// <summary>The second level of a two-level choice.</summary>
public sealed class RankChooser(RankPolicy policy, PolicyOptions options)
{
    // Above this multiple of the mean over the worker's ranks a known prefix does not outweigh the wait.
    private const double CrowdedFactor = 1.5;
    private readonly PrefixMemory _memory = new(options);
    private uint _turn;

    public Candidate Choose(Worker worker, in PolicyRequest request)
    {
        if (worker.DpSize == 1) return new Candidate(worker, null);
        if (policy == RankPolicy.MinTokens) return new Candidate(worker, LeastTokens(worker));
        if (policy == RankPolicy.CachePrefix) return KnownPrefix(worker, request);
        uint turn = request.IsDryRun ? Volatile.Read(ref _turn) : Interlocked.Increment(ref _turn) - 1;
        return new Candidate(worker, (int)(turn % (uint)worker.DpSize)) { IsImplied = policy == RankPolicy.FollowRoom && request.Role == WorkerRole.Prefill };
    }

    public void Forget(Worker worker) => _memory.Forget(worker);

    private Candidate KnownPrefix(Worker worker, in PolicyRequest request)
    {
        PromptText text = PromptText.Of(request, options.BlockSize);
        Candidate[] ranks = [.. Enumerable.Range(0, worker.DpSize).Where(rank => IsUsable(worker, rank)).Select(rank => new Candidate(worker, rank))];
        (double share, Candidate? owner) = _memory.Match(request.Facts.Model, text, ranks);
        double mean = Enumerable.Range(0, worker.DpSize).Average(rank => (double)Tokens(worker.Rank(rank)));
        bool isTaken = share > 0 && owner is { } known && Tokens(known.State) <= CrowdedFactor * mean;
        Candidate chosen = isTaken ? owner!.Value : new Candidate(worker, LeastTokens(worker));
        if (!request.IsDryRun) _memory.Remember(request.Facts.Model, text, chosen, request.Now);
        return chosen;
    }

    private static int LeastTokens(Worker worker)
    {
        int best = 0;
        long least = long.MaxValue;
        for (int rank = 0; rank < worker.DpSize; rank++)
        {
            if (!IsUsable(worker, rank)) continue;
            long tokens = Tokens(worker.Rank(rank));
            if (tokens < least) (best, least) = (rank, tokens);
        }
        return best;
    }

    private static long Tokens(RankState state) => Math.Max(state.Report?.UsedTokens ?? 0, 0) + state.PromptTokens;

    // When every breaker is open, all of them are as good as each other.
    private static bool IsUsable(Worker worker, int rank) =>
        worker.Rank(rank).Breaker.State != Trouble.BreakerState.Open || worker.Ranks.All(r => r.Breaker.State == Trouble.BreakerState.Open);
}
