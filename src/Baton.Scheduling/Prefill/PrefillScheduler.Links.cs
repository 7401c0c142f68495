using Baton.Core.Engine;
using Baton.Core.Handover;
using Baton.Core.Kv;
using Baton.Core.Requests;

namespace Baton.Scheduling.Prefill;

/// <summary>What decode ranks say, and what goes to them.</summary>
public sealed partial class PrefillScheduler
{
    private void HearLinks(TimeSpan now)
    {
        _events.Clear();
        _sender.Poll(now, _events);
        foreach (KvSenderEvent happened in _events)
        {
            // A room that ended here in the meantime is nobody's any more.
            if (!_rooms.TryGetValue(happened.Room, out PrefillSequence? sequence)) continue;
            if (happened.Kind == KvSenderEventKind.Claimed) Claim(sequence, now);
            else if (happened.Kind == KvSenderEventKind.Delivered) End(sequence, FinishKind.Length, failure: null, now);
            else if (happened.Kind == KvSenderEventKind.Failed) End(sequence, FinishKind.Abort, happened.Failure!, now);
        }
    }

    private void Claim(PrefillSequence sequence, TimeSpan now)
    {
        if (sequence.ClaimedAt is not null) return;
        if (sequence.HasSlot) _unclaimedCells -= _slots.CellsOf(sequence);
        sequence.ClaimedAt = now;
        if (_bootstrap.Remove(sequence)) _waiting.Add(sequence);
        _deadlines.Watch(DeadlineOf(sequence)!.Value);
    }

    /// <summary>Chunks that were computed before anybody claimed them, or that a full window held back.</summary>
    /// <remarks>They do not wait for the next batch to be computed: decode would get them, and their first token, a whole step later.</remarks>
    private bool PlanHeldExports(StepPlan plan)
    {
        int left = _options.MaxExportsPerStep;
        for (int i = 0; i < _inflight.Count && left > 0; i++) PlanExports(_inflight[i], _inflight[i].ComputedTokens, plan, ref left);
        for (int i = 0; i < _computing.Count && left > 0; i++) PlanExports(_computing[i], _computing[i].ComputedTokens, plan, ref left);
        foreach (KvExport export in plan.Exports) _sender.Rouse(export.Room);
        return plan.Exports.Count > 0;
    }

    private void PlanFreshExports(StepPlan plan)
    {
        int left = _options.MaxExportsPerStep;
        foreach (PrefillChunk chunk in plan.Chunks)
        {
            if (left > 0) PlanExports(_slots.Owner(chunk.Sequence)!, chunk.Range.End, plan, ref left);
        }
    }

    private void PlanExports(PrefillSequence sequence, int computed, StepPlan plan, ref int left)
    {
        if (sequence.ClaimedAt is null) return;
        while (left > 0 && sequence.PlannedExport < computed)
        {
            int start = sequence.PlannedExport;
            KvRange range = new(start, start + _budget.ChunkLength(start, sequence.PromptLength));
            if (range.End > computed || !_sender.CanSend(sequence.Room, (int)_engine.Kv.PayloadBytes(range.TokenCount))) return;
            plan.Exports.Add(new KvExport(sequence.Sequence, sequence.Room, range));
            sequence.PlannedExport = range.End;
            left--;
        }
    }

    private void SendExported(StepResult result)
    {
        foreach (KvExported exported in result.Exported)
        {
            if (_slots.Owner(exported.Sequence) is not { } sequence)
            {
                exported.Payload.Dispose();
                continue;
            }
            sequence.ExportedTokens = exported.Range.End;
            sequence.HandoverBytes += exported.Payload.Length;
            _sender.SendChunk(exported.Room, exported.Range, exported.Payload);
            if (sequence.ExportedTokens < sequence.PromptLength || sequence.First is not { } first) continue;
            sequence.IsLastSent = true;
            _sender.SendLast(sequence.Room, first);
        }
    }
}
