using Baton.Core.Ids;

namespace Baton.Router.Choice;

/// <summary>Least outstanding work: prompt tokens still to compute on prefill, sequences and KV use on decode.</summary>
/// <remarks>
/// This router's own counts are exact at any moment, unlike a report that is seconds old; the reports add what other routers
/// sent, and how full the KV cache is. Of equal prefill ranks the one whose first request is at it the longest will be free first;
/// other ties go to the candidate that was sent fewer requests so far, then to the first.
/// </remarks>
public sealed class LeastLoadPolicy(PolicyOptions options) : IRoutingPolicy
{
    public string Name => "least_load";

    public PolicyPick Pick(IReadOnlyList<Candidate> candidates, in PolicyRequest request)
    {
        int best = 0;
        (double Score, TimeSpan HeadSince, long Sent) least = Key(candidates[0], request.Role);
        for (int i = 1; i < candidates.Count; i++)
        {
            (double, TimeSpan, long) next = Key(candidates[i], request.Role);
            if (next.CompareTo(least) >= 0) continue;
            (best, least) = (i, next);
        }
        return new PolicyPick(best, "least");
    }

    public double? Score(in Candidate candidate, in PolicyRequest request) => Score(candidate, request.Role);

    /// <summary>Seconds of prefill work ahead, or sequences that share the decode steps; a nearly full cache adds to either.</summary>
    public double Score(in Candidate candidate, WorkerRole role)
    {
        double used = Math.Clamp(candidate.TokenUsage ?? 0, 0, 0.999);
        // k / (1 - k): nothing while the cache is half empty, or an old report would decide between equals; without bound when the next request would be retracted.
        double pressure = used < 0.5 ? 0 : used / (1 - used);
        double work = (candidate.PromptTokens + candidate.OthersWaitingTokens) / options.DefaultThroughput;
        return role switch
        {
            WorkerRole.Prefill => work + options.KvPressureSeconds * pressure,
            WorkerRole.Decode => candidate.Load + options.KvPressureSequences * pressure,
            _ => work + candidate.Load * options.KvPressureSeconds + options.KvPressureSeconds * pressure,
        };
    }

    private (double, TimeSpan, long) Key(in Candidate candidate, WorkerRole role) => (Score(candidate, role), HeadSince(candidate, role), candidate.State.Sent);

    private static TimeSpan HeadSince(in Candidate candidate, WorkerRole role) =>
        role == WorkerRole.Prefill && (candidate.Rank is not null || candidate.Worker.DpSize == 1) && candidate.State.PromptTokens > 0 ? candidate.State.HeadSince : TimeSpan.Zero;
}
