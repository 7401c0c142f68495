using Baton.Core.Engine;
using Baton.Core.Failures;
using Baton.Core.Ids;
using Baton.Core.Kv;
using Baton.Core.Requests;
using Baton.LlamaCpp.Engine;
using Baton.LlamaCpp.Model;

namespace Baton.LlamaCpp.Tests.Engine;

/// <summary>Export from one engine, import into another: what disaggregation rests on.</summary>
public sealed class HandoverTests
{
    private static readonly BootstrapRoom Room = new(7);
    private static readonly LlamaEngineOptions Options = new() { MaxSequences = 4, CellCount = 2048 };

    [Theory]
    [InlineData(0f, KvCellType.F16)]
    [InlineData(0.8f, KvCellType.F16)]
    [InlineData(0f, KvCellType.F32)]
    [InlineData(0f, KvCellType.Q8)]
    public void A_sequence_goes_on_elsewhere_as_if_it_had_stayed(float temperature, KvCellType cells)
    {
        LlamaEngineOptions options = Options with { CellType = cells };
        LlamaModel model = DemoModel.Instance;
        int[] prompt = [.. Enumerable.Repeat(model.RenderChat([new("user", "Remember: my locker code is 40718. The chair is blue. What is my locker code?")]), 20).SelectMany(part => part)];
        SamplingOptions sampling = new() { Temperature = temperature, Seed = 42, MaxNewTokens = 24, ReturnLogprob = true, RepetitionPenalty = 1.1f };
        using LlamaEngine alone = model.CreateEngine(options, TimeProvider.System);
        using LlamaEngine prefill = model.CreateEngine(options, TimeProvider.System);
        using LlamaEngine decode = model.CreateEngine(options, TimeProvider.System);
        List<SampledToken> expected = EngineDriver.Generate(alone, new SequenceId(0), prompt, sampling);

        // Both sides hold other sequences, and decode computes between the chunks.
        EngineDriver.Prefill(prefill, new SequenceId(0), TinyPrompt(1, 70), SamplingOptions.Greedy);
        Neighbour neighbour = new(decode, new SequenceId(0), TinyPrompt(2, 90));
        (SampledToken first, List<KvExported> chunks) = PrefillAndExport(prefill, new SequenceId(3), prompt, sampling);
        foreach (KvExported chunk in chunks)
        {
            Import(decode, new SequenceId(2), chunk);
            neighbour.Step();
        }
        List<SampledToken> output = [first];
        Open(decode, new SequenceId(2), prompt, sampling, first.TokenId);
        EngineDriver.Decode(decode, new SequenceId(2), prompt.Length, sampling.MaxNewTokens, output);

        Assert.Equal(3, chunks.Count);
        Assert.Equal(expected.Select(token => token.TokenId), output.Select(token => token.TokenId));
        Assert.All(expected.Zip(output), pair => Assert.Equal(pair.First.Logprob, pair.Second.Logprob, 1e-3));
        Assert.Equal(neighbour.Undisturbed(alone), neighbour.Output);
    }

    [Fact]
    public void Cells_that_lie_in_two_holes_are_exported_as_if_they_lay_together()
    {
        using LlamaEngine engine = TinyModel.Instance.CreateEngine(new LlamaEngineOptions { MaxSequences = 4, CellCount = 256, ContextTokens = 256 }, TimeProvider.System);
        using LlamaEngine fresh = TinyModel.Instance.CreateEngine(Options, TimeProvider.System);
        int[] prompt = TinyModel.Prompt(3, 120);
        EngineDriver.Prefill(engine, new SequenceId(0), TinyPrompt(1, 100), SamplingOptions.Greedy);
        EngineDriver.Prefill(engine, new SequenceId(1), TinyPrompt(2, 100), SamplingOptions.Greedy);
        EngineDriver.Close(engine, new SequenceId(0));

        (SampledToken first, List<KvExported> chunks) = PrefillAndExport(engine, new SequenceId(2), prompt, SamplingOptions.Greedy);

        (SampledToken expectedFirst, List<KvExported> expectedChunks) = PrefillAndExport(fresh, new SequenceId(0), prompt, SamplingOptions.Greedy);
        Assert.Equal(expectedFirst.TokenId, first.TokenId);
        // The first layer's keys depend on token and position alone, so their bytes tell the order.
        int keyBytes = engine.Info.Kv.KeyRowBytes[0] * prompt.Length;
        Assert.Equal(Assert.Single(expectedChunks).Payload.Span[..keyBytes].ToArray(), Assert.Single(chunks).Payload.Span[..keyBytes].ToArray());
    }

    [Fact]
    public void Imported_cells_come_back_when_their_sequence_closes()
    {
        using LlamaEngine engine = TinyModel.Instance.CreateEngine(new LlamaEngineOptions { MaxSequences = 2, CellCount = 256, ContextTokens = 256 }, TimeProvider.System);
        for (int round = 0; round < 3; round++)
        {
            Import(engine, new SequenceId(0), Chunk(new KvRange(0, 128)));
            Import(engine, new SequenceId(0), Chunk(new KvRange(128, 256)));
            EngineDriver.Close(engine, new SequenceId(0));

            // All cells of the cache: one that an import's scratch sequence kept would be missed.
            EngineDriver.Prefill(engine, new SequenceId(1), TinyPrompt(round, 256), SamplingOptions.Greedy);
            EngineDriver.Close(engine, new SequenceId(1));
        }
    }

    [Fact]
    public void Exporting_twice_gives_the_same_bytes_and_changes_nothing()
    {
        using LlamaEngine engine = TinyModel.Instance.CreateEngine(Options, TimeProvider.System);
        EngineDriver.Prefill(engine, new SequenceId(0), TinyPrompt(1, 50), SamplingOptions.Greedy);

        byte[] whole = Export(engine, new KvRange(0, 50));
        byte[] part = Export(engine, new KvRange(10, 30));

        Assert.Equal(whole, Export(engine, new KvRange(0, 50)));
        int row = engine.Info.Kv.KeyRowBytes[0];
        Assert.Equal(whole[(10 * row)..(30 * row)], part[..(20 * row)]);
    }

    public static readonly TheoryData<string> BadImports =
        ["gap", "again", "empty", "short", "long", "nan", "infinity", "late nan", "beyond the context", "too many cells"];

    [Theory]
    [MemberData(nameof(BadImports))]
    public void A_bad_chunk_fails_its_sequence_and_leaves_the_neighbour_alone(string kind)
    {
        LlamaEngineOptions options = new() { MaxSequences = 4, CellCount = 256, ContextTokens = kind == "too many cells" ? 256 : 200 };
        using LlamaEngine engine = TinyModel.Instance.CreateEngine(options, TimeProvider.System);
        using LlamaEngine alone = TinyModel.Instance.CreateEngine(options, TimeProvider.System);
        Neighbour neighbour = new(engine, new SequenceId(0), TinyPrompt(1, 40));
        Import(engine, new SequenceId(1), Chunk(new KvRange(0, 20)));
        KvExported bad = kind switch
        {
            "gap" => Chunk(new KvRange(21, 30)),
            "again" => Chunk(new KvRange(0, 20)),
            "empty" => Chunk(new KvRange(20, 20)),
            "short" => Chunk(new KvRange(20, 30), -1),
            "long" => Chunk(new KvRange(20, 30), 1),
            "nan" => Poisoned(new KvRange(20, 30), 0, 0x7E00),
            "infinity" => Poisoned(new KvRange(20, 30), 100, 0xFC00),
            "late nan" => Poisoned(new KvRange(20, 30), -2, 0x7C01),
            "beyond the context" => Chunk(new KvRange(20, 201)),
            _ => Chunk(new KvRange(20, 240)),
        };

        StepPlan plan = new();
        StepResult result = new();
        plan.Imports.Add(new KvImport(new SequenceId(1), Room, bad.Range, bad.Payload));
        engine.Execute(plan, result);

        SequenceFailure failure = Assert.Single(result.Failures);
        Assert.Equal(kind == "too many cells" ? FailureReason.OutOfCells : FailureReason.TransferCorrupt, failure.Reason);
        Assert.Contains(Room.ToString(), failure.Message, StringComparison.Ordinal);
        Assert.Throws<System.Diagnostics.UnreachableException>(() => bad.Payload.Dispose());
        for (int step = 0; step < 8; step++) neighbour.Step();
        Assert.Equal(neighbour.Undisturbed(alone), neighbour.Output);
        // What had arrived before is still there, and the right continuation is still welcome.
        Import(engine, new SequenceId(1), Chunk(new KvRange(20, 30)));
    }

    [Fact]
    public void Huge_but_finite_cells_spoil_only_their_own_sequence()
    {
        using LlamaEngine engine = TinyModel.Instance.CreateEngine(Options, TimeProvider.System);
        using LlamaEngine alone = TinyModel.Instance.CreateEngine(Options, TimeProvider.System);
        Neighbour neighbour = new(engine, new SequenceId(0), TinyPrompt(1, 40));
        KvExported huge = Chunk(new KvRange(0, 64));
        System.Runtime.InteropServices.MemoryMarshal.Cast<byte, Half>(huge.Payload.Span).Fill(Half.MaxValue);
        Import(engine, new SequenceId(1), huge);
        Open(engine, new SequenceId(1), TinyPrompt(2, 64), SamplingOptions.Greedy, first: 5);
        StepPlan plan = new();
        StepResult result = new();

        plan.Rows.Add(new DecodeRow(new SequenceId(1), 5, 64));
        plan.Rows.Add(neighbour.NextRow());
        engine.Execute(plan, result);

        SequenceFailure failure = Assert.Single(result.Failures);
        Assert.Equal((new SequenceId(1), FailureReason.EngineError), (failure.Sequence, failure.Reason));
        Assert.Contains("not finite", failure.Message, StringComparison.Ordinal);
        neighbour.Take(Assert.Single(result.Samples));
        Assert.Equal(neighbour.Undisturbed(alone), neighbour.Output);
    }

    [Theory]
    [InlineData("root ::= \"ab\"", 'b', "grammar")]
    [InlineData(null, 320, "vocabulary")]
    public void A_first_token_that_cannot_be_is_refused(string? grammar, int first, string reason)
    {
        using LlamaEngine engine = TinyModel.Instance.CreateEngine(Options, TimeProvider.System);
        StepPlan plan = new();
        StepResult result = new();
        int token = first < 256 ? TinyModel.Instance.Tokenize(((char)first).ToString(), parseSpecial: false)[0] : first;

        plan.Opening.Add(new SequenceStart(new SequenceId(0), SamplingOptions.Greedy with { Grammar = grammar }, TinyPrompt(1, 4), new[] { token }));
        engine.Execute(plan, result);

        SequenceFailure failure = Assert.Single(result.Failures);
        Assert.Equal(FailureReason.TransferCorrupt, failure.Reason);
        Assert.Contains(reason, failure.Message, StringComparison.Ordinal);
    }

    private static int[] TinyPrompt(int seed, int tokens) => TinyModel.Prompt(seed, tokens);

    private static byte[] Export(LlamaEngine engine, KvRange range)
    {
        StepPlan plan = new();
        StepResult result = new();
        plan.Exports.Add(new KvExport(new SequenceId(0), Room, range));
        EngineDriver.Run(engine, plan, result);
        using KvBuffer payload = Assert.Single(result.Exported).Payload;
        return payload.Span.ToArray();
    }

    /// <summary>Zeros: finite, and as good as anything where nobody attends to it.</summary>
    private static KvExported Chunk(KvRange range, int extraBytes = 0)
    {
        KvBuffer payload = extraBytes == 0 ? KvBuffer.Rent(TinyLayout, range.TokenCount) : KvBuffer.Rent((int)TinyLayout.PayloadBytes(range.TokenCount) + extraBytes);
        payload.Span.Clear();
        return new KvExported(new SequenceId(1), Room, range, payload);
    }

    private static KvExported Poisoned(KvRange range, int at, ushort value)
    {
        KvExported chunk = Chunk(range);
        Span<byte> cell = at >= 0 ? chunk.Payload.Span[at..] : chunk.Payload.Span[^2..];
        System.Buffers.Binary.BinaryPrimitives.WriteUInt16LittleEndian(cell, value);
        return chunk;
    }

    private static readonly KvLayout TinyLayout = new([64, 64, 64], [64, 64, 64], KeyType: 1, ValueType: 1);

    private static (SampledToken First, List<KvExported> Chunks) PrefillAndExport(LlamaEngine engine, SequenceId id, int[] prompt, SamplingOptions sampling)
    {
        StepPlan plan = new();
        StepResult result = new();
        List<KvExported> chunks = [];
        plan.Opening.Add(new SequenceStart(id, sampling, prompt, default));
        for (int start = 0; start < prompt.Length; start += EngineDriver.ChunkTokens)
        {
            int count = Math.Min(EngineDriver.ChunkTokens, prompt.Length - start);
            plan.Chunks.Add(new PrefillChunk(id, prompt.AsMemory(start, count), start, start + count == prompt.Length));
            plan.Exports.Add(new KvExport(id, Room, new KvRange(start, start + count)));
            EngineDriver.Run(engine, plan, result);
            chunks.AddRange(result.Exported);
            plan.Clear();
        }
        return (Assert.Single(result.Samples), chunks);
    }

    private static void Import(LlamaEngine engine, SequenceId id, KvExported chunk)
    {
        StepPlan plan = new();
        plan.Imports.Add(new KvImport(id, Room, chunk.Range, chunk.Payload));
        EngineDriver.Run(engine, plan, new StepResult());
    }

    private static void Open(LlamaEngine engine, SequenceId id, int[] prompt, SamplingOptions sampling, int first)
    {
        StepPlan plan = new();
        plan.Opening.Add(new SequenceStart(id, sampling, prompt, new[] { first }));
        EngineDriver.Run(engine, plan, new StepResult());
    }

    /// <summary>A greedy sequence that must not notice what happens beside it.</summary>
    private sealed class Neighbour
    {
        private readonly LlamaEngine _engine;
        private readonly SequenceId _id;
        private readonly int[] _prompt;

        internal Neighbour(LlamaEngine engine, SequenceId id, int[] prompt)
        {
            (_engine, _id, _prompt) = (engine, id, prompt);
            Take(EngineDriver.Prefill(engine, id, prompt, SamplingOptions.Greedy));
        }

        internal List<int> Output { get; } = [];

        internal DecodeRow NextRow() => new(_id, Output[^1], _prompt.Length + Output.Count - 1);

        internal void Take(SampledToken token) => Output.Add(token.TokenId);

        internal void Step()
        {
            StepPlan plan = new();
            StepResult result = new();
            plan.Rows.Add(NextRow());
            EngineDriver.Run(_engine, plan, result);
            Take(Assert.Single(result.Samples));
        }

        /// <summary>What it would have said in an engine of its own.</summary>
        internal List<int> Undisturbed(LlamaEngine alone)
        {
            Neighbour twin = new(alone, new SequenceId(1), _prompt);
            while (twin.Output.Count < Output.Count) twin.Step();
            return twin.Output;
        }
    }
}
