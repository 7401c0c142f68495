using Baton.Core.Failures;
using Baton.Core.Ids;
using Baton.Core.Ranks;

namespace Baton.Scheduling.Ranks;

/// <summary>One data-parallel rank as a crank: a thread turns it in a worker, an event queue turns it in the simulator.</summary>
/// <remarks>
/// One turn is <see cref="Begin"/>, then, if that said true, <see cref="End"/>. Everything but <see cref="Inbox"/>, <see cref="Load"/>
/// and <see cref="Fault"/> belongs to the one driver. When Begin says false the driver sleeps until the inbox or a KV link wakes it
/// or <see cref="NextDeadline"/> has come.
/// </remarks>
public interface IRank : IDisposable
{
    DpRank DpRank { get; }

    /// <summary>The only way in. Thread-safe and bounded.</summary>
    RankInbox Inbox { get; }

    /// <summary>Takes in what has arrived, decides one step and lets the engine execute it.</summary>
    /// <param name="now">Rank time: the worker's clock.</param>
    /// <returns>False when there was nothing to execute, or when the rank is at an end (<see cref="Fault"/>).</returns>
    bool Begin(TimeSpan now);

    /// <summary>What the step cost. A real engine has spent it already; a simulated one has computed it, and the driver waits for it before <see cref="End"/>.</summary>
    TimeSpan Elapsed { get; }

    /// <summary>Books the step: tokens go to their sinks, chunks to the KV link, ends to everybody.</summary>
    void End(TimeSpan now);

    /// <summary>When <see cref="Begin"/> has to be called again even if nobody wakes the rank; null for never.</summary>
    TimeSpan? NextDeadline { get; }

    /// <summary>What the rank did last. From any thread; the record is made for the caller.</summary>
    RankLoad Load { get; }

    /// <summary>Set once the engine is broken: every request has ended with this reason, and the rank takes no more.</summary>
    RequestFailure? Fault { get; }
}
