using Baton.Core.Ids;
using Baton.Router.Workers;

namespace Baton.Router.Choice;

/// <summary>A place that was not offered to the policy, and why.</summary>
public sealed record Exclusion(string Candidate, string Reason);

/// <summary>Which workers, or ranks of them, may take a request now.</summary>
public static class CandidateFilter
{
    /// <summary>Ready, not draining, serving the model, admitted by the breaker, and not one that failed this request already.</summary>
    /// <remarks>
    /// Two rules keep a fleet from locking itself out: a worker that failed this request is used again when nothing else is
    /// left, and when every breaker is open although health checks pass, the one that failed longest ago is admitted.
    /// </remarks>
    public static List<Candidate> Collect(IReadOnlyList<Worker> workers, in RouteQuery query, bool expandRanks, TimeSpan now, List<Exclusion>? excluded, out bool panic)
    {
        panic = false;
        int most = 0;
        foreach (Worker worker in workers) most += expandRanks ? worker.DpSize : 1;
        List<Candidate> found = new(most);
        List<Candidate>? again = null;
        Candidate? leastRecent = null;
        foreach (Worker worker in workers)
        {
            if ((worker.Role == WorkerRole.Prefill ? query.PinPrefill : query.PinDecode) is { } only && only != worker) continue;
            string? reason = worker.Status != WorkerStatus.Ready ? worker.Status.ToString()
                : query.Facts.Model is { } model && worker.ModelName is not null && !worker.Serves(model) ? $"serves {worker.ModelName}"
                : null;
            if (reason is not null)
            {
                excluded?.Add(new Exclusion(worker.Url, reason));
                continue;
            }
            bool ranks = expandRanks && worker.DpSize > 1;
            bool isAvoided = query.Avoid.Count > 0 && query.Avoid.Contains(worker);
            for (int rank = 0, count = ranks ? worker.DpSize : 1; rank < count; rank++)
            {
                Candidate candidate = new(worker, ranks ? rank : null);
                if (!Admits(candidate, now))
                {
                    excluded?.Add(new Exclusion(candidate.ToString(), $"breaker {candidate.State.Breaker.State}"));
                    if (leastRecent is not { } other || candidate.State.Breaker.LastFailure < other.State.Breaker.LastFailure) leastRecent = candidate;
                }
                else if (isAvoided)
                {
                    excluded?.Add(new Exclusion(candidate.ToString(), "failed this request"));
                    (again ??= []).Add(candidate);
                }
                else found.Add(candidate);
            }
        }
        if (found.Count > 0) return found;
        if (again is not null) return again;
        if (leastRecent is { } last)
        {
            panic = true;
            found.Add(last);
        }
        return found;
    }

    // A worker whose rank is chosen later is as good as its best rank.
    private static bool Admits(in Candidate candidate, TimeSpan now)
    {
        if (candidate.Rank is not null) return candidate.State.Admits(now);
        foreach (RankState rank in candidate.Worker.Ranks)
            if (rank.Admits(now)) return true;
        return false;
    }

    /// <summary>Why a role has nobody to offer, as one clause.</summary>
    public static string WhyNone(WorkerRole role, IReadOnlyList<Worker> workers, string? model)
    {
        string name = role == WorkerRole.Unified ? "unified" : role == WorkerRole.Prefill ? "prefill" : "decode";
        if (workers.Count == 0) return $"No {name} worker is registered.";
        string states = string.Join(", ", workers.GroupBy(w => WhyNot(w, model)).Select(g => $"{g.Count()} {g.Key}"));
        return $"No {name} worker can take the request: {states}.";
    }

    private static string WhyNot(Worker worker, string? model) =>
        worker.Status == WorkerStatus.Ready && model is not null && worker.ModelName is not null && !worker.Serves(model) ? "with another model" : worker.Status.ToString();
}
