using System.Diagnostics;
using Baton.Core.Engine;
using Baton.Core.Failures;
using Baton.Core.Requests;
using Baton.Scheduling.Ranks;
using Baton.Scheduling.Sequences;

namespace Baton.Scheduling.Unified;

/// <summary>Both phases on one rank: continuous batching with chunked prefill, first come first served.</summary>
/// <remarks>inbox → waiting → running batch (prompt chunks, then a row a step) → end. Retraction goes back to waiting.</remarks>
public sealed class UnifiedScheduler : IScheduler, IAuditedScheduler
{
    private readonly SchedulerOptions _options;
    private readonly PromptLimits _limits;
    private readonly StepBudget _budget;
    private readonly SlotTable<LiveSequence> _slots;
    private readonly SequenceBook<LiveSequence> _book;
    private readonly SequenceQueue<LiveSequence> _waiting = new();
    private readonly RunningBatch<LiveSequence> _batch;
    private readonly DeadlineWatch _deadlines = new();

    public UnifiedScheduler(EngineInfo engine, SchedulerOptions options, RankInbox inbox)
    {
        _options = options;
        _limits = new PromptLimits(engine);
        _slots = new SlotTable<LiveSequence>(engine, options);
        _budget = new StepBudget(engine, options, _slots.SlotCount);
        _book = new SequenceBook<LiveSequence>(inbox);
        _batch = new RunningBatch<LiveSequence>(_book, _slots, _budget);
    }

    public TimeSpan? NextDeadline => _deadlines.Next;

    public int MaxRunningRequests => _slots.SlotCount;

    public void Accept(in InboxItem item, TimeSpan now)
    {
        if (item.Kind == InboxItemKind.Submit) Enqueue(item.Request!, now);
        else if (item.Kind == InboxItemKind.Abort && _book.Find(item.Id) is { } sequence) Fail(sequence, item.Failure!, now);
        else if (item.Kind is InboxItemKind.Resolved or InboxItemKind.ResolveFailed) throw new UnreachableException("A unified rank resolves no rooms.");
    }

    public void Plan(TimeSpan now, StepPlan plan)
    {
        ExpireOverdue(now);                       // 1. waiting too long        -> failed
        _slots.PlanClosings(plan);                // 2. ended                   -> the engine frees slot and cells
        PlanRows(now, plan);                      // 3. running                 -> a row each; out of cells -> waiting again
        _batch.PlanChunks(plan);                  // 4. started prompts         -> their next chunks
        Admit(now, plan);                         // 5. waiting                 -> slot, cells and the first chunk
    }

    public void Commit(StepPlan plan, StepResult result, TimeSpan now)
    {
        foreach (SequenceFailure failure in result.Failures)
        {
            if (_slots.Owner(failure.Sequence) is { } sequence) Fail(sequence, RequestFailure.Of(failure.Reason, failure.Message), now);
        }
        if (result.WasInterrupted) return;
        _batch.CommitChunks(plan, result);
        _batch.CommitSamples(result);
        foreach ((LiveSequence sequence, FinishKind kind) in _batch.Finished) End(sequence, kind, failure: null, now);
        _batch.Finished.Clear();
    }

    public void EndAll(RequestFailure failure, TimeSpan now)
    {
        while (_book.Any() is { } sequence) Fail(sequence, failure, now);
    }

    public void Report(ref LoadNumbers load)
    {
        load.RunningRequests = _batch.Count;
        load.WaitingRequests = _waiting.Count;
        load.TotalTokens = _batch.CountTokens() + _waiting.TokenCount;
        load.UsedCells = _slots.UsedCells;
    }

    void IAuditedScheduler.Audit(RankAudit audit)
    {
        _slots.Audit(audit);
        foreach (LiveSequence sequence in _book.All)
            audit.Requests.Add(new RequestAudit(sequence.Id, false, sequence.HasSlot ? "Running" : "Waiting", DeadlineOf(sequence), sequence.Slot));
    }

    private void Enqueue(GenerationRequest request, TimeSpan now)
    {
        if (_limits.Check(request) is { } tooLong)
        {
            _book.Refuse(request, tooLong);
            return;
        }
        LiveSequence sequence = new(request, _book.NextTicket(), _limits.CutNewTokens(request), now);
        _book.Add(sequence);
        _waiting.Add(sequence);
        _deadlines.Watch(now + _options.QueueTimeout);
    }

    private void ExpireOverdue(TimeSpan now)
    {
        if (!_deadlines.IsDue(now)) return;
        foreach (LiveSequence sequence in _deadlines.TakeOverdue(_book.All, DeadlineOf, now))
        {
            Fail(sequence, RequestFailure.Of(FailureReason.OutOfCells,
                $"{sequence.Id}: waited {_options.QueueTimeout.TotalSeconds:0.#} s on dp rank {_book.DpRank} for {CellsToStart(sequence)} of {_slots.CellCount} KV cells."), now);
        }
    }

    private TimeSpan? DeadlineOf(LiveSequence sequence) => sequence.HasSlot ? null : sequence.QueuedAt + _options.QueueTimeout;

    private void PlanRows(TimeSpan now, StepPlan plan)
    {
        if (_batch.PlanRows(now, plan, _waiting) > 0) _deadlines.Watch(now + _options.QueueTimeout);
    }

    private void Admit(TimeSpan now, StepPlan plan)
    {
        // First come, first served: when the first does not fit nobody overtakes it, or a long prompt would wait for ever.
        while (_waiting.First is { } sequence && plan.BatchTokens + _budget.ChunkLength(0, sequence.Tokens.Length) <= _budget.StepTokens)
        {
            if (!_slots.TryTake(sequence, CellsToStart(sequence))) return;
            _waiting.Remove(sequence);
            sequence.StartedAt ??= now;
            _batch.Join(sequence);
            _budget.TryPlanChunk(sequence, plan);
        }
    }

    private int CellsToStart(LiveSequence sequence) =>
        sequence.Tokens.Length + Math.Min(sequence.RemainingNewTokens, _options.ReservedDecodeTokens);

    private void Fail(LiveSequence sequence, RequestFailure failure, TimeSpan now) => End(sequence, FinishKind.Abort, failure, now);

    private void End(LiveSequence sequence, FinishKind kind, RequestFailure? failure, TimeSpan now)
    {
        if (!_batch.Remove(sequence)) _waiting.Remove(sequence);
        if (sequence.HasSlot) _slots.Release(sequence);
        _book.End(sequence, sequence.ToEnd(kind, _book.DpRank, failure, now));
    }
}
