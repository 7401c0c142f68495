using System.Buffers.Binary;
using System.Diagnostics;
using System.Runtime.InteropServices;
using Baton.Core.Ids;
using Baton.Core.Kv;
using Baton.Core.Randomness;
using Baton.Core.Requests;

namespace Baton.Core.Engine.Simulated;

/// <summary>An engine that computes hashes instead of logits and reports what the step would have cost. It waits for nothing: its driver does.</summary>
/// <remarks>
/// Every cell holds a hash of its token and of all cells before it, and every drawn token is a hash of all cells of its sequence: a
/// chunk that was lost, swapped or changed on its way gives other tokens. Draws depend on the sampling seed and the position, as
/// with the real engine, or on the cells alone when the temperature is 0. Biases, penalties and grammars do nothing here.
/// It is also the checker of the schedulers: whatever would corrupt or end a real context throws <see cref="UnreachableException"/>.
/// </remarks>
public sealed class SimulatedEngine : IEngine
{
    /// <summary>Bytes of one token's payload: a K row of 8 and a V row of 8.</summary>
    public const int BytesPerToken = 16;

    // Clears the top exponent bit of each half float, so that the receiver's check for infinities finds none.
    private const ulong FiniteMask = 0xBFFF_BFFF_BFFF_BFFF;
    private readonly SimulatedEngineOptions _options;
    private readonly SimulatedSequence?[] _sequences;
    private readonly Stack<SimulatedSequence> _spare = new();
    private int _usedCells;
    private volatile bool _isInterrupted;

    public SimulatedEngine(SimulatedEngineOptions options)
    {
        _options = options;
        _sequences = new SimulatedSequence?[options.MaxSequences];
        Info = new EngineInfo
        {
            ModelName = "simulated",
            ModelFingerprint = $"{SeededRandom.Mix(options.ModelSeed ^ SeededRandom.Mix((ulong)options.VocabSize)):x16}",
            EngineOptions = "simulated, hash cells, version 1",
            ContextTokens = options.ContextTokens,
            CellCount = options.CellCount,
            MaxSequences = options.MaxSequences,
            MaxBatchTokens = options.MaxBatchTokens,
            VocabSize = options.VocabSize,
            Kv = new KvLayout([8], [8], KeyType: 1, ValueType: 1),
        };
    }

    public EngineInfo Info { get; }

    /// <summary>Cells that are in use now.</summary>
    public int UsedCells => _usedCells;

    /// <summary>Cells that one sequence has.</summary>
    public int CellsOf(SequenceId id) => _sequences[id.Value]?.Cells.Count ?? 0;

    /// <summary>Sequences that have cells or a sampler now.</summary>
    public int OpenSequences => _sequences.Count(sequence => sequence is not null);

    public void Interrupt() => _isInterrupted = true;

    public void Execute(StepPlan plan, StepResult result)
    {
        result.Clear();
        CheckBatch(plan);
        double milliseconds = 0;
        foreach (SequenceId closing in plan.Closing) Close(closing);
        foreach (KvImport import in plan.Imports) milliseconds += Import(import);
        foreach (SequenceStart start in plan.Opening) Open(start);
        if (_isInterrupted)
        {
            _isInterrupted = false;
            result.WasInterrupted = true;
        }
        else
        {
            if (plan.BatchTokens > 0) milliseconds += _options.Cost.FixedMs;
            foreach (PrefillChunk chunk in plan.Chunks) milliseconds += Compute(chunk, result);
            foreach (DecodeRow row in plan.Rows) milliseconds += Compute(row, result);
            foreach (KvExport export in plan.Exports) milliseconds += Export(export, result);
        }
        result.Elapsed = TimeSpan.FromTicks((long)Math.Ceiling(milliseconds / _options.SpeedUp * TimeSpan.TicksPerMillisecond));
    }

    public void Dispose()
    {
    }

    private void CheckBatch(StepPlan plan)
    {
        int tokens = plan.Rows.Count;
        foreach (PrefillChunk chunk in plan.Chunks) tokens += chunk.Tokens.Length;
        if (tokens != plan.BatchTokens) throw Broken($"the plan says {plan.BatchTokens} batch tokens and lists {tokens}");
        if (tokens > Info.MaxBatchTokens) throw Broken($"a batch of {tokens} tokens exceeds {Info.MaxBatchTokens}");
    }

    private void Close(SequenceId id)
    {
        SimulatedSequence sequence = Known(id, "closed");
        _usedCells -= sequence.Cells.Count;
        _sequences[id.Value] = null;
        sequence.Clear();
        _spare.Push(sequence);
    }

    private double Import(in KvImport import)
    {
        SimulatedSequence sequence = KnownOrNew(import.Sequence);
        KvBuffer payload = import.Payload;
        int count = import.Range.TokenCount;
        if (import.Range.Start != sequence.Cells.Count) throw Broken($"{import.Sequence} has {sequence.Cells.Count} cells and imports {import.Range}");
        if (payload.Length != count * BytesPerToken) throw Broken($"{import.Sequence} imports {payload.Length} bytes for {count} tokens");
        ReadOnlySpan<byte> keys = payload.Span[..(count * 8)], values = payload.Span[(count * 8)..];
        Reserve(import.Sequence, sequence, count);
        for (int i = 0; i < count; i++)
        {
            // Whatever came becomes the cell, as with real KV: a wrong V row must change the answer too.
            sequence.Add(BinaryPrimitives.ReadUInt64LittleEndian(keys[(i * 8)..]), BinaryPrimitives.ReadUInt64LittleEndian(values[(i * 8)..]));
        }
        payload.Dispose();
        return _options.Cost.CopyTokenMs * count;
    }

    private void Open(in SequenceStart start)
    {
        SimulatedSequence sequence = KnownOrNew(start.Sequence);
        if (sequence.Sampling is not null) throw Broken($"{start.Sequence} gets a second sampler");
        sequence.Sampling = start.Sampling;
        sequence.DrawnTokens = start.GeneratedTokens.Length;
    }

    private double Compute(in PrefillChunk chunk, StepResult result)
    {
        SimulatedSequence sequence = Known(chunk.Sequence, "computed");
        if (chunk.StartPosition != sequence.Cells.Count) throw Broken($"{chunk.Sequence} has {sequence.Cells.Count} cells and computes {chunk.Range}");
        if (sequence.Sampling is null) throw Broken($"{chunk.Sequence} computes without a sampler");
        ReadOnlySpan<int> tokens = chunk.Tokens.Span;
        int logprobsFrom = sequence.Sampling.InputLogprobStart;
        Reserve(chunk.Sequence, sequence, tokens.Length);
        for (int i = 0; i < tokens.Length; i++)
        {
            int position = chunk.StartPosition + i;
            if (logprobsFrom >= 0 && position >= logprobsFrom)
            {
                float logprob = position == 0 ? float.NaN : Logprob(sequence.Digest ^ (ulong)tokens[i]);
                result.InputLogprobs.Add(new InputLogprob(chunk.Sequence, position, new TokenLogprob(tokens[i], logprob)));
            }
            AddToken(chunk.Sequence, sequence, tokens[i]);
        }
        if (chunk.SampleLast) result.Samples.Add(Draw(chunk.Sequence, sequence));
        return _options.Cost.ChunkMs(chunk.StartPosition, chunk.Range.End);
    }

    private double Compute(in DecodeRow row, StepResult result)
    {
        SimulatedSequence sequence = Known(row.Sequence, "decoded");
        if (row.Position != sequence.Cells.Count) throw Broken($"{row.Sequence} has {sequence.Cells.Count} cells and decodes position {row.Position}");
        if (sequence.Sampling is null) throw Broken($"{row.Sequence} decodes without a sampler");
        Reserve(row.Sequence, sequence, 1);
        AddToken(row.Sequence, sequence, row.TokenId);
        result.Samples.Add(Draw(row.Sequence, sequence));
        return _options.Cost.RowMs + _options.Cost.RowContextMs * row.Position;
    }

    private double Export(in KvExport export, StepResult result)
    {
        SimulatedSequence sequence = Known(export.Sequence, "exported");
        KvRange range = export.Range;
        if (range.Start < 0 || range.End > sequence.Cells.Count || range.TokenCount <= 0)
        {
            throw Broken($"{export.Sequence} has {sequence.Cells.Count} cells and exports {range}");
        }
        int count = range.TokenCount;
        KvBuffer payload = KvBuffer.Rent(count * BytesPerToken);
        Span<byte> keys = payload.Span[..(count * 8)], values = payload.Span[(count * 8)..];
        ReadOnlySpan<(ulong Key, ulong Value)> cells = CollectionsMarshal.AsSpan(sequence.Cells)[range.Start..range.End];
        for (int i = 0; i < count; i++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(keys[(i * 8)..], cells[i].Key);
            BinaryPrimitives.WriteUInt64LittleEndian(values[(i * 8)..], cells[i].Value);
        }
        result.Exported.Add(new KvExported(export.Sequence, export.Room, range, payload));
        return _options.Cost.CopyTokenMs * count;
    }

    private void AddToken(SequenceId id, SimulatedSequence sequence, int token)
    {
        if ((uint)token >= (uint)Info.VocabSize) throw Broken($"{id} computes token {token}, outside [0, {Info.VocabSize})");
        ulong key = SeededRandom.Mix(sequence.Digest ^ SeededRandom.Mix(_options.ModelSeed + (ulong)token)) & FiniteMask;
        sequence.Add(key, SeededRandom.Mix(key) & FiniteMask);
    }

    /// <summary>Takes cells for a sequence that is about to grow by <paramref name="count"/>.</summary>
    private void Reserve(SequenceId id, SimulatedSequence sequence, int count)
    {
        if (_usedCells + count > Info.CellCount) throw Broken($"{id} needs {count} cells and {_usedCells} of {Info.CellCount} are in use");
        if (sequence.Cells.Count + count > Info.ContextTokens) throw Broken($"{id} grows beyond the context of {Info.ContextTokens} tokens");
        _usedCells += count;
        sequence.Cells.EnsureCapacity(sequence.Cells.Count + count);
    }

    private SampledToken Draw(SequenceId id, SimulatedSequence sequence)
    {
        SamplingOptions sampling = sequence.Sampling!;
        ulong bits = SeededRandom.Mix(sequence.Digest ^ (sampling.Temperature > 0 ? SeededRandom.Mix(sampling.Seed + (ulong)sequence.Cells.Count) : 0));
        bool mayEnd = !sampling.IgnoreEos && sequence.DrawnTokens >= sampling.MinNewTokens;
        bool isEnd = mayEnd && _options.EndProbability > 0 && (SeededRandom.Mix(bits) >> 11) * (1.0 / (1UL << 53)) < _options.EndProbability;
        int token = isEnd ? _options.EndToken : NotEnd(bits);
        sequence.DrawnTokens++;
        return new SampledToken(id, token, isEnd, sampling.ReturnLogprob ? Logprob(bits) : float.NaN, Alternatives(sampling, token, bits));
    }

    private int NotEnd(ulong bits)
    {
        int token = (int)(bits % (ulong)(Info.VocabSize - 1));
        return token >= _options.EndToken ? token + 1 : token;
    }

    private List<TokenLogprob>? Alternatives(SamplingOptions sampling, int token, ulong bits)
    {
        if (!sampling.ReturnLogprob || sampling.TopLogprobs == 0) return null;
        List<TokenLogprob> top = new(sampling.TopLogprobs) { new TokenLogprob(token, Logprob(bits)) };
        for (int i = 1; i < sampling.TopLogprobs; i++) top.Add(new TokenLogprob((token + i) % Info.VocabSize, Logprob(bits) - i));
        return top;
    }

    private static float Logprob(ulong bits) => -(float)(SeededRandom.Mix(bits) >> 40) / (1 << 24);

    private SimulatedSequence Known(SequenceId id, string verb) =>
        (uint)id.Value < (uint)_sequences.Length && _sequences[id.Value] is { } sequence ? sequence : throw Broken($"{id} is {verb} and does not exist");

    private SimulatedSequence KnownOrNew(SequenceId id)
    {
        if ((uint)id.Value >= (uint)_sequences.Length) throw Broken($"{id} is outside [0, {_sequences.Length})");
        return _sequences[id.Value] ??= _spare.TryPop(out SimulatedSequence? spare) ? spare : new SimulatedSequence();
    }

    private static UnreachableException Broken(string what) => new($"A scheduler broke the engine's rules: {what}.");
}
