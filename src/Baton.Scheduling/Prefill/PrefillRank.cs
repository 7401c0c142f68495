using Baton.Core.Engine;
using Baton.Core.Handover;
using Baton.Core.Ids;
using Baton.Scheduling.Ranks;

namespace Baton.Scheduling.Prefill;

/// <summary>A rank of a prefill worker.</summary>
public sealed class PrefillRank : EngineRank
{
    private readonly IKvSender _sender;

    /// <param name="engine">The rank owns it from now on.</param>
    /// <param name="sender">The rank owns it from now on. Its wake callback has to turn the crank as the inbox's does.</param>
    public PrefillRank(DpRank dpRank, IEngine engine, IKvSender sender, SchedulerOptions options)
        : this(new RankInbox(dpRank, options.InboxCapacity(engine.Info)), engine, sender, options)
    {
    }

    private PrefillRank(RankInbox inbox, IEngine engine, IKvSender sender, SchedulerOptions options)
        : base(inbox, engine, new PrefillScheduler(engine.Info, options, inbox, sender)) => _sender = sender;

    protected override void Dispose(bool disposing)
    {
        if (disposing) _sender.Dispose();
        base.Dispose(disposing);
    }
}
