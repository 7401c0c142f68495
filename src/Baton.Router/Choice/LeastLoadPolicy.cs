using System.Runtime.InteropServices;
using Baton.Core.Ids;

namespace Baton.Router.Choice;

/// <summary>Least outstanding work: prompt tokens still to compute on prefill, sequences and KV use on decode.</summary>
/// <remarks>
/// This router's own counts are exact at any moment, unlike a report that is seconds old; the reports add what other routers
/// sent, and how full the KV cache is. How far a rank is with its first prompt is estimated: <see cref="Workers.PromptLine"/>. Of equal
/// prefill ranks the one whose first request is at it the longest will be free first; other ties go to the candidate that was sent fewer
/// requests so far, then to the first.
/// </remarks>
public sealed class LeastLoadPolicy(PolicyOptions options) : IRoutingPolicy
{
    public string Name => "least_load";

    public PolicyPick Pick(IReadOnlyList<Candidate> candidates, in PolicyRequest request)
    {
        int best = 0;
        double least = double.PositiveInfinity;
        (TimeSpan HeadSince, long Sent) leastTie = (TimeSpan.MaxValue, long.MaxValue);
        // The router's own lists are read in place: a fleet may have a thousand ranks, and each is scored for each request.
        ReadOnlySpan<Candidate> all = candidates is List<Candidate> list ? CollectionsMarshal.AsSpan(list) : [.. candidates];
        for (int i = 0; i < all.Length; i++)
        {
            ref readonly Candidate candidate = ref all[i];
            double score = Score(candidate, request.Role, request.Now);
            if (score > least) continue;
            (TimeSpan HeadSince, long Sent) tie = (HeadSince(candidate, request.Role), candidate.State.Sent);
            if (score.Equals(least) && (tie.HeadSince > leastTie.HeadSince || (tie.HeadSince == leastTie.HeadSince && tie.Sent >= leastTie.Sent))) continue;
            (best, least, leastTie) = (i, score, tie);
        }
        return new PolicyPick(best, "least");
    }

    public double? Score(in Candidate candidate, in PolicyRequest request) => Score(candidate, request.Role, request.Now);

    /// <summary>Seconds of prefill work ahead, or sequences that share the decode steps; a nearly full cache adds to either.</summary>
    public double Score(in Candidate candidate, WorkerRole role, TimeSpan now)
    {
        // Without a report there is neither pressure nor work of others: the rank's own counts say it all.
        if (candidate.Rank is not null && role != WorkerRole.Unified && candidate.State is { Report: null } rank)
            return role == WorkerRole.Prefill ? rank.Prompts.RemainingTokens(now) / options.DefaultThroughput : rank.Requests;
        double used = Math.Clamp(candidate.TokenUsage ?? 0, 0, 0.999);
        // k / (1 - k): nothing while the cache is half empty, or an old report would decide between equals; without bound when the next request would be retracted.
        double pressure = used < 0.5 ? 0 : used / (1 - used);
        double own = IsOneRank(candidate, role) ? candidate.State.Prompts.RemainingTokens(now) : candidate.PromptTokens;
        double work = (own + candidate.OthersWaitingTokens) / options.DefaultThroughput;
        return role switch
        {
            WorkerRole.Prefill => work + options.KvPressureSeconds * pressure,
            WorkerRole.Decode => candidate.Load + options.KvPressureSequences * pressure,
            _ => work + candidate.Load * options.KvPressureSeconds + options.KvPressureSeconds * pressure,
        };
    }

    private static TimeSpan HeadSince(in Candidate candidate, WorkerRole role) =>
        IsOneRank(candidate, role) && candidate.State.PromptTokens > 0 ? candidate.State.Prompts.HeadSince : TimeSpan.Zero;

    /// <summary>Prompts are computed one after the other there, so there is a first in line.</summary>
    private static bool IsOneRank(in Candidate candidate, WorkerRole role) => role == WorkerRole.Prefill && (candidate.Rank is not null || candidate.Worker.DpSize == 1);
}
