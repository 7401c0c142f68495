using System.Diagnostics;
using Baton.Core.Engine;
using Baton.Core.Failures;
using Baton.Core.Handover;
using Baton.Core.Ids;
using Baton.Core.Requests;
using Baton.Scheduling.Ranks;
using Baton.Scheduling.Sequences;

namespace Baton.Scheduling.Prefill;

/// <summary>Computes prompts and hands their KV to the decode ranks that claim them.</summary>
/// <remarks>
/// bootstrap queue (nobody has claimed it) → waiting queue (claimed) → computing → inflight queue (computed, on its way) → end.
/// Compute is optimistic: what nobody has claimed yet is computed when nothing claimed wants the step, up to a share of the cells,
/// and gives its cells back when a claimed prompt needs them. Cells are held until decode has everything or the room fails, and a
/// failure goes to decode before they are given back.
/// </remarks>
public sealed partial class PrefillScheduler : IScheduler, IAuditedScheduler
{
    private readonly SchedulerOptions _options;
    private readonly EngineInfo _engine;
    private readonly IKvSender _sender;
    private readonly PromptLimits _limits;
    private readonly StepBudget _budget;
    private readonly SlotTable<PrefillSequence> _slots;
    private readonly SequenceBook<PrefillSequence> _book;
    private readonly Dictionary<BootstrapRoom, PrefillSequence> _rooms = [];
    private readonly SequenceQueue<PrefillSequence> _bootstrap = new();
    private readonly SequenceQueue<PrefillSequence> _waiting = new();
    private readonly SequenceQueue<PrefillSequence> _computing = new();
    private readonly SequenceQueue<PrefillSequence> _inflight = new();
    private readonly List<KvSenderEvent> _events = [];
    private readonly DeadlineWatch _deadlines = new();
    private int _unclaimedCells;

    public PrefillScheduler(EngineInfo engine, SchedulerOptions options, RankInbox inbox, IKvSender sender)
    {
        (_options, _engine, _sender) = (options, engine, sender);
        _limits = new PromptLimits(engine);
        _slots = new SlotTable<PrefillSequence>(engine, options);
        _budget = new StepBudget(engine, options, slotCount: 0);
        _book = new SequenceBook<PrefillSequence>(inbox);
    }

    public TimeSpan? NextDeadline => (_deadlines.Next, _sender.NextDeadline) switch
    {
        ({ } own, { } links) => own < links ? own : links,
        var (own, links) => own ?? links,
    };

    public int MaxRunningRequests => _slots.SlotCount;

    public void Accept(in InboxItem item, TimeSpan now)
    {
        switch (item.Kind)
        {
            case InboxItemKind.Submit:
                Enqueue(item.Request!, now);
                break;
            case InboxItemKind.Abort:
                if (_book.Find(item.Id) is { } sequence) Fail(sequence, item.Failure!, now);
                break;
            // A room that is open here is another request's, which came after the one that was refused.
            case InboxItemKind.Refused:
                if (!_rooms.ContainsKey(item.Room)) _sender.Fail(item.Room, item.Failure!);
                break;
            default:
                throw new UnreachableException("A prefill rank resolves no rooms.");
        }
    }

    public void Plan(TimeSpan now, StepPlan plan)
    {
        HearLinks(now);                                        // 1. claims, deliveries and failures of the decode side
        ExpireOverdue(now);                                    // 2. unclaimed or undelivered too long -> failed, decode is told
        _slots.PlanClosings(plan);                             // 3. ended            -> the engine frees slot and cells
        if (PlanHeldExports(plan)) return;                     // 4. computed before  -> copied out at once: a step of its own
        PlanChunks(plan, wanted: true);                        // 5. claimed, begun   -> the next chunk
        AdmitClaimed(now, plan);                               // 6. claimed, waiting -> slot, cells and the first chunk
        PlanChunks(plan, wanted: false);                       // 7. unclaimed, begun -> the next chunk
        AdmitUnclaimed(now, plan);                             // 8. unclaimed        -> optimistic start, within its share
        PlanFreshExports(plan);                                // 9. this step's chunks -> copied out behind the batch
    }

    public void Commit(StepPlan plan, StepResult result, TimeSpan now)
    {
        foreach (SequenceFailure failure in result.Failures)
        {
            if (_slots.Owner(failure.Sequence) is { } sequence) Fail(sequence, RequestFailure.Of(failure.Reason, failure.Message), now);
        }
        if (!result.WasInterrupted)
        {
            CommitChunks(plan, result);
            CommitSamples(result, now);
        }
        SendExported(result);
    }

    public void EndAll(RequestFailure failure, TimeSpan now)
    {
        while (_book.Any() is { } sequence) Fail(sequence, failure, now);
    }

    public void Report(ref LoadNumbers load)
    {
        load.RunningRequests = _computing.Count;
        load.WaitingRequests = _bootstrap.Count + _waiting.Count;
        load.BootstrapQueue = _bootstrap.Count;
        load.InflightQueue = _inflight.Count;
        load.UsedCells = _slots.UsedCells;
        load.TotalTokens = _bootstrap.TokenCount + _waiting.TokenCount + _slots.UsedCells;
    }

    void IAuditedScheduler.Audit(RankAudit audit)
    {
        _slots.Audit(audit);
        audit.KnownRooms = _rooms.Count;
        foreach (PrefillSequence sequence in _book.All)
        {
            string stage = (sequence.IsWanted, sequence.HasSlot) switch
            {
                (false, false) => "Bootstrap",
                (true, false) => "Waiting",
                _ => sequence.IsComputed ? "Inflight" : "Computing",
            };
            audit.Requests.Add(new RequestAudit(sequence.Id, !sequence.IsLocal, stage, DeadlineOf(sequence), sequence.Slot));
        }
    }

    private void Enqueue(GenerationRequest request, TimeSpan now)
    {
        PrefillSequence sequence = new(request, _book.NextTicket(), now);
        if (_limits.Check(request) is { } tooLong)
        {
            // Decode waits for this room by now: it must hear of it. The sender forgets a room that it fails.
            if (!sequence.IsLocal && !_rooms.ContainsKey(sequence.Room)) FailRoom(sequence, tooLong);
            _book.Refuse(request, tooLong);
            return;
        }
        if (!sequence.IsLocal && !_rooms.TryAdd(sequence.Room, sequence))
        {
            _book.Refuse(request, RequestFailure.Of(FailureReason.DuplicateRoom, $"{request.Id}: {sequence.Room} is in use by {_rooms[sequence.Room].Id}."));
            return;
        }
        _book.Add(sequence);
        if (!sequence.IsLocal) _sender.Open(sequence.Room, sequence.PromptLength);
        (sequence.IsLocal ? _waiting : _bootstrap).Add(sequence);
        _deadlines.Watch(DeadlineOf(sequence)!.Value);
    }

    private void FailRoom(PrefillSequence sequence, RequestFailure failure)
    {
        _sender.Open(sequence.Room, sequence.PromptLength);
        _sender.Fail(sequence.Room, failure);
    }

    private TimeSpan? DeadlineOf(PrefillSequence sequence) => sequence switch
    {
        { IsLocal: true, HasSlot: false } => sequence.QueuedAt + _options.QueueTimeout,
        { IsLocal: true } => null, // computes in every step
        { ClaimedAt: { } claimedAt } => claimedAt + _options.WaitingTimeout,
        _ => sequence.ArrivedAt + _options.BootstrapTimeout,
    };

    private void ExpireOverdue(TimeSpan now)
    {
        if (!_deadlines.IsDue(now)) return;
        foreach (PrefillSequence sequence in _deadlines.TakeOverdue(_book.All, DeadlineOf, now)) Fail(sequence, TooLate(sequence), now);
    }

    private RequestFailure TooLate(PrefillSequence sequence) => sequence switch
    {
        { IsLocal: true } => RequestFailure.Of(FailureReason.OutOfCells,
            $"{sequence.Id}: waited {_options.QueueTimeout.TotalSeconds:0.#} s on prefill rank {_book.DpRank} for {sequence.PromptLength} of {_slots.CellCount} KV cells."),
        { ClaimedAt: null } => RequestFailure.Of(FailureReason.BootstrapTimeout,
            $"{sequence.Room}: no decode rank claimed it from prefill rank {_book.DpRank} within {_options.BootstrapTimeout.TotalSeconds:0.#} s."),
        _ => RequestFailure.Of(FailureReason.TransferTimeout,
            $"{sequence.Room}: {sequence.ExportedTokens} of {sequence.PromptLength} tokens left prefill rank {_book.DpRank} within "
            + $"{_options.WaitingTimeout.TotalSeconds:0.#} s of the claim, and decode did not confirm them all."),
    };

    private void PlanChunks(StepPlan plan, bool wanted)
    {
        for (int i = 0; i < _computing.Count; i++)
        {
            // A prompt that got its first chunk in this plan has one: a sequence computes one chunk a step.
            if (_computing[i].IsWanted == wanted) _budget.TryPlanChunk(_computing[i], plan);
        }
    }

    private void AdmitClaimed(TimeSpan now, StepPlan plan)
    {
        while (_waiting.First is { } sequence && HasBudget(sequence, plan))
        {
            while (!CanStart(sequence) && _unclaimedCells > 0 && YieldLastUnclaimed(now, plan))
            {
            }
            if (!CanStart(sequence)) return; // only claimed prompts hold cells, and those move on
            _waiting.Remove(sequence);
            Start(sequence, now, plan);
        }
    }

    private void AdmitUnclaimed(TimeSpan now, StepPlan plan)
    {
        int share = (int)(_options.MaxUnclaimedCellShare * _slots.CellCount);
        while (_waiting.Count == 0 && _bootstrap.First is { } sequence && HasBudget(sequence, plan))
        {
            // One prompt may exceed the share when it is the only one, or a long prompt would never start early.
            if (_unclaimedCells > 0 && _unclaimedCells + sequence.PromptLength > share) return;
            if (share == 0 || !CanStart(sequence)) return;
            _bootstrap.Remove(sequence);
            Start(sequence, now, plan);
            _unclaimedCells += sequence.PromptLength;
        }
    }

    private bool HasBudget(PrefillSequence sequence, StepPlan plan) =>
        plan.BatchTokens + _budget.ChunkLength(0, sequence.PromptLength) <= _budget.StepTokens;

    private bool CanStart(PrefillSequence sequence) => _slots.HasFreeSlot && sequence.PromptLength <= _slots.FreeCells;

    private void Start(PrefillSequence sequence, TimeSpan now, StepPlan plan)
    {
        _slots.TryTake(sequence, sequence.PromptLength);
        sequence.StartedAt ??= now;
        _budget.TryPlanChunk(sequence, plan);
        _computing.Add(sequence);
    }

    /// <summary>Takes the cells of the unclaimed prompt that is served last; it starts again from the bootstrap queue.</summary>
    private bool YieldLastUnclaimed(TimeSpan now, StepPlan plan)
    {
        PrefillSequence? last = LastUnclaimed(_computing);
        if (LastUnclaimed(_inflight) is { } computed && (last is null || last.GoesBefore(computed))) last = computed;
        if (last is null) return false;
        _unclaimedCells -= _slots.CellsOf(last);
        if (!_computing.Remove(last)) _inflight.Remove(last);
        _slots.Release(last);
        _slots.PlanClosings(plan);
        last.Restart(now, keepOutput: false);
        last.First = null;
        _book.ReportProgress(last);
        _bootstrap.Add(last);
        return true;
    }

    private static PrefillSequence? LastUnclaimed(SequenceQueue<PrefillSequence> queue)
    {
        for (int i = queue.Count - 1; i >= 0; i--)
        {
            if (!queue[i].IsWanted) return queue[i];
        }
        return null;
    }

    private void CommitChunks(StepPlan plan, StepResult result)
    {
        foreach (PrefillChunk chunk in plan.Chunks)
        {
            if (_slots.Owner(chunk.Sequence) is not { } sequence) continue;
            sequence.ComputedTokens += chunk.Tokens.Length;
            _book.ReportProgress(sequence);
        }
        foreach (InputLogprob logprob in result.InputLogprobs) _slots.Owner(logprob.Sequence)?.AddInputLogprob(logprob);
    }

    private void CommitSamples(StepResult result, TimeSpan now)
    {
        foreach (SampledToken sample in result.Samples)
        {
            if (_slots.Owner(sample.Sequence) is not { } sequence) continue;
            sequence.First = new FirstToken(sample.ToOutput(), sample.IsEndOfGeneration, sequence.Sampling.Seed, CachedTokens: 0);
            sequence.AddOutput(sample.TokenId);
            if (!sequence.IsFirstTold) sequence.Request.Sink.OnToken(sample.ToOutput());
            sequence.IsFirstTold = true;
            _computing.Remove(sequence);
            if (sequence.IsLocal) End(sequence, FinishKind.Length, failure: null, now);
            else _inflight.Add(sequence);
        }
    }

    /// <summary>Tells decode first, then gives the cells back.</summary>
    private void Fail(PrefillSequence sequence, RequestFailure failure, TimeSpan now)
    {
        if (!sequence.IsLocal) _sender.Fail(sequence.Room, failure);
        End(sequence, FinishKind.Abort, failure, now);
    }

    private void End(PrefillSequence sequence, FinishKind kind, RequestFailure? failure, TimeSpan now)
    {
        if (!sequence.IsLocal) _rooms.Remove(sequence.Room);
        if (sequence.HasSlot)
        {
            if (!sequence.IsWanted) _unclaimedCells -= _slots.CellsOf(sequence);
            if (!_computing.Remove(sequence)) _inflight.Remove(sequence);
            _slots.Release(sequence);
        }
        else if (!_bootstrap.Remove(sequence))
        {
            _waiting.Remove(sequence);
        }
        _book.End(sequence, sequence.ToEnd(kind, _book.DpRank, failure, now) with
        {
            HandoverBytes = sequence.HandoverBytes,
            HandoverTime = sequence.IsLastSent ? now - sequence.ClaimedAt!.Value : TimeSpan.Zero,
        });
    }
}
