using Baton.Core.Engine;
using Baton.Core.Engine.Simulated;
using Baton.Core.Failures;
using Baton.Core.Handover;
using Baton.Core.Ids;
using Baton.Core.Requests;
using Baton.Scheduling.Decode;
using Baton.Scheduling.Tests.Support;
using Baton.Scheduling.Unified;
using Baton.Testing;

namespace Baton.Scheduling.Tests;

public sealed class DecodeRankTests
{
    private static readonly SimulatedEngineOptions Small = new()
    {
        CellCount = 256,
        ContextTokens = 256,
        MaxSequences = 4,
        MaxBatchTokens = 64,
        VocabSize = 2000,
    };

    private static readonly SchedulerOptions Options = new() { ChunkedPrefillSize = 16, ReservedDecodeTokens = 8 };

    [Fact]
    public void A_request_is_resolved_reserved_claimed_imported_and_decoded()
    {
        using Setup setup = new();
        (HandedOver kv, int[] expected) = Computed("a", 40, 6);
        RecordingSink sink = setup.Submit("a", 40, 6, room: 7);
        setup.Crank.Run();
        Assert.Empty(setup.Receiver.Claims);

        setup.Resolver.Answer(7, rank: 3);
        setup.Crank.Run();
        Assert.Equal((3, 40), (Assert.Single(setup.Receiver.Claims).Endpoint.Rank.Value, setup.Receiver.Claims[0].PromptTokens));
        setup.Give(7, kv);
        setup.Crank.Run();

        Assert.Equal(expected, sink.Tokens);
        Assert.Single(setup.Receiver.Acknowledged);
        Assert.Equal((new DpRank(3), RankSource.Query), (sink.End!.PrefillDpRank, sink.End.RankSource));
        Assert.Equal((FinishKind.Length, 40 * 16), (sink.End.Kind, sink.End.HandoverBytes));
        setup.AssertEmpty();
    }

    [Fact]
    public void The_seed_of_the_prefill_leg_goes_on()
    {
        SamplingOptions sampled = new() { Seed = 42 };
        (HandedOver kv, int[] expected) = Computed("a", 40, 6, sampled);
        using Setup setup = new(answerAtOnce: 0);

        RecordingSink sink = setup.Submit("a", 40, 6, room: 7, sampled with { Seed = 1 });
        setup.Crank.Run();
        setup.Give(7, kv);
        setup.Crank.Run();

        Assert.Equal(expected, sink.Tokens);
    }

    [Fact]
    public void A_first_token_that_ends_the_answer_is_the_whole_answer()
    {
        (HandedOver kv, _) = Computed("a", 40, 1);
        using Setup setup = new(answerAtOnce: 0);
        RecordingSink ends = setup.Submit("a", 40, 6, room: 7), ignores = setup.Submit("b", 40, 6, room: 8, new SamplingOptions { IgnoreEos = true });
        setup.Crank.Run();

        setup.Give(7, kv with { First = kv.First with { IsEndOfGeneration = true } });
        setup.Give(8, kv with { First = kv.First with { IsEndOfGeneration = true } });
        setup.Crank.Run();

        Assert.Equal((FinishKind.Stop, 1, kv.First.Token.TokenId), (ends.End!.Kind, ends.Tokens.Count, ends.End.StopTokenId));
        Assert.Equal(6, ignores.Tokens.Count);
        setup.AssertEmpty();
    }

    [Fact]
    public void The_first_token_counts_toward_max_new_tokens()
    {
        (HandedOver kv, _) = Computed("a", 40, 1);
        using Setup setup = new(answerAtOnce: 0);
        RecordingSink sink = setup.Submit("a", 40, 1, room: 7);
        setup.Crank.Run();

        setup.Give(7, kv);
        setup.Crank.Run();

        Assert.Equal((FinishKind.Length, 1), (sink.End!.Kind, sink.End.CompletionTokens));
        setup.AssertEmpty();
    }

    [Fact]
    public void One_step_takes_in_no_more_chunks_than_allowed_and_running_rows_go_on()
    {
        (HandedOver kv, _) = Computed("a", 96, 1);
        using Setup setup = new(Options with { MaxImportsPerStep = 2 }, answerAtOnce: 0);
        RecordingSink running = setup.SubmitLocal("local", 8, 100);
        for (int i = 0; i < 5; i++) setup.Crank.Turn();
        setup.Submit("a", 96, 4, room: 7);
        setup.Crank.Turn();
        setup.Give(7, kv);
        List<(int Imports, int Rows)> steps = [];
        setup.Engine.Seen = plan => steps.Add((plan.Imports.Count, plan.Rows.Count));

        for (int i = 0; i < 3; i++) setup.Crank.Turn();

        Assert.Equal([(2, 1), (2, 1), (2, 1)], steps);
        Assert.Null(running.End);
    }

    [Fact]
    public void No_row_is_computed_before_all_positions_are_cells()
    {
        (HandedOver kv, _) = Computed("a", 40, 1);
        using Setup setup = new(answerAtOnce: 0);
        RecordingSink sink = setup.Submit("a", 40, 4, room: 7);
        setup.Crank.Run();
        setup.Receiver.GiveChunk(7, 0, kv.Chunks[0]);
        setup.Receiver.GiveChunk(7, 16, kv.Chunks[1]);

        setup.Crank.Run();

        Assert.Equal((32, 0), (setup.Engine.UsedCells, sink.Tokens.Count));
        Assert.Empty(setup.Receiver.Acknowledged);
    }

    [Theory]
    [InlineData("gap")]
    [InlineData("twice")]
    [InlineData("beyond the end")]
    [InlineData("wrong length")]
    [InlineData("last too early")]
    [InlineData("last twice")]
    public void Anything_but_each_position_once_and_in_order_is_corrupt(string what)
    {
        (HandedOver kv, _) = Computed("a", 40, 1);
        using Setup setup = new(answerAtOnce: 0);
        RecordingSink sink = setup.Submit("a", 40, 4, room: 7);
        setup.Crank.Run();

        switch (what)
        {
            case "gap":
                setup.Receiver.GiveChunk(7, 16, kv.Chunks[1]);
                break;
            case "twice":
                setup.Receiver.GiveChunk(7, 0, kv.Chunks[0]);
                setup.Receiver.GiveChunk(7, 0, kv.Chunks[0]);
                break;
            case "beyond the end":
                setup.Receiver.GiveChunk(7, 0, new byte[41 * 16]);
                break;
            case "wrong length":
                setup.Receiver.GiveChunk(7, 0, new byte[17]);
                break;
            case "last too early":
                setup.Receiver.GiveChunk(7, 0, kv.Chunks[0]);
                setup.Receiver.GiveLast(7, kv.First);
                break;
            case "last twice":
                for (int i = 0; i < 3; i++) setup.Receiver.GiveChunk(7, i * 16, kv.Chunks[i]);
                setup.Receiver.GiveLast(7, kv.First);
                setup.Receiver.GiveLast(7, kv.First);
                break;
        }
        setup.Crank.Run();

        Assert.Equal(FailureReason.TransferCorrupt, sink.End!.Failure!.Reason);
        Assert.Equal(FailureReason.TransferCorrupt, Assert.Single(setup.Receiver.Failed).Failure.Reason);
        setup.AssertEmpty();
    }

    [Fact]
    public void A_corrupted_chunk_that_passes_every_check_changes_the_answer()
    {
        (HandedOver kv, int[] expected) = Computed("a", 40, 6);
        using Setup setup = new(answerAtOnce: 0);
        RecordingSink sink = setup.Submit("a", 40, 6, room: 7);
        setup.Crank.Run();
        kv.Chunks[0][200] ^= 1;

        setup.Give(7, kv);
        setup.Crank.Run();

        Assert.Equal(expected[0], sink.Tokens[0]);
        Assert.NotEqual(expected[1..], sink.Tokens[1..]);
    }

    [Fact]
    public void Requests_reserve_in_order_and_one_that_is_still_resolving_holds_nobody_up()
    {
        using Setup setup = new();
        setup.Submit("a", 100, 8, room: 1);
        setup.Submit("b", 120, 8, room: 2);
        setup.Submit("c", 100, 8, room: 3);
        setup.Submit("d", 10, 8, room: 4);
        setup.Crank.Run();
        setup.Resolver.Answer(2, 0);
        setup.Resolver.Answer(3, 0);
        setup.Resolver.Answer(4, 0);

        setup.Crank.Run();

        // b and c fit together, d waits behind nobody, a is not resolved yet: 128 + 108 + 18 of 256 cells.
        Assert.Equal([2UL, 3UL, 4UL], setup.Receiver.Claims.Select(c => c.Room.Value));
        setup.Resolver.Answer(1, 0);
        setup.Crank.Run();
        Assert.Equal(3, setup.Receiver.Claims.Count);
        Assert.Equal((1, 3), (setup.Rank.Load.PreallocQueue, setup.Rank.Load.TransferQueue));
    }

    [Fact]
    public void One_that_waits_for_cells_is_not_overtaken_by_a_smaller_one()
    {
        using Setup setup = new(answerAtOnce: 0);
        setup.Submit("a", 200, 8, room: 1);
        setup.Submit("b", 100, 8, room: 2);
        setup.Submit("c", 4, 8, room: 3);

        setup.Crank.Run();

        Assert.Equal(1UL, Assert.Single(setup.Receiver.Claims).Room.Value);
    }

    [Fact]
    public void A_claim_at_the_wrong_rank_is_redirected_once_and_keeps_its_cells()
    {
        (HandedOver kv, int[] expected) = Computed("a", 40, 6);
        using Setup setup = new(answerAtOnce: 0);
        RecordingSink sink = setup.Submit("a", 40, 6, room: 7);
        setup.Crank.Run();

        setup.Receiver.GiveWrongRank(7, right: 2);
        setup.Crank.Run();
        Assert.Equal((new BootstrapRoom(7), new DpRank(2)), Assert.Single(setup.Resolver.Redirected));
        setup.Resolver.Answer(7, rank: 2);
        setup.Crank.Run();
        setup.Give(7, kv);
        setup.Crank.Run();

        Assert.Equal([0, 2], setup.Receiver.Claims.Select(c => c.Endpoint.Rank.Value));
        Assert.Equal(expected, sink.Tokens);
        Assert.Equal(new DpRank(2), sink.End!.PrefillDpRank);
        setup.AssertEmpty();
    }

    [Fact]
    public void A_second_redirection_fails_the_request()
    {
        using Setup setup = new(answerAtOnce: 0);
        RecordingSink sink = setup.Submit("a", 40, 6, room: 7);
        setup.Crank.Run();
        setup.Receiver.GiveWrongRank(7, right: 2);
        setup.Crank.Run();
        setup.Resolver.Answer(7, rank: 2);
        setup.Crank.Run();

        setup.Receiver.GiveWrongRank(7, right: 0);
        setup.Crank.Run();

        Assert.Equal(FailureReason.UnknownRoom, sink.End!.Failure!.Reason);
        Assert.Single(setup.Resolver.Redirected);
        setup.AssertEmpty();
    }

    [Theory]
    [InlineData(599_999, false)]
    [InlineData(600_000, true)]
    public void A_request_that_is_never_resolved_ends_at_its_deadline(int milliseconds, bool fails)
    {
        using Setup setup = new();
        RecordingSink sink = setup.Submit("a", 40, 6, room: 7);
        setup.Crank.Turn();
        Assert.Equal(TimeSpan.FromSeconds(600), setup.Rank.NextDeadline);

        setup.Crank.AdvanceAndTurn(TimeSpan.FromMilliseconds(milliseconds));

        Assert.Equal(fails ? FailureReason.ResolveTimeout : null, sink.End?.Failure!.Reason);
        Assert.Equal(fails ? 1 : 0, setup.Resolver.Cancelled.Count);
    }

    [Theory]
    [InlineData(600_999, false)]
    [InlineData(601_000, true)]
    public void A_resolved_request_that_gets_no_cells_ends_at_its_deadline(int milliseconds, bool fails)
    {
        using Setup setup = new(Options with { WaitingTimeout = TimeSpan.FromHours(1) }, answerAtOnce: 0);
        setup.Submit("holder", 200, 8, room: 1);
        setup.Crank.Run();
        setup.Crank.Now = TimeSpan.FromSeconds(1);
        RecordingSink sink = setup.Submit("a", 200, 8, room: 2);
        setup.Crank.Turn();

        setup.Crank.AdvanceAndTurn(TimeSpan.FromMilliseconds(milliseconds));

        Assert.Equal(fails ? FailureReason.OutOfCells : null, sink.End?.Failure!.Reason);
    }

    [Theory]
    [InlineData(300_999, false)]
    [InlineData(301_000, true)]
    public void A_transfer_past_its_deadline_fails_tells_prefill_and_returns_its_cells(int milliseconds, bool fails)
    {
        (HandedOver kv, _) = Computed("a", 40, 1);
        using Setup setup = new();
        RecordingSink sink = setup.Submit("a", 40, 6, room: 7);
        setup.Crank.Turn();
        setup.Resolver.Answer(7, 0);
        setup.Crank.AdvanceAndTurn(TimeSpan.FromSeconds(1));
        setup.Receiver.GiveChunk(7, 0, kv.Chunks[0]);
        setup.Crank.Run();

        setup.Crank.AdvanceAndTurn(TimeSpan.FromMilliseconds(milliseconds));
        setup.Crank.Run();

        Assert.Equal(fails ? FailureReason.TransferTimeout : null, sink.End?.Failure!.Reason);
        Assert.Equal(fails ? 1 : 0, setup.Receiver.Failed.Count);
        Assert.Equal(fails ? 0 : 46, setup.Rank.Load.UsedCells);
    }

    [Fact]
    public void When_prefill_fails_decode_ends_in_the_same_turn_with_its_reason()
    {
        using Setup setup = new(answerAtOnce: 0);
        RecordingSink sink = setup.Submit("a", 40, 6, room: 7);
        setup.Crank.Run();

        setup.Receiver.GiveFailure(7, FailureReason.PeerFailed);
        setup.Crank.Turn();

        Assert.Equal(FailureReason.PeerFailed, sink.End!.Failure!.Reason);
        Assert.Empty(setup.Receiver.Failed);
        setup.AssertEmpty();
    }

    [Fact]
    public void A_link_that_breaks_right_behind_the_last_frame_fails_the_request_and_is_not_acknowledged()
    {
        (HandedOver kv, _) = Computed("a", 40, 1);
        using Setup setup = new(answerAtOnce: 0);
        RecordingSink sink = setup.Submit("a", 40, 6, room: 7);
        setup.Crank.Run();
        for (int i = 0; i < kv.Chunks.Length; i++) setup.Receiver.GiveChunk(7, i * 16, kv.Chunks[i]);
        setup.Crank.Run();

        setup.Receiver.GiveLast(7, kv.First);
        setup.Receiver.GiveFailure(7, FailureReason.LinkLost);
        setup.Crank.Run();

        Assert.Equal(FailureReason.LinkLost, sink.End!.Failure!.Reason);
        Assert.Empty(setup.Receiver.Acknowledged);
        setup.AssertEmpty();
    }

    [Fact]
    public void A_failed_resolution_ends_the_request_with_its_reason()
    {
        using Setup setup = new();
        RecordingSink sink = setup.Submit("a", 40, 6, room: 7);
        setup.Crank.Run();

        setup.Resolver.Refuse(7, FailureReason.BootstrapUnreachable);
        setup.Crank.Run();

        Assert.Equal(FailureReason.BootstrapUnreachable, sink.End!.Failure!.Reason);
        setup.AssertEmpty();
    }

    [Theory]
    [InlineData("resolving")]
    [InlineData("reserving")]
    [InlineData("claimed")]
    [InlineData("importing")]
    [InlineData("redirecting")]
    [InlineData("running")]
    public void An_abort_at_any_stage_tells_who_must_know_and_returns_every_cell_and_buffer(string stage)
    {
        (HandedOver kv, _) = Computed("a", 40, 1);
        using Setup setup = new(Options with { MaxImportsPerStep = 1 });
        if (stage == "reserving") setup.SubmitLocal("holder", 250, 4);
        if (stage == "reserving") setup.Crank.Turn();
        RecordingSink sink = setup.Submit("a", 40, 30, room: 7);
        setup.Crank.Turn();
        if (stage != "resolving") setup.Resolver.Answer(7, 0);
        if (stage != "resolving") setup.Crank.Turn();
        if (stage == "redirecting") setup.Receiver.GiveWrongRank(7, 1);
        if (stage is "importing" or "running") setup.Give(7, kv);
        for (int i = 0; i < (stage == "running" ? 8 : 1); i++) setup.Crank.Turn();
        int usedWhenTold = -1;
        setup.Receiver.OnFail = () => usedWhenTold = setup.Rank.Load.UsedCells;

        Assert.True(setup.Rank.Inbox.Abort(new RequestId("a"), RequestFailure.Of(FailureReason.Aborted, "Client went away.")));
        setup.Crank.Run();

        Assert.Equal(FailureReason.Aborted, sink.End!.Failure!.Reason);
        Assert.Equal(stage is "resolving" or "redirecting" ? 1 : 0, setup.Resolver.Cancelled.Count);
        Assert.Equal(stage is "claimed" or "importing" ? 1 : 0, setup.Receiver.Failed.Count);
        if (setup.Receiver.Failed.Count > 0) Assert.Equal(48, usedWhenTold);
        setup.AssertEmpty();
    }

    [Fact]
    public void A_retracted_sequence_computes_prompt_and_answer_again_and_says_the_same()
    {
        using Setup setup = new(Options with { ReservedDecodeTokens = 1 }, answerAtOnce: 0);
        RecordingSink[] sinks = new RecordingSink[3];
        int[][] expected = new int[3][];
        for (int i = 0; i < 3; i++)
        {
            (HandedOver kv, expected[i]) = Computed($"r{i}", 60, 60);
            sinks[i] = setup.Submit($"r{i}", 60, 60, room: (ulong)i + 1);
            setup.Crank.Turn();
            setup.Give((ulong)i + 1, kv);
            for (int turn = 0; turn < 3; turn++) setup.Crank.Turn();
        }
        int retracted = 0, chunksBesideRows = 0;
        setup.Engine.Seen = plan =>
        {
            retracted = Math.Max(retracted, setup.Rank.Load.RetractedQueue);
            if (plan.Rows.Count > 0) chunksBesideRows = Math.Max(chunksBesideRows, plan.Chunks.Count);
        };

        setup.Crank.Run();

        Assert.True(retracted > 0, "Nothing was retracted: the test proves nothing.");
        Assert.Equal(1, chunksBesideRows);
        for (int i = 0; i < 3; i++) Assert.Equal(expected[i], sinks[i].Tokens);
        Assert.Equal(3, setup.Receiver.Acknowledged.Count);
        setup.AssertEmpty();
    }

    [Fact]
    public void Nothing_new_is_reserved_while_a_retracted_sequence_waits()
    {
        using Setup setup = new(Options with { ReservedDecodeTokens = 1 }, answerAtOnce: 0);
        setup.SubmitLocal("a", 120, 100);
        setup.SubmitLocal("b", 120, 100);
        while (setup.Rank.Load.RetractedQueue == 0 || setup.Rank.Load.RunningRequests == 0) Assert.True(setup.Crank.Turn());
        for (int i = 0; i < 20; i++) setup.Crank.Turn();

        setup.Submit("new", 4, 4, room: 7);
        while (setup.Rank.Load.RetractedQueue > 0)
        {
            Assert.Empty(setup.Receiver.Claims);
            Assert.True(setup.Crank.Turn());
        }
        setup.Crank.Turn();

        Assert.Single(setup.Receiver.Claims);
    }

    [Fact]
    public void Prompts_that_wait_for_their_cache_leave_a_running_sequence_the_cells_to_grow()
    {
        using Setup setup = new(Options with { ReservedDecodeTokens = 20 }, answerAtOnce: 0, engine: Small with { CellCount = 190 });
        RecordingSink running = setup.SubmitLocal("a", 20, 100);
        while (running.Tokens.Count < 30) Assert.True(setup.Crank.Turn());
        for (int i = 1; i <= 2; i++) setup.Submit($"prompt {i}", 60, 1, room: (ulong)i);

        int retracted = 0;
        while (running.End is null)
        {
            Assert.True(setup.Crank.Turn());
            retracted = Math.Max(retracted, setup.Rank.Load.RetractedQueue);
            if (running.End is null) Assert.InRange(setup.Receiver.Claims.Count, 0, 1); // a second one would leave 18 cells
        }
        setup.Crank.Turn();

        Assert.Equal(0, retracted);
        Assert.Equal(2, setup.Receiver.Claims.Count);
    }

    [Fact]
    public void A_request_without_a_prefill_half_is_computed_here()
    {
        using Setup setup = new();
        (_, int[] expected) = Computed("a", 40, 6);

        RecordingSink sink = setup.SubmitLocal("a", 40, 6);
        setup.Crank.Run();

        Assert.Equal(expected, sink.Tokens);
        Assert.Empty(setup.Resolver.Begun);
        setup.AssertEmpty();
    }

    [Fact]
    public void The_same_room_twice_is_refused_and_the_first_one_goes_on()
    {
        using Setup setup = new();
        RecordingSink first = setup.Submit("a", 40, 6, room: 7), second = setup.Submit("b", 40, 6, room: 7);

        setup.Crank.Run();

        Assert.Equal(FailureReason.DuplicateRoom, second.End!.Failure!.Reason);
        Assert.Null(first.End);
        Assert.Single(setup.Resolver.Begun);
    }

    [Fact]
    public void A_late_answer_of_the_resolver_harms_nobody()
    {
        using Setup setup = new();
        RecordingSink sink = setup.Submit("a", 40, 6, room: 7);
        setup.Crank.Turn();
        setup.Rank.Inbox.Abort(new RequestId("a"), RequestFailure.Of(FailureReason.Aborted, "Client went away."));
        setup.Resolver.Answer(7, 0);

        setup.Crank.Run();

        Assert.Equal(FailureReason.Aborted, sink.End!.Failure!.Reason);
        Assert.Empty(setup.Receiver.Claims);
        setup.AssertEmpty();
    }

    [Fact]
    public void A_refused_import_fails_that_request_and_tells_prefill()
    {
        (HandedOver kv, _) = Computed("a", 40, 1);
        using Setup setup = new(answerAtOnce: 0);
        RecordingSink sink = setup.Submit("a", 40, 6, room: 7);
        setup.Crank.Run();
        setup.Give(7, kv);
        setup.Engine.After = (plan, result) =>
        {
            result.Failures.Add(new SequenceFailure(plan.Imports[0].Sequence, FailureReason.TransferCorrupt, "The engine refused the chunk."));
            setup.Engine.After = null;
        };

        setup.Crank.Run();

        Assert.Equal(FailureReason.TransferCorrupt, sink.End!.Failure!.Reason);
        Assert.Single(setup.Receiver.Failed);
        Assert.Empty(setup.Receiver.Acknowledged);
        setup.AssertEmpty();
    }

    [Fact]
    public void A_steady_step_allocates_nothing()
    {
        using Setup setup = new(engine: Small with { CellCount = 4096, ContextTokens = 1024 });
        for (int i = 0; i < 3; i++)
        {
            (GenerationRequest request, _) = TestRequest.Of($"r{i}", 8, 900);
            setup.Rank.Inbox.TrySubmit(request with { Sink = new RecordingSink { KeepTokens = false } });
        }
        for (int i = 0; i < 600; i++) setup.Crank.Turn();

        long allocated = Allocations.PerWindow(() =>
        {
            for (int i = 0; i < 40; i++) setup.Crank.Turn();
        });

        Assert.Equal(0, allocated);
    }

    /// <summary>What a prefill rank hands over for this prompt, and the answer that a unified rank gives.</summary>
    private static (HandedOver Kv, int[] Answer) Computed(string id, int promptTokens, int maxNewTokens, SamplingOptions? sampling = null)
    {
        ProbeEngine engine = new(Small);
        using UnifiedRank unified = new(DpRank.Zero, engine, Options);
        (GenerationRequest request, RecordingSink sink) = TestRequest.Of(id, promptTokens, maxNewTokens, sampling: sampling);
        List<byte[]> chunks = [];
        engine.After = (plan, _) =>
        {
            foreach (PrefillChunk chunk in plan.Chunks)
            {
                StepPlan copy = new();
                copy.Exports.Add(new KvExport(chunk.Sequence, default, chunk.Range));
                StepResult result = new();
                engine.ExecuteQuietly(copy, result);
                chunks.Add(result.Exported[0].Payload.Span.ToArray());
                result.Exported[0].Payload.Dispose();
            }
        };
        unified.Inbox.TrySubmit(request);
        new Crank(unified).Run();
        OutputToken first = new(sink.Tokens[0], float.NaN, null);
        return (new HandedOver([.. chunks], new FirstToken(first, false, request.Sampling.Seed, 0)), [.. sink.Tokens]);
    }

    private sealed record HandedOver(byte[][] Chunks, FirstToken First);

    private sealed class Setup : IDisposable
    {
        public Setup(SchedulerOptions? options = null, int? answerAtOnce = null, SimulatedEngineOptions? engine = null)
        {
            Resolver = new ScriptedResolver { AnswerAtOnce = answerAtOnce };
            Engine = new ProbeEngine(engine ?? Small);
            Rank = new DecodeRank(DpRank.Zero, Engine, Receiver, Resolver, options ?? Options);
            Crank = new Crank(Rank);
        }

        public ProbeEngine Engine { get; }
        public ScriptedReceiver Receiver { get; } = new();
        public ScriptedResolver Resolver { get; }
        public DecodeRank Rank { get; }
        public Crank Crank { get; }

        public RecordingSink Submit(string id, int promptTokens, int maxNewTokens, ulong room, SamplingOptions? sampling = null) =>
            Submit(TestRequest.Of(id, promptTokens, maxNewTokens, room: room, sampling: sampling));

        public RecordingSink SubmitLocal(string id, int promptTokens, int maxNewTokens) => Submit(TestRequest.Of(id, promptTokens, maxNewTokens));

        public void Give(ulong room, HandedOver kv)
        {
            for (int i = 0; i < kv.Chunks.Length; i++) Receiver.GiveChunk(room, i * 16, kv.Chunks[i]);
            Receiver.GiveLast(room, kv.First);
        }

        public void AssertEmpty()
        {
            Assert.Equal((0, 0, 0, 0L), (Engine.UsedCells, Engine.OpenSequences, Rank.Inbox.LiveRequests, Rank.Inbox.UncomputedPromptTokens));
            Assert.Equal(0, Rank.Load.UsedCells);
            Assert.Equal(Receiver.Given, Receiver.Returned);
            Assert.Equal(0, Resolver.WaitingCount);
        }

        public void Dispose() => Rank.Dispose();

        private RecordingSink Submit((GenerationRequest Request, RecordingSink Sink) made)
        {
            Assert.Null(Rank.Inbox.TrySubmit(made.Request));
            return made.Sink;
        }
    }
}
