using System.Numerics.Tensors;
using Baton.LlamaCpp.Engine;
using Baton.LlamaCpp.Model;
using Baton.LlamaCpp.Native;

namespace Baton.LlamaCpp.Tests;

/// <summary>libllama used as its own examples use it: fill a batch, decode, take the largest logit. The baseline of tests and measurements.</summary>
internal sealed class BareLlama : IDisposable
{
    private readonly ContextHandle _handle;
    private readonly nint _context;
    private readonly NativeBatch _batch;
    private readonly int _vocabSize;

    internal BareLlama(LlamaModel model, int cellCount, int maxSequences, int batchTokens = 512, int threads = 1)
    {
        ContextParams parameters = NativeMethods.ContextDefaultParams();
        parameters.ContextCells = (uint)cellCount;
        parameters.BatchTokens = parameters.MicroBatchTokens = (uint)batchTokens;
        parameters.MaxSequences = (uint)maxSequences;
        parameters.Threads = parameters.BatchThreads = threads;
        parameters.FlashAttention = 1;
        parameters.UnifiedKv = 1;
        _handle = NativeMethods.InitFromModel(model.Handle, parameters);
        _handle.Hold(model.Handle);
        _context = _handle.DangerousGetHandle();
        _batch = new NativeBatch(batchTokens);
        _vocabSize = model.Info.VocabSize;
    }

    /// <summary>Computes prompt tokens of one sequence.</summary>
    /// <returns>The largest logit's token at the last of them.</returns>
    internal int Prefill(int sequence, ReadOnlySpan<int> tokens, int start)
    {
        _batch.Clear();
        for (int index = 0; index < tokens.Length; index++) _batch.Add(tokens[index], start + index, sequence, index == tokens.Length - 1);
        Decode();
        return ArgMax(tokens.Length - 1);
    }

    /// <summary>One decode step of as many sequences as there are tokens; the tokens become the next ones.</summary>
    internal void Step(Span<int> tokens, int position)
    {
        _batch.Clear();
        for (int sequence = 0; sequence < tokens.Length; sequence++) _batch.Add(tokens[sequence], position, sequence, wantsLogits: true);
        Decode();
        for (int sequence = 0; sequence < tokens.Length; sequence++) tokens[sequence] = ArgMax(sequence);
    }

    /// <summary>Greedy answer of one sequence: prompt in chunks, then token by token.</summary>
    internal List<int> Generate(int[] prompt, int chunkTokens, int count)
    {
        int token = -1;
        for (int start = 0; start < prompt.Length; start += chunkTokens)
            token = Prefill(0, prompt.AsSpan(start, Math.Min(chunkTokens, prompt.Length - start)), start);
        List<int> output = [token];
        int[] next = [token];
        while (output.Count < count)
        {
            Step(next, prompt.Length + output.Count - 1);
            output.Add(next[0]);
        }
        return output;
    }

    internal unsafe ReadOnlySpan<float> Logits(int row) => new(NativeMethods.Logits(_context, row), _vocabSize);

    internal unsafe void Clear()
    {
        for (int sequence = 0; sequence < NativeMethods.MaxSequences(_handle); sequence++)
            _ = NativeMethods.SequenceRemove(NativeMethods.Memory(_handle), sequence, 0, -1);
    }

    public void Dispose()
    {
        _handle.Dispose();
        _batch.Dispose();
    }

    private int ArgMax(int row) => TensorPrimitives.IndexOfMax(Logits(row));

    private void Decode()
    {
        int code = NativeMethods.Decode(_context, _batch.AsNative());
        if (code != 0) throw new InvalidOperationException($"llama_decode answered {code}");
    }
}
