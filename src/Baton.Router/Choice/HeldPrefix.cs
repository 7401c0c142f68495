using Baton.Router.Bodies;
using Baton.Router.KvEvents;
using Baton.Router.Workers;

namespace Baton.Router.Choice;

/// <summary>Which candidate holds the longest part of a prompt in its KV cache, by the workers' own events.</summary>
/// <param name="Index">Of the candidate; the least loaded one among equals.</param>
/// <param name="Tokens">That it holds, from the prompt's start; 0 when nobody holds any.</param>
/// <param name="PromptTokens">Of the whole prompt.</param>
/// <param name="Untold">Candidates that may hold more than they told: nobody listens to them, or not since they were empty.</param>
internal readonly record struct HeldPrefix(int Index, int Tokens, int PromptTokens, IReadOnlyList<Candidate> Untold)
{
    // Longer than any context: it bounds the work for one prompt.
    private const int MaxTokens = 1 << 20;

    public double Share => PromptTokens == 0 ? 0 : (double)Tokens / PromptTokens;

    /// <summary>Null when no events say anything about this prompt: it is text, a batch, or no candidate is listened to.</summary>
    public static HeldPrefix? Find(in PolicyRequest request, IReadOnlyList<Candidate> candidates)
    {
        if (request.Facts.BatchSize != 1 || !IsAnyLive(candidates) || !PromptIds.Are(request.Prompt.Span)) return null;
        PromptBlocks prompt = new(PromptIds.Read(request.Prompt.Span, MaxTokens));
        List<Candidate> untold = [];
        (int best, int most) = (0, -1);
        for (int i = 0; i < candidates.Count; i++)
        {
            (int tokens, bool isWhole) = HeldBy(candidates[i], prompt);
            if (!isWhole) untold.Add(candidates[i]);
            if (tokens > most || (tokens == most && candidates[i].Load < candidates[best].Load)) (best, most) = (i, tokens);
        }
        return new HeldPrefix(best, most, prompt.TokenCount, untold);
    }

    // A worker that chooses its rank itself is taken for its best one.
    private static (int Tokens, bool IsWhole) HeldBy(in Candidate candidate, PromptBlocks prompt)
    {
        if (candidate.Rank is not null) return (candidate.State.Blocks.Match(prompt), candidate.State.Blocks.IsWhole);
        (int most, bool isWhole) = (0, true);
        IReadOnlyList<RankState> ranks = candidate.Worker.Ranks;
        for (int i = 0; i < ranks.Count; i++)
            (most, isWhole) = (Math.Max(most, ranks[i].Blocks.Match(prompt)), isWhole && ranks[i].Blocks.IsWhole);
        return (most, isWhole);
    }

    private static bool IsAnyLive(IReadOnlyList<Candidate> candidates)
    {
        for (int i = 0; i < candidates.Count; i++)
        {
            if (candidates[i].Rank is not null)
            {
                if (candidates[i].State.Blocks.IsLive) return true;
                continue;
            }
            IReadOnlyList<RankState> ranks = candidates[i].Worker.Ranks;
            for (int rank = 0; rank < ranks.Count; rank++)
                if (ranks[rank].Blocks.IsLive) return true;
        }
        return false;
    }
}
