using Baton.Core.Engine;
using Baton.Core.Ids;
using Baton.Scheduling.Ranks;

namespace Baton.Scheduling.Unified;

/// <summary>A rank of a worker that is not disaggregated.</summary>
public sealed class UnifiedRank : EngineRank
{
    /// <param name="engine">The rank owns it from now on.</param>
    public UnifiedRank(DpRank dpRank, IEngine engine, SchedulerOptions options)
        : this(new RankInbox(dpRank, options.InboxCapacity(engine.Info)), engine, options)
    {
    }

    private UnifiedRank(RankInbox inbox, IEngine engine, SchedulerOptions options)
        : base(inbox, engine, new UnifiedScheduler(engine.Info, options, inbox))
    {
    }
}
