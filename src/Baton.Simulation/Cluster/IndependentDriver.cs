using Baton.Scheduling.Ranks;
using Baton.Simulation.Events;

namespace Baton.Simulation.Cluster;

/// <summary>One rank that steps on its own, as Baton's do.</summary>
public sealed class IndependentDriver(EventLoop loop, IRank rank, Func<double> slowDown, bool hasAlarm = true, Action? beforeTurn = null)
    : RankDriver(loop, slowDown, hasAlarm, beforeTurn)
{
    protected override TimeSpan? NextDeadline => rank.NextDeadline;

    protected override Step? Begin(TimeSpan now) => rank.Begin(now) ? new Step(rank.Elapsed, rank.Elapsed) : null;

    protected override void End(TimeSpan now) => rank.End(now);
}
