using Baton.Core.Engine;
using Baton.Core.Handover;
using Baton.Core.Ids;
using Baton.Core.Resolution;
using Baton.Scheduling.Ranks;

namespace Baton.Scheduling.Decode;

/// <summary>A rank of a decode worker.</summary>
public sealed class DecodeRank : EngineRank
{
    private readonly IKvReceiver _receiver;

    /// <param name="engine">The rank owns it from now on.</param>
    /// <param name="receiver">The rank owns it from now on. Its wake callback has to turn the crank as the inbox's does.</param>
    /// <param name="resolver">Shared by the worker's ranks; it answers into <see cref="EngineRank.Inbox"/>.</param>
    public DecodeRank(DpRank dpRank, IEngine engine, IKvReceiver receiver, IRankResolver resolver, SchedulerOptions options)
        : this(new RankInbox(dpRank, options.InboxCapacity(engine.Info)), engine, receiver, resolver, options)
    {
    }

    private DecodeRank(RankInbox inbox, IEngine engine, IKvReceiver receiver, IRankResolver resolver, SchedulerOptions options)
        : this(inbox, engine, receiver, new DecodeScheduler(engine.Info, options, inbox, receiver, resolver))
    {
    }

    /// <summary>With a scheduler of its own: the simulator plants bugs in one.</summary>
    internal DecodeRank(RankInbox inbox, IEngine engine, IKvReceiver receiver, DecodeScheduler scheduler)
        : base(inbox, engine, scheduler) => _receiver = receiver;

    protected override void Dispose(bool disposing)
    {
        if (disposing) _receiver.Dispose();
        base.Dispose(disposing);
    }
}
