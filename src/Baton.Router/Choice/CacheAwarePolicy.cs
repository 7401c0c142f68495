using Baton.Router.Workers;

namespace Baton.Router.Choice;

/// <summary>Sends a prompt where the longest part of it was sent before, unless the load is out of balance.</summary>
/// <remarks>
/// The text is the prompt as it stands in the body: for a chat the whole conversation with its roles, so the next turn of one
/// conversation begins with the last one, and two conversations that share a system prompt share that much and no more.
/// </remarks>
public sealed class CacheAwarePolicy(PolicyOptions options) : IRoutingPolicy
{
    // Beyond this a longer match changes no decision; it bounds one insert.
    private const int MaxTextBytes = 256 * 1024;
    private readonly Lock _lock = new();
    private readonly Dictionary<string, PrefixTree> _trees = [];
    private TimeSpan _evicted;

    public string Name => "cache_aware";

    public double? Score(in Candidate candidate, in PolicyRequest request) => candidate.Load;

    public PolicyPick Pick(IReadOnlyList<Candidate> candidates, in PolicyRequest request)
    {
        (int least, bool imbalanced) = Balance(candidates);
        ReadOnlySpan<byte> text = Text(request.Prompt.Span);
        lock (_lock)
        {
            if (!_trees.TryGetValue(request.Facts.Model ?? "", out PrefixTree? tree)) _trees[request.Facts.Model ?? ""] = tree = new PrefixTree();
            PolicyPick pick = new(least, "imbalanced");
            if (!imbalanced)
            {
                (int matched, Candidate? owner) = tree.Match(text, candidates);
                double share = text.Length > 0 ? (double)matched / text.Length : 0;
                bool hit = owner is not null && share > options.CacheThreshold;
                pick = hit ? new PolicyPick(IndexOf(candidates, owner!.Value), "cache_hit") { MatchedShare = share } : new PolicyPick(least, "cache_miss") { MatchedShare = 0 };
            }
            if (!request.IsDryRun) Remember(tree, text, candidates[pick.Index], request.Now);
            return pick;
        }
    }

    public void Forget(Worker worker)
    {
        lock (_lock)
            foreach (PrefixTree tree in _trees.Values) tree.Forget(c => c.Worker == worker);
    }

    private void Remember(PrefixTree tree, ReadOnlySpan<byte> text, Candidate chosen, TimeSpan now)
    {
        tree.Insert(text, chosen);
        if (now - _evicted < options.EvictionInterval) return;
        _evicted = now;
        foreach (PrefixTree each in _trees.Values) each.Evict(options.MaxTreeSize);
    }

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

    // Without the closing bracket or quote, which the next turn of the conversation does not have in that place.
    private static ReadOnlySpan<byte> Text(ReadOnlySpan<byte> prompt) => prompt.IsEmpty ? prompt : prompt[..Math.Min(prompt.Length - 1, MaxTextBytes)];

    private static int IndexOf(IReadOnlyList<Candidate> candidates, Candidate owner)
    {
        for (int i = 0; i < candidates.Count; i++)
            if (candidates[i] == owner) return i;
        return 0;
    }
}
