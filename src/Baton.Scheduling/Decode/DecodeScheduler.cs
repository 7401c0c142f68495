using Baton.Core.Engine;
using Baton.Core.Failures;
using Baton.Core.Handover;
using Baton.Core.Ids;
using Baton.Core.Requests;
using Baton.Core.Resolution;
using Baton.Scheduling.Ranks;
using Baton.Scheduling.Sequences;

namespace Baton.Scheduling.Decode;

/// <summary>Takes over the KV of prompts that prefill ranks computed, and draws the answers.</summary>
/// <remarks>
/// prealloc queue (resolve, then reserve) → transfer queue (claimed, importing) → running batch → end. A sequence that loses its
/// cells waits in the retracted queue and computes prompt and answer here again, a chunk a step beside the running rows: its KV
/// exists nowhere else any more, and the tokens come out the same. While one waits there nothing new is reserved.
/// What is <c>internal virtual</c> is so for the simulator's planted bugs; the product has no other implementation.
/// </remarks>
public partial class DecodeScheduler : IScheduler, IAuditedScheduler
{
    private readonly SchedulerOptions _options;
    private readonly EngineInfo _engine;
    private readonly RankInbox _inbox;
    private readonly IKvReceiver _receiver;
    private readonly IRankResolver _resolver;
    private readonly PromptLimits _limits;
    private readonly StepBudget _budget;
    private readonly SlotTable<DecodeSequence> _slots;
    private readonly SequenceBook<DecodeSequence> _book;
    private readonly Dictionary<BootstrapRoom, DecodeSequence> _rooms = [];
    private readonly SequenceQueue<DecodeSequence> _prealloc = new();
    private readonly SequenceQueue<DecodeSequence> _transfer = new();
    private readonly SequenceQueue<DecodeSequence> _waiting = new();
    private readonly RunningBatch<DecodeSequence> _batch;
    private readonly ArrivedChunks _arrived = new();
    private readonly List<KvReceiverEvent> _events = [];
    private readonly List<DecodeSequence> _complete = [];
    private readonly DeadlineWatch _deadlines = new();
    private int _resolvedCount;

    public DecodeScheduler(EngineInfo engine, SchedulerOptions options, RankInbox inbox, IKvReceiver receiver, IRankResolver resolver)
    {
        (_options, _engine, _inbox, _receiver, _resolver) = (options, engine, inbox, receiver, resolver);
        _limits = new PromptLimits(engine);
        _slots = new SlotTable<DecodeSequence>(engine, options);
        _budget = new StepBudget(engine, options, _slots.SlotCount);
        _book = new SequenceBook<DecodeSequence>(inbox);
        _batch = new RunningBatch<DecodeSequence>(_book, _slots, _budget);
    }

    public TimeSpan? NextDeadline => _deadlines.Next;

    public int MaxRunningRequests => _slots.SlotCount;

    public void Accept(in InboxItem item, TimeSpan now)
    {
        switch (item.Kind)
        {
            case InboxItemKind.Submit:
                Enqueue(item.Request!, now);
                break;
            case InboxItemKind.Abort:
                if (_book.Find(item.Id) is { } aborted) Fail(aborted, item.Failure!, now);
                break;
            // An answer for a room that has ended in the meantime is nobody's any more.
            case InboxItemKind.Resolved:
                if (_rooms.TryGetValue(item.Room, out DecodeSequence? resolved)) AcceptRank(resolved, item.Resolved!);
                break;
            case InboxItemKind.ResolveFailed:
                if (_rooms.TryGetValue(item.Room, out DecodeSequence? lost) && lost.Stage is DecodeStage.Resolving or DecodeStage.Redirecting)
                {
                    Fail(lost, item.Failure!, now);
                }
                break;
        }
    }

    public void Plan(TimeSpan now, StepPlan plan)
    {
        HearLinks(now);                                           // 1. chunks, last frames, failures and redirections
        ExpireOverdue(now);                                       // 2. unresolved, unreserved or undelivered too long -> failed, prefill is told
        _slots.PlanClosings(plan);                                // 3. ended      -> the engine frees slot and cells
        PlanRows(now, plan);                                      // 4. running    -> a row each; out of cells -> waiting
        Resume(now, plan);                                        // 5. waiting    -> slot, cells, one chunk a step
        ReserveAndClaim(now);                                     // 6. prealloc   -> slot, cells, the claim -> transfer
        _arrived.PlanImports(plan, _options.MaxImportsPerStep);   // 7. arrived    -> a bounded number becomes cells
    }

    public void Commit(StepPlan plan, StepResult result, TimeSpan now)
    {
        foreach (SequenceFailure failure in result.Failures)
        {
            if (_slots.Owner(failure.Sequence) is { } sequence) Fail(sequence, RequestFailure.Of(failure.Reason, failure.Message), now);
        }
        if (result.WasInterrupted) return;
        CommitImports(plan, now);
        _batch.CommitChunks(plan, result);
        _batch.CommitSamples(result);
        foreach ((DecodeSequence sequence, FinishKind kind) in _batch.Finished) End(sequence, kind, failure: null, now);
        _batch.Finished.Clear();
    }

    public void EndAll(RequestFailure failure, TimeSpan now)
    {
        while (_book.Any() is { } sequence) Fail(sequence, failure, now);
        _arrived.DropEnded();
    }

    public void Report(ref LoadNumbers load)
    {
        load.RunningRequests = _batch.Count;
        load.WaitingRequests = _prealloc.Count + _transfer.Count + _waiting.Count;
        load.PreallocQueue = _prealloc.Count;
        load.TransferQueue = _transfer.Count;
        load.RetractedQueue = _waiting.Count;
        load.UsedCells = _slots.UsedCells;
        load.TotalTokens = _batch.CountTokens() + _prealloc.TokenCount + _transfer.TokenCount + _waiting.TokenCount;
    }

    void IAuditedScheduler.Audit(RankAudit audit)
    {
        _slots.Audit(audit);
        audit.KnownRooms = _rooms.Count;
        foreach (DecodeSequence sequence in _book.All)
            audit.Requests.Add(new RequestAudit(sequence.Id, !sequence.IsLocal, sequence.Stage.ToString(), DeadlineOf(sequence), sequence.Slot));
    }

    private void Enqueue(GenerationRequest request, TimeSpan now)
    {
        if (_limits.Check(request) is { } tooLong)
        {
            _book.Refuse(request, tooLong);
            return;
        }
        DecodeSequence sequence = new(request, _book.NextTicket(), _limits.CutNewTokens(request), now);
        if (!sequence.IsLocal && !_rooms.TryAdd(sequence.Room, sequence))
        {
            _book.Refuse(request, RequestFailure.Of(FailureReason.DuplicateRoom, $"{request.Id}: {sequence.Room} is in use by {_rooms[sequence.Room].Id}."));
            return;
        }
        _book.Add(sequence);
        _deadlines.Watch(now + _options.QueueTimeout);
        sequence.Stage = sequence.IsLocal ? DecodeStage.Waiting : DecodeStage.Resolving;
        (sequence.IsLocal ? _waiting : _prealloc).Add(sequence);
        if (!sequence.IsLocal) _resolver.Begin(sequence.Bootstrap!, _inbox);
    }

    private void AcceptRank(DecodeSequence sequence, ResolvedRank prefill)
    {
        if (sequence.Stage == DecodeStage.Resolving)
        {
            (sequence.Stage, sequence.Prefill) = (DecodeStage.Reserving, prefill);
            _resolvedCount++;
        }
        else if (sequence.Stage == DecodeStage.Redirecting)
        {
            (sequence.Stage, sequence.Prefill) = (DecodeStage.Transferring, prefill);
            _receiver.Claim(sequence.Room, prefill.Endpoint, sequence.PromptLength);
        }
    }

    private TimeSpan? DeadlineOf(DecodeSequence sequence) => sequence.Stage switch
    {
        DecodeStage.Running => null, // gets a row or a chunk in every step, or goes back to waiting
        DecodeStage.Transferring or DecodeStage.Redirecting => sequence.ClaimedAt!.Value + _options.WaitingTimeout,
        _ => sequence.QueuedAt + _options.QueueTimeout,
    };

    private void ExpireOverdue(TimeSpan now)
    {
        if (!_deadlines.IsDue(now)) return;
        foreach (DecodeSequence sequence in _deadlines.TakeOverdue(_book.All, DeadlineOf, now)) Fail(sequence, TooLate(sequence), now);
    }

    private RequestFailure TooLate(DecodeSequence sequence) => sequence.Stage switch
    {
        DecodeStage.Resolving => RequestFailure.Of(FailureReason.ResolveTimeout,
            $"{sequence.Room}: its prefill rank was not known within {_options.QueueTimeout.TotalSeconds:0.#} s (bootstrap {sequence.Bootstrap!.Address})."),
        DecodeStage.Transferring or DecodeStage.Redirecting => RequestFailure.Of(FailureReason.TransferTimeout,
            $"{sequence.Room}: {sequence.ArrivedTokens} of {sequence.PromptLength} positions came from prefill rank {sequence.Prefill!.Endpoint.Rank} "
            + $"within {_options.WaitingTimeout.TotalSeconds:0.#} s of the claim."),
        _ => RequestFailure.Of(FailureReason.OutOfCells,
            $"{sequence.Id}: waited {_options.QueueTimeout.TotalSeconds:0.#} s on decode rank {_book.DpRank} for {CellsToStart(sequence)} of {_slots.CellCount} KV cells."),
    };

    private void PlanRows(TimeSpan now, StepPlan plan)
    {
        int retracted = _batch.PlanRows(now, plan, _waiting);
        if (retracted == 0) return;
        for (int i = 0; i < _waiting.Count; i++) _waiting[i].Stage = DecodeStage.Waiting;
        _deadlines.Watch(now + _options.QueueTimeout);
    }

    private void Resume(TimeSpan now, StepPlan plan)
    {
        // One chunk a step: recomputing must not widen the gaps of those that run.
        if (_batch.PlanChunks(plan, maxChunks: 1) > 0 || _waiting.First is not { } sequence) return;
        if (plan.BatchTokens + _budget.ChunkLength(0, sequence.Tokens.Length) > _budget.StepTokens) return;
        if (!_slots.TryTake(sequence, CellsToStart(sequence))) return;
        _waiting.Remove(sequence);
        sequence.StartedAt ??= now;
        sequence.Stage = DecodeStage.Running;
        _batch.Join(sequence);
        _budget.TryPlanChunk(sequence, plan);
    }

    private void ReserveAndClaim(TimeSpan now)
    {
        // Those that lost their cells come first, or new arrivals would keep them out for ever.
        if (_waiting.Count > 0) return;
        for (int i = 0; i < _prealloc.Count && _resolvedCount > 0;)
        {
            DecodeSequence sequence = _prealloc[i];
            if (sequence.Stage != DecodeStage.Reserving)
            {
                i++; // still resolving: those behind it need not wait for that
                continue;
            }
            // What is claimed holds its cells until prefill is through, and a running one that finds none left meanwhile would lose its own and stall.
            if (_slots.FreeCells - CellsToStart(sequence) < _batch.CellsToGrow(_options.ReservedDecodeTokens)) return;
            if (!_slots.TryTake(sequence, CellsToStart(sequence))) return; // but nobody overtakes one that waits for cells
            _prealloc.Remove(sequence);
            _resolvedCount--;
            _transfer.Add(sequence);
            (sequence.Stage, sequence.ClaimedAt, sequence.StartedAt) = (DecodeStage.Transferring, now, now);
            _deadlines.Watch(now + _options.WaitingTimeout);
            _receiver.Claim(sequence.Room, sequence.Prefill!.Endpoint, sequence.PromptLength);
        }
    }

    private int CellsToStart(DecodeSequence sequence) =>
        sequence.Tokens.Length + Math.Min(sequence.RemainingNewTokens, _options.ReservedDecodeTokens);

    /// <summary>Gives slot and cells back.</summary>
    internal virtual void Release(DecodeSequence sequence) => _slots.Release(sequence);

    /// <summary>Tells prefill first, then gives the cells back.</summary>
    private void Fail(DecodeSequence sequence, RequestFailure failure, TimeSpan now)
    {
        if (sequence.Stage is DecodeStage.Resolving or DecodeStage.Redirecting) _resolver.Cancel(sequence.Room);
        else if (sequence.Stage == DecodeStage.Transferring) _receiver.Fail(sequence.Room, failure);
        End(sequence, FinishKind.Abort, failure, now);
    }

    private void End(DecodeSequence sequence, FinishKind kind, RequestFailure? failure, TimeSpan now)
    {
        if (!sequence.IsLocal) _rooms.Remove(sequence.Room);
        if (sequence.Stage == DecodeStage.Reserving) _resolvedCount--;
        if (!_batch.Remove(sequence) && !_transfer.Remove(sequence) && !_prealloc.Remove(sequence)) _waiting.Remove(sequence);
        if (sequence.HasSlot) Release(sequence);
        TimeSpan handover = sequence is { LastFrameAt: { } last, ClaimedAt: { } claimed } ? last - claimed : TimeSpan.Zero;
        _book.End(sequence, sequence.ToEnd(kind, _book.DpRank, failure, now) with
        {
            PrefillDpRank = sequence.Prefill?.Endpoint.Rank,
            RankSource = sequence.Prefill?.Source ?? RankSource.None,
            CachedTokens = sequence.First?.CachedTokens ?? 0,
            HandoverBytes = sequence.HandoverBytes,
            HandoverTime = handover,
        });
    }
}
