using Baton.Core.Engine;
using Baton.Core.Requests;

namespace Baton.Scheduling.Sequences;

/// <summary>The sequences that compute on this rank: those with a prompt to finish and those that get a token each step.</summary>
/// <remarks>
/// In serving order. When the cells run out the last of that order gives its cells back, so the first can always go on, and as a
/// sequence that is alone always fits (<see cref="PromptLimits"/>) the batch never dead-locks.
/// </remarks>
internal sealed class RunningBatch<T>(SequenceBook<T> book, SlotTable<T> slots, StepBudget budget) where T : LiveSequence
{
    private readonly SequenceQueue<T> _members = new();

    /// <summary>Filled by the commits: who is through, and how.</summary>
    public List<(T Sequence, FinishKind Kind)> Finished { get; } = [];

    public int Count => _members.Count;

    /// <summary>Tokens that the members hold or have still to compute.</summary>
    public int CountTokens()
    {
        int tokens = 0;
        for (int i = 0; i < _members.Count; i++) tokens += _members[i].TotalTokens;
        return tokens;
    }

    /// <summary>Cells that the members lack to grow by <paramref name="reservedTokens"/> each, or to their ends where those are nearer.</summary>
    public int CellsToGrow(int reservedTokens)
    {
        int cells = 0;
        for (int i = 0; i < _members.Count; i++)
        {
            T member = _members[i];
            cells += Math.Max(0, Math.Min(member.RemainingNewTokens, reservedTokens) - (slots.CellsOf(member) - member.TotalTokens));
        }
        return cells;
    }

    /// <summary>The sequence has a slot and cells for its tokens.</summary>
    public void Join(T sequence) => _members.Add(sequence);

    public bool Remove(T sequence) => _members.Remove(sequence);

    /// <summary>One row for each running sequence, growing it by a cell where its head-room is used up.</summary>
    /// <param name="retracted">Gets those whose cells were taken back: they compute prompt and answer again when there is room.</param>
    /// <returns>How many were retracted.</returns>
    public int PlanRows(TimeSpan now, StepPlan plan, SequenceQueue<T> retracted)
    {
        int before = retracted.Count;
        for (int i = 0; i < _members.Count; i++)
        {
            T sequence = _members[i];
            if (!sequence.IsComputed || sequence.OutputCount == 0) continue;
            int missing = sequence.TotalTokens - slots.CellsOf(sequence);
            while (missing > 0 && sequence.HasSlot && !slots.TryGrow(sequence, missing)) RetractLast(now, plan, retracted);
            if (!sequence.HasSlot) break; // it was the last itself
            if (!sequence.HasSampler)
            {
                plan.Opening.Add(sequence.ToStart());
                sequence.HasSampler = true;
            }
            StepBudget.PlanRow(sequence, plan);
        }
        return retracted.Count - before;
    }

    /// <summary>The next chunk of each started prompt, as far as the step's budget goes; the first of the order always gets one.</summary>
    /// <param name="maxChunks">At most so many in this step.</param>
    public int PlanChunks(StepPlan plan, int maxChunks = int.MaxValue)
    {
        int planned = 0;
        for (int i = 0; i < _members.Count && planned < maxChunks; i++)
        {
            if (!_members[i].IsComputed && budget.TryPlanChunk(_members[i], plan)) planned++;
        }
        return planned;
    }

    public void CommitChunks(StepPlan plan, StepResult result)
    {
        foreach (PrefillChunk chunk in plan.Chunks)
        {
            if (slots.Owner(chunk.Sequence) is not { } sequence) continue;
            sequence.ComputedTokens += chunk.Tokens.Length;
            book.ReportProgress(sequence);
            // max_new_tokens = 0: the prompt was computed for its log probabilities alone.
            if (sequence.IsComputed && sequence.MaxNewTokens == 0) Finished.Add((sequence, FinishKind.Length));
        }
        foreach (InputLogprob logprob in result.InputLogprobs) slots.Owner(logprob.Sequence)?.AddInputLogprob(logprob);
    }

    public void CommitSamples(StepResult result)
    {
        foreach (SampledToken sample in result.Samples)
        {
            if (slots.Owner(sample.Sequence) is not { } sequence) continue;
            sequence.AddOutput(sample.TokenId);
            sequence.Request.Sink.OnToken(sample.ToOutput());
            if (sequence.IsEndedBy(sample.TokenId, sample.IsEndOfGeneration, out FinishKind kind)) Finished.Add((sequence, kind));
        }
    }

    private void RetractLast(TimeSpan now, StepPlan plan, SequenceQueue<T> retracted)
    {
        T victim = _members[_members.Count - 1];
        _members.Remove(victim);
        slots.Release(victim);
        slots.PlanClosings(plan);
        victim.Restart(now, keepOutput: true);
        book.ReportProgress(victim);
        retracted.Add(victim);
    }
}
