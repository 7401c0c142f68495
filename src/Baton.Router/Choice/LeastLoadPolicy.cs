using Baton.Core.Ids;

namespace Baton.Router.Choice;

/// <summary>Least outstanding work: prompt tokens still to compute on prefill, sequences in flight on decode.</summary>
/// <remarks>
/// Ties go to the one that was sent fewer requests so far, then to the first, so an idle fleet is used in turn.
/// The counts are this router's own and exact at any moment, unlike a report that is seconds old.
/// </remarks>
public sealed class LeastLoadPolicy : IRoutingPolicy
{
    public string Name => "least_load";

    public PolicyPick Pick(IReadOnlyList<Candidate> candidates, in PolicyRequest request)
    {
        int best = 0;
        (double Score, long Sent) least = Of(candidates[0], request.Role);
        for (int i = 1; i < candidates.Count; i++)
        {
            (double, long) next = Of(candidates[i], request.Role);
            if (next.CompareTo(least) >= 0) continue;
            (best, least) = (i, next);
        }
        return new PolicyPick(best, "least");
    }

    /// <summary>Prompt tokens (prefill) or sequences (decode) outstanding; on a unified worker both count.</summary>
    public static double Score(in Candidate candidate, WorkerRole role) => role switch
    {
        WorkerRole.Prefill => candidate.PromptTokens,
        WorkerRole.Decode => candidate.Load,
        _ => candidate.PromptTokens + candidate.Load,
    };

    private static (double, long) Of(in Candidate candidate, WorkerRole role) => (Score(candidate, role), candidate.Worker.Ledger(candidate.Rank).Sent);
}
