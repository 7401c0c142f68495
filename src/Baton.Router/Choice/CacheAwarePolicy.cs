using Baton.Router.Workers;

namespace Baton.Router.Choice;

/// <summary>Sends a prompt where the longest part of it was sent before, unless the load is out of balance.</summary>
/// <remarks>
/// The text is the prompt as it stands in the body: for a chat its tools and the whole conversation with its roles, so the next turn of one
/// conversation begins with the last one, and two conversations that share a system prompt share that much and no more. Token ids are
/// compared by blocks of <c>--block-size</c>, however they are written.
/// </remarks>
public sealed class CacheAwarePolicy(PolicyOptions options) : IRoutingPolicy
{
    private readonly PrefixMemory _memory = new(options);

    public string Name => "cache_aware";

    public double? Score(in Candidate candidate, in PolicyRequest request) => candidate.Load;

    public PolicyPick Pick(IReadOnlyList<Candidate> candidates, in PolicyRequest request)
    {
        (int least, bool imbalanced) = Balance(candidates);
        PromptText text = PromptText.Of(request, options.BlockSize);
        PolicyPick pick = new(least, "imbalanced");
        if (!imbalanced)
        {
            (double share, Candidate? owner) = _memory.Match(request.Facts.Model, text, candidates);
            bool hit = owner is not null && share > options.CacheThreshold;
            pick = hit ? new PolicyPick(IndexOf(candidates, owner!.Value), "cache_hit") { MatchedShare = share } : new PolicyPick(least, "cache_miss") { MatchedShare = 0 };
        }
        if (!request.IsDryRun) _memory.Remember(request.Facts.Model, text, candidates[pick.Index], request.Now);
        return pick;
    }

    public void Forget(Worker worker) => _memory.Forget(worker);

    /// <summary>The least loaded candidate, and whether the differences are so large that caching has to wait.</summary>
    private (int Least, bool Imbalanced) Balance(IReadOnlyList<Candidate> candidates)
    {
        int least = 0, min = int.MaxValue, max = 0;
        long minSent = 0;
        double hottest = 0, coldest = 1;
        for (int i = 0; i < candidates.Count; i++)
        {
            Candidate candidate = candidates[i];
            (int load, long sent) = (candidate.Load, candidate.State.Sent);
            if (load < min || (load == min && sent < minSent)) (least, min, minSent) = (i, load, sent);
            max = Math.Max(max, load);
            double usage = candidate.TokenUsage ?? 0;
            (hottest, coldest) = (Math.Max(hottest, usage), Math.Min(coldest, usage));
        }
        bool imbalanced = hottest > options.OverloadTokenUsageThreshold
            || hottest - coldest > options.BalanceTokenUsageThreshold
            || (max - min > options.BalanceAbsThreshold && max > options.BalanceRelThreshold * min);
        return (least, imbalanced);
    }

    private static int IndexOf(IReadOnlyList<Candidate> candidates, Candidate owner)
    {
        for (int i = 0; i < candidates.Count; i++)
            if (candidates[i] == owner) return i;
        return 0;
    }
}
