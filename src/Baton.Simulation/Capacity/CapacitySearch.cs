using Baton.Simulation.Figures;

namespace Baton.Simulation.Capacity;

/// <summary>Finds the fewest ranks that hold the goals, and how to split them between prefill and decode.</summary>
/// <remarks>
/// The search takes for granted that more ranks on one side, with the other side as it is, never make it worse. Then the fewest prefill ranks
/// that hold with decode to spare, and the fewest decode ranks that hold with prefill to spare, bound every answer from below; totals are
/// tried upward from their sum, each with all its splits. <see cref="Contradictions"/> says where what was tried went against the assumption.
/// </remarks>
public sealed class CapacitySearch(CapacityQuestion question, Action<CapacityTrial>? tried = null)
{
    private readonly SortedDictionary<(int Prefill, int Decode), CapacityTrial> _trials = [];

    /// <summary>Everything that was simulated, by prefill ranks, then decode ranks.</summary>
    public IReadOnlyCollection<CapacityTrial> Trials => _trials.Values;

    /// <summary>The smallest cluster of at most <see cref="CapacityQuestion.MaxRanks"/> ranks that holds the goals, or null.</summary>
    /// <remarks>Of several splits of the same total, the one with the highest attainment, then the lowest p99 TTFT.</remarks>
    public CapacityTrial? FindSmallest(CancellationToken ct = default)
    {
        int most = question.MaxRanks - 1;
        if (FewestAlone(most, ranks => (ranks, most), ct) is not { } prefill) return null;
        if (FewestAlone(most, ranks => (most, ranks), ct) is not { } decode) return null;
        for (int total = prefill + decode; total <= question.MaxRanks; total++)
        {
            CapacityTrial[] holding = [.. TrySplits(total, prefill, total - decode, ct).Where(trial => trial.Holds)];
            if (holding.Length > 0) return Best(holding);
        }
        return null;
    }

    /// <summary>Every split of so many ranks.</summary>
    /// <returns>The best of them, whether or not it holds; null when no split fills workers of one size.</returns>
    public CapacityTrial? TryAllSplits(int ranks, CancellationToken ct = default)
    {
        CapacityTrial[] trials = [.. TrySplits(ranks, 1, ranks - 1, ct)];
        return trials.Length == 0 ? null : Best(trials);
    }

    /// <summary>Splits of a total beside a found one, so that the curves show both sides of it.</summary>
    /// <param name="width">Prefill ranks more and fewer; half of it in ranks more and fewer altogether.</param>
    public void TryAround(Split found, int width, CancellationToken ct = default)
    {
        for (int total = Math.Max(2, found.Ranks - width / 2); total <= found.Ranks + width / 2; total++)
        {
            foreach (CapacityTrial _ in TrySplits(total, Math.Max(1, found.PrefillRanks - width), Math.Min(total - 1, found.PrefillRanks + width), ct))
            {
            }
        }
    }

    /// <summary>Pairs of trials in which the larger cluster missed the goals that the smaller one held.</summary>
    public IEnumerable<(CapacityTrial Smaller, CapacityTrial Larger)> Contradictions =>
        from smaller in _trials.Values
        where smaller.Holds
        from larger in _trials.Values
        where !larger.Holds && larger.Split.PrefillRanks >= smaller.Split.PrefillRanks && larger.Split.DecodeRanks >= smaller.Split.DecodeRanks
        select (smaller, larger);

    private IEnumerable<CapacityTrial> TrySplits(int total, int fromPrefill, int toPrefill, CancellationToken ct)
    {
        for (int prefill = fromPrefill; prefill <= toPrefill; prefill++)
        {
            if (total - prefill >= 1 && Split.CanBuild(prefill, question.MaxDpSize) && Split.CanBuild(total - prefill, question.MaxDpSize)) yield return Try(prefill, total - prefill, ct);
        }
    }

    /// <summary>The fewest ranks of one side that hold, with as many on the other side as there may be: doubled until they do, then halved between.</summary>
    private int? FewestAlone(int most, Func<int, (int Prefill, int Decode)> sides, CancellationToken ct)
    {
        int failing = 0, holding = 1;
        while (!Holds(holding))
        {
            if (holding >= most) return null;
            (failing, holding) = (holding, Math.Min(2 * holding, most));
        }
        while (holding - failing > 1)
        {
            int middle = (holding + failing) / 2;
            if (Holds(middle)) holding = middle;
            else failing = middle;
        }
        return holding;

        bool Holds(int ranks)
        {
            (int prefill, int decode) = sides(ranks);
            return Try(Split.RoundUp(prefill, question.MaxDpSize), Split.RoundUp(decode, question.MaxDpSize), ct).Holds;
        }
    }

    private CapacityTrial Try(int prefill, int decode, CancellationToken ct)
    {
        if (_trials.TryGetValue((prefill, decode), out CapacityTrial? known)) return known;
        ct.ThrowIfCancellationRequested();
        Split split = Split.Of(prefill, decode, question.MaxDpSize);
        ClusterFigures figures = question.Deployment.Measure(split, question.Workloads, question.Goals, question.Limit, question.Seed);
        CapacityTrial trial = new(split, figures, figures.Attainment >= question.Goals.Attainment);
        _trials.Add((prefill, decode), trial);
        tried?.Invoke(trial);
        return trial;
    }

    private static CapacityTrial Best(CapacityTrial[] trials) =>
        trials.OrderByDescending(trial => trial.Figures.Attainment).ThenBy(trial => trial.Figures.P99TtftMs).ThenBy(trial => trial.Split.PrefillRanks).First();
}
