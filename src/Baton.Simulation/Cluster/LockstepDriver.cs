using Baton.Scheduling.Ranks;
using Baton.Simulation.Events;

namespace Baton.Simulation.Cluster;

/// <summary>Ranks that step together: a step takes as long as its fullest rank, and whoever comes meanwhile waits for the next.</summary>
/// <remarks>Attention data parallelism as SGLang runs it: a rank without work computes an idle batch along with the others.</remarks>
public sealed class LockstepDriver(EventLoop loop, IReadOnlyList<IRank> ranks, Func<double> slowDown, bool hasAlarm = true, Action? beforeTurn = null)
    : RankDriver(loop, slowDown, hasAlarm, beforeTurn)
{
    private readonly bool[] _hasBegun = new bool[ranks.Count];

    protected override TimeSpan? NextDeadline
    {
        get
        {
            TimeSpan? first = null;
            foreach (IRank rank in ranks)
            {
                if (rank.NextDeadline is { } deadline && (first is null || deadline < first)) first = deadline;
            }
            return first;
        }
    }

    protected override Step? Begin(TimeSpan now)
    {
        Step? step = null;
        for (int i = 0; i < ranks.Count; i++)
        {
            _hasBegun[i] = TryBegin(ranks[i], now);
            if (!_hasBegun[i]) continue;
            (TimeSpan length, TimeSpan computing) = step ?? default;
            TimeSpan own = ranks[i].Elapsed;
            step = new Step(own > length ? own : length, computing + own);
        }
        return step;
    }

    protected override void End(TimeSpan now)
    {
        for (int i = 0; i < ranks.Count; i++)
        {
            if (_hasBegun[i]) ranks[i].End(now);
        }
    }

    /// <summary>A turn that computes nothing (copies, closings) takes no time and holds nobody up: only computing steps are common.</summary>
    private static bool TryBegin(IRank rank, TimeSpan now)
    {
        while (rank.Begin(now))
        {
            if (rank.Elapsed > TimeSpan.Zero) return true;
            rank.End(now);
        }
        return false;
    }
}
