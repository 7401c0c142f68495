using Baton.Core.Engine;
using Baton.Core.Engine.Simulated;
using Baton.Core.Failures;
using Baton.Core.Ids;
using Baton.Core.Requests;
using Baton.Scheduling.Tests.Support;
using Baton.Scheduling.Unified;
using Baton.Testing;

namespace Baton.Scheduling.Tests;

public sealed class UnifiedRankTests
{
    private static readonly SimulatedEngineOptions Small = new()
    {
        CellCount = 256,
        ContextTokens = 256,
        MaxSequences = 4,
        MaxBatchTokens = 64,
        VocabSize = 2000,
        Cost = new CostModel { FixedMs = 1, PromptTokenMs = 0.5 },
    };

    private static readonly SchedulerOptions Options = new() { ChunkedPrefillSize = 16, ReservedDecodeTokens = 8 };

    [Fact]
    public void A_request_gets_the_tokens_it_asked_for_and_ends_by_length()
    {
        (UnifiedRank rank, ProbeEngine engine, Crank crank) = Make();
        (GenerationRequest request, RecordingSink sink) = TestRequest.Of("a", promptTokens: 40, maxNewTokens: 5);

        Assert.Null(rank.Inbox.TrySubmit(request));
        crank.Run();

        Assert.Equal(5, sink.Tokens.Count);
        Assert.Equal(FinishKind.Length, sink.End!.Kind);
        Assert.Equal((40, 5), (sink.End.PromptTokens, sink.End.CompletionTokens));
        AssertEmpty(rank, engine);
    }

    [Fact]
    public void Chunks_end_at_multiples_of_the_chunk_size_whatever_else_is_in_the_batch()
    {
        (UnifiedRank rank, ProbeEngine engine, Crank crank) = Make();
        Dictionary<int, List<(int, int)>> chunks = [];
        engine.Seen = plan =>
        {
            foreach (PrefillChunk chunk in plan.Chunks)
            {
                if (!chunks.TryGetValue(chunk.Tokens.Span[0], out _)) chunks[chunk.Tokens.Span[0]] = [];
                chunks[chunk.Tokens.Span[0]].Add((chunk.StartPosition, chunk.Range.End));
            }
        };
        Submit(rank, "a", 40, 20);
        Submit(rank, "b", 3, 20);
        Submit(rank, "c", 33, 20);

        crank.Run();

        IEnumerable<(int Start, int End)> cuts = chunks.Values.SelectMany(c => c);
        Assert.Equal([(0, 3), (0, 16), (0, 16), (16, 32), (16, 32), (32, 33), (32, 40)], cuts.Order());
    }

    [Fact]
    public void Running_sequences_get_their_row_in_every_step_while_a_long_prompt_comes_in()
    {
        (UnifiedRank rank, ProbeEngine engine, Crank crank) = Make();
        Submit(rank, "short", 4, 30);
        crank.Turn();
        List<(int Rows, int Chunks)> steps = [];
        engine.Seen = plan => steps.Add((plan.Rows.Count, plan.Chunks.Count));
        Submit(rank, "long", 100, 2);

        for (int i = 0; i < 7; i++) crank.Turn();

        Assert.All(steps, step => Assert.Equal((1, 1), step));
    }

    [Fact]
    public void A_step_computes_no_more_than_its_budget_and_a_chunk_whole_or_not_at_all()
    {
        SchedulerOptions options = Options with { StepTokenBudget = 20 };
        (UnifiedRank rank, ProbeEngine engine, Crank crank) = Make(options: options);
        int most = 0;
        engine.Seen = plan => most = Math.Max(most, plan.BatchTokens);
        for (int i = 0; i < 4; i++) Submit(rank, $"r{i}", 30, 3);

        crank.Run();

        Assert.InRange(most, 16, 20);
    }

    [Fact]
    public void A_budget_without_room_for_a_chunk_beside_all_rows_is_refused_at_start()
    {
        ArgumentException problem = Assert.Throws<ArgumentException>(() => Make(options: Options with { StepTokenBudget = 19 }));

        Assert.Contains("--chunked-prefill-size", problem.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Waiting_requests_start_by_priority_and_then_in_order_of_arrival()
    {
        (UnifiedRank rank, _, Crank crank) = Make(options: Options with { MaxRunningRequests = 1 });
        List<string> ended = [];
        foreach ((string id, int priority) in new[] { ("a", 0), ("b", 0), ("c", 5), ("d", 5) })
        {
            (GenerationRequest request, _) = TestRequest.Of(id, 8, 2, priority);
            Assert.Null(rank.Inbox.TrySubmit(request with { Sink = new RecordingSink { Ended = _ => ended.Add(id) } }));
        }

        crank.Run();

        Assert.Equal(["c", "d", "a", "b"], ended);
    }

    [Fact]
    public void A_prompt_that_can_never_fit_is_refused_and_the_longest_that_can_is_served()
    {
        (UnifiedRank rank, ProbeEngine engine, Crank crank) = Make();
        RecordingSink tooLong = Submit(rank, "too-long", 256, 1), fits = Submit(rank, "fits", 255, 100);

        crank.Run();

        Assert.Equal(FailureReason.PromptTooLong, tooLong.End!.Failure!.Reason);
        Assert.Equal((FinishKind.Length, 1), (fits.End!.Kind, fits.End.CompletionTokens));
        AssertEmpty(rank, engine);
    }

    [Fact]
    public void Without_new_tokens_the_prompt_is_computed_for_its_log_probabilities_alone()
    {
        (UnifiedRank rank, ProbeEngine engine, Crank crank) = Make();
        (GenerationRequest request, RecordingSink sink) = TestRequest.Of("a", 40, 0, sampling: SamplingOptions.Greedy with { InputLogprobStart = 10 });

        rank.Inbox.TrySubmit(request);
        crank.Run();

        Assert.Empty(sink.Tokens);
        Assert.Equal(30, sink.End!.InputLogprobs!.Count);
        Assert.Equal(request.PromptTokens.Span[10], sink.End.InputLogprobs[0].TokenId);
        AssertEmpty(rank, engine);
    }

    [Fact]
    public void When_the_cells_run_out_the_newest_gives_way_and_every_answer_stays_the_same()
    {
        SchedulerOptions options = Options with { ReservedDecodeTokens = 1 };
        int[][] alone = [.. Enumerable.Range(0, 4).Select(i => Alone($"r{i}", 40, 60))];
        (UnifiedRank rank, ProbeEngine engine, Crank crank) = Make(options: options);
        List<string> ended = [];
        RecordingSink[] sinks = new RecordingSink[4];
        for (int i = 0; i < 4; i++)
        {
            string id = $"r{i}";
            (GenerationRequest request, _) = TestRequest.Of(id, 40, 60);
            sinks[i] = new RecordingSink { Ended = _ => ended.Add(id) };
            rank.Inbox.TrySubmit(request with { Sink = sinks[i] });
        }
        int reopened = 0;
        engine.Seen = plan => reopened += plan.Opening.Count(start => start.GeneratedTokens.Length > 0);

        crank.Run();

        Assert.True(reopened > 0, "Nothing was retracted: the test proves nothing.");
        Assert.Equal("r0", ended[0]);
        for (int i = 0; i < 4; i++) Assert.Equal(alone[i], sinks[i].Tokens);
        AssertEmpty(rank, engine);
    }

    [Fact]
    public void A_sequence_that_fills_the_rank_alone_ends_by_length_and_not_by_dead_lock()
    {
        (UnifiedRank rank, ProbeEngine engine, Crank crank) = Make(options: Options with { ReservedDecodeTokens = 1 });
        RecordingSink first = Submit(rank, "a", 100, 10_000), second = Submit(rank, "b", 100, 10_000);

        crank.Run();

        Assert.Equal((156, 156), (first.Tokens.Count, second.Tokens.Count));
        AssertEmpty(rank, engine);
    }

    [Fact]
    public void The_first_in_line_is_not_overtaken_when_only_a_smaller_prompt_would_fit()
    {
        (UnifiedRank rank, _, Crank crank) = Make();
        List<string> ended = [];
        foreach ((string id, int prompt, int output) in new[] { ("running", 150, 50), ("big", 200, 1), ("small", 4, 1) })
        {
            (GenerationRequest request, _) = TestRequest.Of(id, prompt, output);
            rank.Inbox.TrySubmit(request with { Sink = new RecordingSink { Ended = _ => ended.Add(id) } });
        }

        crank.Run();

        Assert.Equal("running", ended[0]);
        Assert.True(ended.IndexOf("small") > ended.IndexOf("running"));
    }

    [Theory]
    [InlineData(59_999, false)]
    [InlineData(60_000, true)]
    public void A_request_that_waits_for_cells_past_its_deadline_fails(int milliseconds, bool fails)
    {
        SchedulerOptions options = Options with { QueueTimeout = TimeSpan.FromSeconds(60), MaxRunningRequests = 1 };
        (UnifiedRank rank, ProbeEngine engine, Crank crank) = Make(options: options);
        Submit(rank, "running", 8, 200);
        crank.Turn();
        crank.Now = TimeSpan.Zero;
        RecordingSink waiting = Submit(rank, "waiting", 8, 1);
        crank.Turn();
        crank.Now = TimeSpan.FromMilliseconds(milliseconds);

        crank.Turn();

        Assert.Equal(fails, waiting.End is not null);
        if (fails) Assert.Equal(FailureReason.OutOfCells, waiting.End!.Failure!.Reason);
        Assert.Equal(1, engine.OpenSequences);
    }

    [Fact]
    public void A_request_is_refused_when_the_rank_is_full_and_its_place_comes_back()
    {
        (UnifiedRank rank, _, Crank crank) = Make(options: Options with { MaxQueuedRequests = 1, MaxRunningRequests = 1 });
        Submit(rank, "a", 4, 1);
        Submit(rank, "b", 4, 1);

        RequestFailure? refused = rank.Inbox.TrySubmit(TestRequest.Of("c", 4).Request);
        crank.Run();

        Assert.Equal(FailureReason.QueueFull, refused!.Reason);
        Assert.Null(rank.Inbox.TrySubmit(TestRequest.Of("c", 4).Request));
    }

    [Fact]
    public void Two_live_requests_cannot_share_an_id()
    {
        (UnifiedRank rank, _, _) = Make();
        Submit(rank, "a", 4, 1);

        RequestFailure? refused = rank.Inbox.TrySubmit(TestRequest.Of("a", 4).Request);

        Assert.Equal(FailureReason.InvalidRequest, refused!.Reason);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(6)]
    public void An_abort_at_any_stage_ends_the_request_and_returns_its_cells(int turns)
    {
        (UnifiedRank rank, ProbeEngine engine, Crank crank) = Make();
        RecordingSink sink = Submit(rank, "a", 40, 30);
        for (int i = 0; i < turns; i++) crank.Turn();

        Assert.True(rank.Inbox.Abort(new RequestId("a"), RequestFailure.Of(FailureReason.Aborted, "Client went away.")));
        Assert.False(rank.Inbox.Abort(new RequestId("a"), RequestFailure.Of(FailureReason.Aborted, "Twice.")));
        crank.Run();

        Assert.Equal(FailureReason.Aborted, sink.End!.Failure!.Reason);
        AssertEmpty(rank, engine);
    }

    [Fact]
    public void A_stop_token_ends_the_answer_unless_ignore_eos_or_min_new_tokens_say_otherwise()
    {
        int[] free = Alone("a", 10, 12);
        int stop = free[5];
        int firstAt = Array.IndexOf(free, stop);

        int stopped = Run(new SamplingOptions { Temperature = 0, StopTokenIds = [stop] }).CompletionTokens;
        int ignored = Run(new SamplingOptions { Temperature = 0, StopTokenIds = [stop], IgnoreEos = true }).CompletionTokens;
        int later = Run(new SamplingOptions { Temperature = 0, StopTokenIds = [stop], MinNewTokens = firstAt + 2 }).CompletionTokens;

        Assert.Equal(firstAt + 1, stopped);
        Assert.Equal(12, ignored);
        Assert.True(later > stopped);

        static GenerationEnd Run(SamplingOptions sampling)
        {
            (UnifiedRank rank, _, Crank crank) = Make();
            (GenerationRequest request, RecordingSink sink) = TestRequest.Of("a", 10, 12, sampling: sampling);
            rank.Inbox.TrySubmit(request);
            crank.Run();
            return sink.End!;
        }
    }

    [Fact]
    public void The_models_own_end_token_ends_the_answer_and_is_named()
    {
        (UnifiedRank rank, ProbeEngine engine, Crank crank) = Make(Small with { EndProbability = 1, EndToken = 7 });
        RecordingSink sink = Submit(rank, "a", 10, 12);

        crank.Run();

        Assert.Equal((FinishKind.Stop, 7, 1), (sink.End!.Kind, sink.End.StopTokenId, sink.End.CompletionTokens));
        AssertEmpty(rank, engine);
    }

    [Fact]
    public void A_sequence_that_the_engine_fails_ends_alone()
    {
        (UnifiedRank rank, ProbeEngine engine, Crank crank) = Make();
        RecordingSink bad = Submit(rank, "bad", 10, 12), good = Submit(rank, "good", 10, 12);
        crank.Turn();
        engine.After = (plan, result) =>
        {
            SequenceId first = plan.Rows[0].Sequence;
            result.Samples.RemoveAll(sample => sample.Sequence == first);
            result.Failures.Add(new SequenceFailure(first, FailureReason.EngineError, "The logits are NaN."));
            engine.After = null;
        };

        crank.Run();

        Assert.Equal(FailureReason.EngineError, bad.End!.Failure!.Reason);
        Assert.Equal(12, good.Tokens.Count);
        AssertEmpty(rank, engine);
    }

    [Fact]
    public void A_broken_engine_ends_every_request_and_closes_the_door()
    {
        (UnifiedRank rank, ProbeEngine engine, Crank crank) = Make();
        RecordingSink running = Submit(rank, "running", 10, 12), waiting = Submit(rank, "waiting", 10, 12);
        crank.Turn();
        engine.Break = new EngineException("ggml said no.");

        bool executed = crank.Turn();

        Assert.False(executed);
        Assert.All([running, waiting], sink => Assert.Equal(FailureReason.EngineError, sink.End!.Failure!.Reason));
        Assert.Equal(FailureReason.EngineError, rank.Fault!.Reason);
        Assert.Equal(FailureReason.EngineError, rank.Inbox.TrySubmit(TestRequest.Of("late", 4).Request)!.Reason);
        Assert.False(rank.Load.IsAvailable);
    }

    [Fact]
    public void An_interrupted_step_ends_every_request_as_shutting_down()
    {
        (UnifiedRank rank, ProbeEngine engine, Crank crank) = Make();
        RecordingSink sink = Submit(rank, "a", 40, 12);
        crank.Turn();

        engine.Interrupt();
        crank.Run();

        Assert.Equal(FailureReason.ShuttingDown, sink.End!.Failure!.Reason);
        AssertEmpty(rank, engine);
    }

    [Fact]
    public void A_draining_rank_takes_nothing_new_and_finishes_what_it_has()
    {
        (UnifiedRank rank, _, Crank crank) = Make();
        RecordingSink sink = Submit(rank, "a", 40, 12);

        rank.Inbox.Drain();
        crank.Run();

        Assert.Equal(12, sink.Tokens.Count);
        Assert.Equal(FailureReason.ShuttingDown, rank.Inbox.TrySubmit(TestRequest.Of("b", 4).Request)!.Reason);
    }

    [Fact]
    public void Stop_ends_all_requests_with_its_reason()
    {
        (UnifiedRank rank, ProbeEngine engine, Crank crank) = Make();
        RecordingSink a = Submit(rank, "a", 40, 12), b = Submit(rank, "b", 40, 12);
        crank.Turn();

        rank.Inbox.Stop(RequestFailure.Of(FailureReason.ShuttingDown, "SIGTERM."));
        crank.Run();

        Assert.All([a, b], sink => Assert.Equal(FailureReason.ShuttingDown, sink.End!.Failure!.Reason));
        AssertEmpty(rank, engine);
    }

    [Fact]
    public void The_load_snapshot_counts_what_runs_and_waits()
    {
        (UnifiedRank rank, _, Crank crank) = Make(options: Options with { MaxRunningRequests = 1 });
        Submit(rank, "a", 20, 12);
        Submit(rank, "b", 30, 12);

        crank.Turn();

        Assert.Equal((1, 1, 50), (rank.Load.RunningRequests, rank.Load.WaitingRequests, rank.Load.TotalTokens));
        Assert.Equal(50 - 16, rank.Load.UncomputedPromptTokens);
        Assert.Equal(28, rank.Load.UsedCells);
        crank.Run();
        Assert.Equal((0, 0, 0), (rank.Load.UncomputedPromptTokens, rank.Load.UsedCells, rank.Load.TotalTokens));
    }

    [Fact]
    public void A_steady_step_allocates_nothing()
    {
        (UnifiedRank rank, _, Crank crank) = Make(Small with { CellCount = 4096, ContextTokens = 1024 });
        for (int i = 0; i < 3; i++)
        {
            (GenerationRequest request, _) = TestRequest.Of($"r{i}", 8, 900);
            rank.Inbox.TrySubmit(request with { Sink = new RecordingSink { KeepTokens = false } });
        }
        Submit(rank, "long", 1000, 4);
        for (int i = 0; i < 600; i++) crank.Turn(); // grows every list, and the engine's
        Submit(rank, "as long", 1000, 4);
        crank.Turn();

        long allocated = Allocations.PerWindow(() =>
        {
            for (int i = 0; i < 10; i++) crank.Turn();
        });

        Assert.Equal(0, allocated);
    }

    private static (UnifiedRank, ProbeEngine, Crank) Make(SimulatedEngineOptions? engineOptions = null, SchedulerOptions? options = null)
    {
        ProbeEngine engine = new(engineOptions ?? Small);
        UnifiedRank rank = new(DpRank.Zero, engine, options ?? Options);
        return (rank, engine, new Crank(rank));
    }

    private static RecordingSink Submit(UnifiedRank rank, string id, int promptTokens, int maxNewTokens)
    {
        (GenerationRequest request, RecordingSink sink) = TestRequest.Of(id, promptTokens, maxNewTokens);
        Assert.Null(rank.Inbox.TrySubmit(request));
        return sink;
    }

    private static int[] Alone(string id, int promptTokens, int maxNewTokens)
    {
        (UnifiedRank rank, _, Crank crank) = Make();
        RecordingSink sink = Submit(rank, id, promptTokens, maxNewTokens);
        crank.Run();
        return [.. sink.Tokens];
    }

    private static void AssertEmpty(UnifiedRank rank, ProbeEngine engine)
    {
        Assert.Equal((0, 0, 0L, 0L), (engine.UsedCells, engine.OpenSequences, rank.Inbox.LiveRequests, rank.Inbox.UncomputedPromptTokens));
        Assert.Equal((0, 0L), (rank.Load.UsedCells, rank.Inbox.LivePromptTokens));
    }
}
