using Baton.Core.Ids;
using Baton.Core.Requests;
using Baton.Scheduling.Ranks;

namespace Baton.Simulation.Cluster;

/// <summary>The oracle: no request belongs to a rank before a rank is free for it. No dispatcher can do better without looking ahead.</summary>
internal sealed class CentralQueue(IReadOnlyList<IRank> ranks, bool isLockstep, int stepBudget, Action<GenerationRequest> dispatch)
{
    private readonly Queue<GenerationRequest> _waiting = new();

    public void Add(GenerationRequest request) => _waiting.Enqueue(request);

    /// <summary>Before a turn of one rank, or of all in lockstep.</summary>
    public void HandOut(IRank? rank)
    {
        if (!isLockstep)
        {
            while (rank!.Inbox.UncomputedPromptTokens == 0 && _waiting.TryDequeue(out GenerationRequest? next)) Give(next, rank);
            return;
        }
        while (_waiting.TryPeek(out GenerationRequest? next))
        {
            IRank least = ranks[0];
            foreach (IRank other in ranks)
            {
                if (other.Inbox.UncomputedPromptTokens < least.Inbox.UncomputedPromptTokens) least = other;
            }
            long filled = least.Inbox.UncomputedPromptTokens;
            if (filled > 0 && filled + next.PromptTokens.Length > stepBudget) return;
            Give(_waiting.Dequeue(), least);
        }
    }

    private void Give(GenerationRequest request, IRank rank) => dispatch(request with { RoutedDpRank = new DpRank(rank.DpRank.Value) });
}
