using Baton.Router.Workers;

namespace Baton.Router.Choice;

/// <summary>Sends a prompt where the longest part of it was sent before, unless the load is out of balance.</summary>
/// <remarks>
/// The text is the prompt as it stands in the body: for a chat its tools and the whole conversation with its roles, so the next turn of one
/// conversation begins with the last one, and two conversations that share a system prompt share that much and no more. Token ids are
/// compared by blocks of <c>--block-size</c>, however they are written. Where workers publish KV events, what they hold of token ids is
/// known and not guessed; text cannot be looked up there, because the router has no tokenizer.
/// </remarks>
public sealed class CacheAwarePolicy(PolicyOptions options) : IRoutingPolicy
{
    private readonly PrefixMemory _memory = new(options);

    public string Name => "cache_aware";

    public bool ReadsKvEvents => true;

    public double? Score(in Candidate candidate, in PolicyRequest request) => candidate.Load;

    public PolicyPick Pick(IReadOnlyList<Candidate> candidates, in PolicyRequest request)
    {
        (int least, bool imbalanced) = Balance(candidates);
        PromptText text = PromptText.Of(request, options.BlockSize);
        PolicyPick pick = new(least, "imbalanced");
        if (!imbalanced)
        {
            PolicyPick longest = Longest(candidates, request, text);
            pick = longest.MatchedShare > options.CacheThreshold ? longest : longest with { Index = least, Branch = "cache_miss", MatchedShare = 0 };
        }
        if (!request.IsDryRun) _memory.Remember(request.Facts.Model, text, candidates[pick.Index], request.Now);
        return pick;
    }

    public void Forget(Worker worker) => _memory.Forget(worker);

    /// <summary>The candidate with the longest part of the prompt: what it told that it holds, or else what it was sent.</summary>
    private PolicyPick Longest(IReadOnlyList<Candidate> candidates, in PolicyRequest request, PromptText text)
    {
        HeldPrefix? held = HeldPrefix.Find(request, candidates);
        // What was sent to a rank says nothing more about it once the rank itself told all.
        IReadOnlyList<Candidate> guessed = held?.Untold ?? candidates;
        (double share, Candidate? owner) = guessed.Count == 0 ? (0, null) : _memory.Match(request.Facts.Model, text, guessed);
        if (held is { } told && told.Share >= share) return new PolicyPick(told.Index, "cache_hit") { MatchedShare = told.Share, MatchedTokens = told.Tokens, MatchedBy = "kv_events" };
        int? tokens = text.AreIds ? (int)(share * request.Facts.PromptTokens) : null;
        return new PolicyPick(owner is { } known ? IndexOf(candidates, known) : 0, "cache_hit") { MatchedShare = share, MatchedTokens = tokens, MatchedBy = "sent_before" };
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

    private static int IndexOf(IReadOnlyList<Candidate> candidates, Candidate owner)
    {
        for (int i = 0; i < candidates.Count; i++)
            if (candidates[i] == owner) return i;
        return 0;
    }
}
