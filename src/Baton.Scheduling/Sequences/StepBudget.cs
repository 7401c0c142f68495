using Baton.Core.Engine;

namespace Baton.Scheduling.Sequences;

/// <summary>How prompts are cut and how many tokens a step may compute. The same cut everywhere, whatever else is in the batch.</summary>
/// <remarks>
/// Boundaries are multiples of the chunk size from position 0, and a chunk is computed whole or not at all: the same prompt gives
/// the same floats on a unified and on a prefill rank only when it is cut in the same way.
/// </remarks>
internal sealed class StepBudget
{
    public StepBudget(EngineInfo engine, SchedulerOptions options, int slotCount)
    {
        ChunkSize = options.ChunkedPrefillSize;
        StepTokens = options.StepTokenBudget ?? Math.Min(ChunkSize + slotCount, engine.MaxBatchTokens);
        if (StepTokens > engine.MaxBatchTokens)
        {
            throw new ArgumentException($"A step budget of {StepTokens} tokens is more than the engine's batch of {engine.MaxBatchTokens}.", nameof(options));
        }
        if (StepTokens >= ChunkSize + slotCount) return;
        throw new ArgumentException(
            $"A step computes at most {StepTokens} tokens (the engine's batch is {engine.MaxBatchTokens}), but one chunk of {ChunkSize} beside "
            + $"{slotCount} running sequences needs {ChunkSize + slotCount}. Lower --chunked-prefill-size or --max-running-requests.", nameof(options));
    }

    public int ChunkSize { get; }

    public int StepTokens { get; }

    /// <summary>Length of the chunk that starts at <paramref name="start"/>, of a sequence of <paramref name="length"/> tokens.</summary>
    public int ChunkLength(int start, int length) => Math.Min(ChunkSize - start % ChunkSize, length - start);

    /// <summary>Adds the sequence's next chunk to the plan if the step has room for all of it.</summary>
    public bool TryPlanChunk(LiveSequence sequence, StepPlan plan)
    {
        int length = ChunkLength(sequence.ComputedTokens, sequence.Tokens.Length);
        if (plan.BatchTokens + length > StepTokens) return false;
        if (!sequence.HasSampler)
        {
            plan.Opening.Add(sequence.ToStart());
            sequence.HasSampler = true;
        }
        bool isLast = sequence.ComputedTokens + length == sequence.Tokens.Length;
        plan.Chunks.Add(new PrefillChunk(
            sequence.Sequence, sequence.Tokens.Slice(sequence.ComputedTokens, length), sequence.ComputedTokens, isLast && sequence.MaxNewTokens > 0));
        plan.BatchTokens += length;
        sequence.IsInEngine = true;
        return true;
    }

    public static void PlanRow(LiveSequence sequence, StepPlan plan)
    {
        plan.Rows.Add(new DecodeRow(sequence.Sequence, sequence.LastToken, sequence.TotalTokens - 1));
        plan.BatchTokens++;
    }
}
