using Baton.Router.Workers;

namespace Baton.Router.Choice;

/// <summary>All ranks of a role as candidates, kept from one request to the next: a list of a thousand is not made anew for each.</summary>
/// <remarks>Immutable, and shared by requests: nobody may change the list that <see cref="AllAdmitted"/> hands out.</remarks>
internal sealed class CandidateRoll
{
    private readonly IReadOnlyList<Worker> _workers;
    private readonly IReadOnlyList<RankState>[] _ranks;
    private readonly RankState[] _states;
    private readonly List<Candidate> _candidates;

    public CandidateRoll(IReadOnlyList<Worker> workers)
    {
        _workers = workers;
        _ranks = [.. workers.Select(worker => worker.Ranks)];
        _states = [.. _ranks.SelectMany(ranks => ranks)];
        _candidates = [.. workers.SelectMany((worker, i) => Enumerable.Range(0, _ranks[i].Count).Select(rank => new Candidate(worker, _ranks[i].Count > 1 ? rank : null)))];
    }

    /// <summary>It was made of these workers, with the ranks that they have now.</summary>
    public bool IsOf(IReadOnlyList<Worker> workers)
    {
        if (!ReferenceEquals(workers, _workers)) return false;
        for (int i = 0; i < _ranks.Length; i++)
        {
            // Learning another dp size makes another list.
            if (!ReferenceEquals(_workers[i].Ranks, _ranks[i]) || _workers[i].DpSize != _ranks[i].Count) return false;
        }
        return true;
    }

    /// <summary>Every candidate, when every one of them may take the request; else null, and <see cref="CandidateFilter"/> has to look closer.</summary>
    public List<Candidate>? AllAdmitted(in RouteQuery query, TimeSpan now)
    {
        if (query.Avoid.Count > 0 || query.PinPrefill is not null || query.PinDecode is not null || _candidates.Count == 0) return null;
        string? model = query.Facts.Model;
        for (int i = 0; i < _ranks.Length; i++)
        {
            Worker worker = _workers[i];
            if (worker.Status != WorkerStatus.Ready || (model is not null && worker.ModelName is not null && !worker.Serves(model))) return null;
        }
        foreach (RankState state in _states)
        {
            if (!state.Admits(now)) return null;
        }
        return _candidates;
    }
}
