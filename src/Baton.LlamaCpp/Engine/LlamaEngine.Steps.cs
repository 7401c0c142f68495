using Baton.Core.Engine;
using Baton.Core.Failures;
using Baton.Core.Ids;
using Baton.Core.Kv;
using Baton.Core.Requests;
using Baton.Core.Sampling;
using Baton.LlamaCpp.Native;
using Baton.LlamaCpp.Text;

namespace Baton.LlamaCpp.Engine;

/// <summary>The lists of a plan, one method each.</summary>
public sealed unsafe partial class LlamaEngine
{
    private void Close(List<SequenceId> closing)
    {
        foreach (SequenceId id in closing)
        {
            EngineSequence sequence = Require(id);
            _kv.Clear(id);
            _usedCells -= sequence.Length;
            sequence.Reset();
        }
    }

    private void Import(List<KvImport> imports, StepResult result)
    {
        foreach (KvImport import in imports)
        {
            using KvBuffer payload = import.Payload;
            EngineSequence sequence = Require(import.Sequence);
            if (HasFailed(sequence)) continue;
            KvRange range = import.Range;
            if (range.Start != sequence.Length || range.TokenCount <= 0)
                Fail(result, import.Sequence, FailureReason.TransferCorrupt, $"{import.Room}: chunk {range} does not continue the {sequence.Length} positions that are there.");
            else if (range.End > Info.ContextTokens)
                Fail(result, import.Sequence, FailureReason.TransferCorrupt, $"{import.Room}: chunk {range} goes beyond the context of {Info.ContextTokens} tokens.");
            else if (payload.Length != Info.Kv.PayloadBytes(range.TokenCount))
                Fail(result, import.Sequence, FailureReason.TransferCorrupt, $"{import.Room}: chunk {range} has {payload.Length} bytes where {Info.Kv.PayloadBytes(range.TokenCount)} were expected.");
            else if (_usedCells + range.TokenCount > Info.CellCount)
                Fail(result, import.Sequence, FailureReason.OutOfCells, $"{import.Room}: chunk {range} needs more than the {Info.CellCount - _usedCells} free KV cells.");
            else if (!_kv.TryImport(import.Sequence, range, payload))
                Fail(result, import.Sequence, FailureReason.TransferCorrupt, $"{import.Room}: chunk {range} holds values that are not finite, or llama.cpp refused it. {NativeLog.TakeErrors()}");
            else
            {
                sequence.Length = range.End;
                _usedCells += range.TokenCount;
            }
        }
    }

    private void Open(List<SequenceStart> opening, StepResult result)
    {
        foreach (SequenceStart start in opening)
        {
            EngineSequence sequence = Require(start.Sequence);
            if (HasFailed(sequence)) continue;
            LlamaGrammar? grammar = null;
            if (start.Sampling.Grammar is { } text && (grammar = LlamaGrammar.TryCreate(_tokenizer, text, out string? problem)) is null)
            {
                Fail(result, start.Sequence, FailureReason.InvalidRequest, problem!);
                continue;
            }
            sequence.Sampler?.Dispose();
            sequence.Sampler = new TokenSampler(start.Sampling, _scratch, _tokenizer.EndTokens, grammar);
            sequence.Prompt = start.PromptTokens;
            if (sequence.Sampler.Start(start.PromptTokens.Span, start.GeneratedTokens.Span) is { } refused)
                Fail(result, start.Sequence, FailureReason.TransferCorrupt, $"{start.Sequence}: {refused}.");
        }
    }

    private void FillBatch(StepPlan plan, StepResult result)
    {
        _batch.Clear();
        _outputs.Clear();
        foreach (PrefillChunk chunk in plan.Chunks)
        {
            EngineSequence sequence = Require(chunk.Sequence);
            if (!CanAdd(sequence, chunk.Sequence, chunk.StartPosition, chunk.Tokens.Span, chunk.SampleLast, result)) continue;
            int logprobStart = sequence.Sampler?.Options.InputLogprobStart ?? -1;
            // Nothing comes before the first token, so it has no probability; it is reported all the same, or the list would be one short.
            if (logprobStart == 0 && chunk.StartPosition == 0)
                result.InputLogprobs.Add(new InputLogprob(chunk.Sequence, 0, new TokenLogprob(chunk.Tokens.Span[0], float.NaN)));
            for (int index = 0; index < chunk.Tokens.Length; index++)
            {
                int position = chunk.StartPosition + index;
                bool isSample = chunk.SampleLast && index == chunk.Tokens.Length - 1;
                // The logits at a position tell the probability of the prompt token behind it.
                bool isInput = logprobStart >= 0 && position + 1 >= logprobStart && position + 1 < sequence.Prompt.Length;
                int row = _batch.Add(chunk.Tokens.Span[index], position, chunk.Sequence.Value, isSample || isInput);
                if (isInput) _outputs.Add(new Output(row, chunk.Sequence.Value, position + 1, IsSample: false));
                if (isSample) _outputs.Add(new Output(row, chunk.Sequence.Value, position + 1, IsSample: true));
            }
            sequence.PlannedLength = chunk.Range.End;
        }
        foreach (DecodeRow row in plan.Rows)
        {
            EngineSequence sequence = Require(row.Sequence);
            if (!CanAdd(sequence, row.Sequence, row.Position, [row.TokenId], samples: true, result)) continue;
            int index = _batch.Add(row.TokenId, row.Position, row.Sequence.Value, wantsLogits: true);
            _outputs.Add(new Output(index, row.Sequence.Value, row.Position + 1, IsSample: true));
            sequence.PlannedLength = row.Position + 1;
        }
    }

    /// <summary>What llama_decode would answer with -1 or 1 for the whole batch, or with an assertion, is one sequence's failure here.</summary>
    private bool CanAdd(EngineSequence sequence, SequenceId id, int start, ReadOnlySpan<int> tokens, bool samples, StepResult result)
    {
        if (HasFailed(sequence)) return false;
        int expected = Math.Max(sequence.Length, sequence.PlannedLength);
        if (start != expected || tokens.IsEmpty)
            return Fail(result, id, FailureReason.InternalError, $"{id}: {tokens.Length} tokens at position {start} do not continue the {expected} that are there.");
        if (start + tokens.Length > Info.ContextTokens)
            return Fail(result, id, FailureReason.PromptTooLong, $"{id}: position {start + tokens.Length - 1} is beyond the context of {Info.ContextTokens} tokens.");
        if (tokens.Length > _batch.FreeCount)
            return Fail(result, id, FailureReason.InternalError, $"{id}: {tokens.Length} more tokens do not fit the batch of {Info.MaxBatchTokens}.");
        if (_usedCells + _batch.Count + tokens.Length > Info.CellCount)
            return Fail(result, id, FailureReason.OutOfCells, $"{id}: {tokens.Length} more tokens do not fit the {Info.CellCount - _usedCells - _batch.Count} free KV cells.");
        if (samples && sequence.Sampler is null)
            return Fail(result, id, FailureReason.InternalError, $"{id}: a token is to be drawn, but the sequence was not opened.");
        foreach (int token in tokens)
        {
            if (!_tokenizer.Contains(token))
                return Fail(result, id, FailureReason.InvalidRequest, $"{id}: token {token} is outside the vocabulary of {Info.VocabSize}.");
        }
        return true;
    }

    /// <returns>True when the batch was computed.</returns>
    private bool Compute(StepResult result)
    {
        int code = NativeMethods.Decode(_context, _batch.AsNative());
        bool isDone = code == DecodeOk;
        for (int index = 0; index < _sequences.Length; index++)
        {
            EngineSequence sequence = _sequences[index];
            if (sequence.PlannedLength == 0) continue;
            if (isDone)
            {
                _usedCells += sequence.PlannedLength - sequence.Length;
                sequence.Length = sequence.PlannedLength;
            }
            else
            {
                // One micro-batch: nothing of it stays, but what stays is not taken on trust.
                _kv.Truncate(new SequenceId(index), sequence.Length);
                if (code is 1 or -1)
                    Fail(result, new SequenceId(index), FailureReason.EngineError, $"{new SequenceId(index)}: llama_decode answered {code} to a batch of {_batch.Count} tokens. {NativeLog.TakeErrors()}");
            }
            sequence.PlannedLength = 0;
        }
        if (isDone || code is 1 or -1) return isDone;
        if (code != DecodeAborted) throw new EngineException($"llama_decode answered {code} to a batch of {_batch.Count} tokens. {NativeLog.TakeErrors()}");
        Volatile.Write(ref _interrupt[0], 0);
        result.WasInterrupted = true;
        return false;
    }

    private void Sample(StepResult result)
    {
        foreach (Output output in _outputs)
        {
            EngineSequence sequence = _sequences[output.Sequence];
            SequenceId id = new(output.Sequence);
            if (HasFailed(sequence)) continue;
            float* row = NativeMethods.Logits(_context, output.Row);
            if (row is null)
            {
                Fail(result, id, FailureReason.EngineError, $"{id}: no logits for batch row {output.Row}.");
                continue;
            }
            ReadOnlySpan<float> logits = new(row, Info.VocabSize);
            if (output.IsSample) Draw(logits, sequence, id, output.Position, result);
            else ReportInput(logits, sequence, id, output.Position, result);
        }
    }

    private void Draw(ReadOnlySpan<float> logits, EngineSequence sequence, SequenceId id, int position, StepResult result)
    {
        SampleOutcome outcome = sequence.Sampler!.Sample(logits, position);
        switch (outcome.Status)
        {
            case SampleStatus.Drawn:
                result.Samples.Add(new SampledToken(id, outcome.Token, _tokenizer.IsEndOfGeneration(outcome.Token), outcome.Logprob, outcome.TopLogprobs));
                break;
            case SampleStatus.NotFinite:
                Fail(result, id, FailureReason.EngineError, $"{id}: the logits at position {position} are not finite; its KV cells or the model file are damaged.");
                break;
            default:
                Fail(result, id, FailureReason.EngineError, $"{id}: at position {position} the grammar allows no token of this model. Change the grammar.");
                break;
        }
    }

    private void ReportInput(ReadOnlySpan<float> logits, EngineSequence sequence, SequenceId id, int position, StepResult result)
    {
        int token = sequence.Prompt.Span[position];
        if (!_tokenizer.Contains(token)) return;
        float logprob = TokenSampler.LogProbability(logits, token, _scratch);
        if (float.IsNaN(logprob)) Fail(result, id, FailureReason.EngineError, $"{id}: the logits before position {position} are not finite.");
        else result.InputLogprobs.Add(new InputLogprob(id, position, new TokenLogprob(token, logprob)));
    }

    private void Export(List<KvExport> exports, StepResult result)
    {
        foreach (KvExport export in exports)
        {
            EngineSequence sequence = Require(export.Sequence);
            // After an interrupted batch the planned positions are not there, and the rank is on its way out.
            if (HasFailed(sequence) || (result.WasInterrupted && export.Range.End > sequence.Length)) continue;
            if (export.Range.Start < 0 || export.Range.TokenCount <= 0 || export.Range.End > sequence.Length)
            {
                Fail(result, export.Sequence, FailureReason.InternalError, $"{export.Room}: {export.Range} is not within the {sequence.Length} positions of {export.Sequence}.");
                continue;
            }
            KvBuffer payload = KvBuffer.Rent(Info.Kv, export.Range.TokenCount);
            try
            {
                _kv.Export(export.Sequence, export.Range, payload);
            }
            catch
            {
                payload.Dispose();
                throw;
            }
            result.Exported.Add(new KvExported(export.Sequence, export.Room, export.Range, payload));
        }
    }

    private EngineSequence Require(SequenceId id) => (uint)id.Value < (uint)_sequences.Length
        ? _sequences[id.Value]
        : throw new EngineException($"{id} is outside [0, {_sequences.Length}): the scheduler and the engine disagree about the slots.");

    private bool HasFailed(EngineSequence sequence) => sequence.FailedAtStep == _step;

    /// <returns>False, always: callers return it.</returns>
    private bool Fail(StepResult result, SequenceId id, FailureReason reason, string message)
    {
        _sequences[id.Value].FailedAtStep = _step;
        result.Failures.Add(new SequenceFailure(id, reason, message));
        return false;
    }
}
