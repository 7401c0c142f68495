using Baton.Core.Engine;
using Baton.Core.Failures;
using Baton.Core.Ids;
using Baton.Core.Kv;
using Baton.Core.Requests;
using Baton.LlamaCpp.Engine;
using Baton.Testing;

namespace Baton.LlamaCpp.Tests.Engine;

/// <summary>What llama.cpp answers with an assertion, or with -1 for the whole batch, fails one sequence here.</summary>
public sealed class EngineCheckTests : IDisposable
{
    private readonly LlamaEngine _engine = TinyModel.Instance.CreateEngine(
        new LlamaEngineOptions { MaxSequences = 4, CellCount = 256, ContextTokens = 200, MaxBatchTokens = 64 }, TimeProvider.System);
    private readonly StepPlan _plan = new();
    private readonly StepResult _result = new();

    [Theory]
    [InlineData(320, 32, FailureReason.InvalidRequest)]
    [InlineData(-1, 32, FailureReason.InvalidRequest)]
    [InlineData(1, 31, FailureReason.InternalError)]
    [InlineData(1, 33, FailureReason.InternalError)]
    [InlineData(1, -1, FailureReason.InternalError)]
    public void A_bad_row_fails_alone(int token, int position, FailureReason reason)
    {
        Start(0, 32);
        SampledToken good = Start(1, 20);

        _plan.Rows.Add(new DecodeRow(new SequenceId(0), token, position));
        _plan.Rows.Add(new DecodeRow(new SequenceId(1), good.TokenId, 20));
        _engine.Execute(_plan, _result);

        Assert.Equal((new SequenceId(0), reason), (Assert.Single(_result.Failures).Sequence, _result.Failures[0].Reason));
        Assert.Equal(new SequenceId(1), Assert.Single(_result.Samples).Sequence);
    }

    [Fact]
    public void A_chunk_that_does_not_fit_the_batch_fails_and_the_next_one_runs()
    {
        Open(0, 65);
        Open(1, 64);

        _plan.Chunks.Add(new PrefillChunk(new SequenceId(0), TinyModel.Prompt(0, 65), 0, true));
        _plan.Chunks.Add(new PrefillChunk(new SequenceId(1), TinyModel.Prompt(1, 64), 0, true));
        _engine.Execute(_plan, _result);

        Assert.Equal((new SequenceId(0), FailureReason.InternalError), (Assert.Single(_result.Failures).Sequence, _result.Failures[0].Reason));
        Assert.Equal(new SequenceId(1), Assert.Single(_result.Samples).Sequence);
    }

    [Fact]
    public void A_sequence_ends_at_the_context_length()
    {
        int[] prompt = TinyModel.Prompt(4, 200);
        SampledToken last = EngineDriver.Prefill64(_engine, new SequenceId(0), prompt, SamplingOptions.Greedy);

        _plan.Rows.Add(new DecodeRow(new SequenceId(0), last.TokenId, 200));
        _engine.Execute(_plan, _result);

        Assert.Equal(FailureReason.PromptTooLong, Assert.Single(_result.Failures).Reason);
    }

    [Fact]
    public void Cells_that_are_not_there_fail_the_sequence_that_asks_for_them()
    {
        EngineDriver.Prefill64(_engine, new SequenceId(0), TinyModel.Prompt(4, 200), SamplingOptions.Greedy);
        Open(1, 57);

        _plan.Chunks.Add(new PrefillChunk(new SequenceId(1), TinyModel.Prompt(1, 57), 0, true));
        _engine.Execute(_plan, _result);

        Assert.Equal(FailureReason.OutOfCells, Assert.Single(_result.Failures).Reason);
    }

    [Fact]
    public void Every_cell_comes_back_when_sequences_close()
    {
        for (int round = 0; round < 5; round++)
        {
            // 200 + 56 cells: all of them, so a cell lost in one round is missed in the next.
            EngineDriver.Prefill64(_engine, new SequenceId(round % 4), TinyModel.Prompt(round, 200), SamplingOptions.Greedy);
            EngineDriver.Prefill64(_engine, new SequenceId((round + 1) % 4), TinyModel.Prompt(round, 56), SamplingOptions.Greedy);
            EngineDriver.Close(_engine, new SequenceId(round % 4));
            EngineDriver.Close(_engine, new SequenceId((round + 1) % 4));
        }
    }

    [Fact]
    public void Drawing_for_a_sequence_that_was_not_opened_fails_it()
    {
        _plan.Chunks.Add(new PrefillChunk(new SequenceId(0), TinyModel.Prompt(0, 8), 0, true));
        _engine.Execute(_plan, _result);

        Assert.Equal(FailureReason.InternalError, Assert.Single(_result.Failures).Reason);
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(4)]
    [InlineData(256)]
    public void A_slot_that_is_not_there_never_reaches_the_library(int slot)
    {
        _plan.Closing.Add(new SequenceId(slot));

        Assert.Throws<EngineException>(() => _engine.Execute(_plan, _result));
    }

    [Theory]
    [InlineData(-1, 5)]
    [InlineData(5, 5)]
    [InlineData(0, 33)]
    public void An_export_of_positions_that_are_not_there_fails_its_sequence(int start, int end)
    {
        Start(0, 32);

        _plan.Exports.Add(new KvExport(new SequenceId(0), new BootstrapRoom(1), new KvRange(start, end)));
        _engine.Execute(_plan, _result);

        Assert.Equal(FailureReason.InternalError, Assert.Single(_result.Failures).Reason);
        Assert.Empty(_result.Exported);
    }

    [Fact]
    public void An_interrupted_step_computes_nothing_and_can_be_done_again()
    {
        Open(0, 40);
        int[] prompt = TinyModel.Prompt(0, 40);
        _plan.Chunks.Add(new PrefillChunk(new SequenceId(0), prompt, 0, true));
        _plan.Exports.Add(new KvExport(new SequenceId(0), new BootstrapRoom(1), new KvRange(0, 40)));

        _engine.Interrupt();
        _engine.Execute(_plan, _result);
        bool wasInterrupted = _result.WasInterrupted;
        int samplesThen = _result.Samples.Count, exportsThen = _result.Exported.Count;
        _engine.Execute(_plan, _result);

        Assert.True(wasInterrupted);
        Assert.Equal((0, 0), (samplesThen, exportsThen));
        Assert.False(_result.WasInterrupted);
        SampledToken again = Assert.Single(_result.Samples);
        using LlamaEngine fresh = TinyModel.Instance.CreateEngine(new LlamaEngineOptions { MaxSequences = 1 }, TimeProvider.System);
        Assert.Equal(EngineDriver.Prefill(fresh, new SequenceId(0), prompt, SamplingOptions.Greedy).TokenId, again.TokenId);
        Assert.Single(_result.Exported).Payload.Dispose();
    }

    [Fact]
    public void Two_engines_of_one_model_run_on_two_threads_as_they_do_alone()
    {
        int[] prompt = TinyModel.Prompt(9, 100);
        SamplingOptions sampling = SamplingOptions.Greedy with { MaxNewTokens = 50 };
        int[] Run()
        {
            using LlamaEngine engine = TinyModel.Instance.CreateEngine(new LlamaEngineOptions { MaxSequences = 1 }, TimeProvider.System);
            return [.. EngineDriver.Generate(engine, new SequenceId(0), prompt, sampling).Select(token => token.TokenId)];
        }
        int[] alone = Run();
        int[][] together = new int[2][];
        Thread[] threads = [.. Enumerable.Range(0, 2).Select(index => new Thread(() => together[index] = Run()))];

        foreach (Thread thread in threads) thread.Start();
        foreach (Thread thread in threads) thread.Join();

        Assert.Equal([alone, alone], together);
    }

    [Fact]
    public void A_steady_decode_step_allocates_nothing()
    {
        SampledToken[] last = [.. Enumerable.Range(0, 4).Select(id => Start(id, 30))];
        void Step(int count)
        {
            for (int step = 0; step < count; step++)
            {
                _plan.Clear();
                for (int id = 0; id < 4; id++) _plan.Rows.Add(new DecodeRow(new SequenceId(id), last[id].TokenId, _position));
                _engine.Execute(_plan, _result);
                for (int id = 0; id < 4; id++) last[id] = _result.Samples[id];
                _position++;
            }
        }
        _position = 30;
        Step(10);

        Assert.Equal(0, Allocations.PerWindow(() => Step(3)));
    }

    private int _position;

    public void Dispose() => _engine.Dispose();

    private void Open(int id, int promptTokens)
    {
        StepPlan plan = new();
        plan.Opening.Add(new SequenceStart(new SequenceId(id), SamplingOptions.Greedy, TinyModel.Prompt(id, promptTokens), default));
        EngineDriver.Run(_engine, plan, new StepResult());
    }

    private SampledToken Start(int id, int promptTokens) => EngineDriver.Prefill64(_engine, new SequenceId(id), TinyModel.Prompt(id, promptTokens), SamplingOptions.Greedy);
}
