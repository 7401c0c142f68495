using Baton.Core.Engine;
using Baton.Core.Failures;
using Baton.Scheduling.Ranks;

namespace Baton.Scheduling;

/// <summary>The decisions of one rank: <see cref="Plan"/> before a step, <see cref="Commit"/> after it. Owns nothing but memory.</summary>
public interface IScheduler
{
    /// <summary>Takes in one message of the inbox.</summary>
    void Accept(in InboxItem item, TimeSpan now);

    /// <summary>Decides one step into the empty <paramref name="plan"/>, which the caller executes and keeps until <see cref="Commit"/>.</summary>
    void Plan(TimeSpan now, StepPlan plan);

    /// <summary>Books what the engine did with the last plan.</summary>
    void Commit(StepPlan plan, StepResult result, TimeSpan now);

    /// <summary>Ends every request, peers told first. For a broken engine and for shutdown.</summary>
    void EndAll(RequestFailure failure, TimeSpan now);

    /// <summary>When <see cref="Plan"/> has to be called even if nothing else happens.</summary>
    TimeSpan? NextDeadline { get; }

    /// <summary>Sequences that may hold cells at once.</summary>
    int MaxRunningRequests { get; }

    /// <summary>Fills in the counts of the queues and cells.</summary>
    void Report(ref LoadNumbers load);
}
