using Baton.Core.Engine;
using Baton.Core.Engine.Simulated;
using Baton.Core.Failures;
using Baton.Core.Handover;
using Baton.Core.Ids;
using Baton.Core.Requests;
using Baton.Scheduling.Prefill;
using Baton.Scheduling.Tests.Support;
using Baton.Scheduling.Unified;
using Baton.Testing;

namespace Baton.Scheduling.Tests;

public sealed class PrefillRankTests
{
    private static readonly SimulatedEngineOptions Small = new()
    {
        CellCount = 256,
        ContextTokens = 256,
        MaxSequences = 4,
        MaxBatchTokens = 64,
        VocabSize = 2000,
    };

    private static readonly SchedulerOptions Options = new() { ChunkedPrefillSize = 16 };

    [Fact]
    public void A_claimed_prompt_is_handed_over_chunk_by_chunk_with_its_first_token_last()
    {
        using Setup setup = new();
        RecordingSink sink = setup.Submit("a", 40, room: 7);
        setup.Sender.Claim(7);

        setup.Crank.Run();
        Assert.Null(sink.End);
        setup.Sender.Deliver(7);
        setup.Crank.Run();

        Assert.Equal([(0, 16), (16, 32), (32, 40)], setup.Sender.Chunks.Select(c => (c.Range.Start, c.Range.End)));
        FirstToken first = Assert.Single(setup.Sender.Lasts).First;
        Assert.Equal(sink.Tokens, [first.Token.TokenId]);
        Assert.Equal((FinishKind.Length, 1, 40 * 16), (sink.End!.Kind, sink.End.CompletionTokens, sink.End.HandoverBytes));
        setup.AssertEmpty();
    }

    [Fact]
    public void A_room_that_was_refused_elsewhere_is_refused_to_decode_here_unless_another_request_has_it()
    {
        using Setup setup = new();
        setup.Submit("a", 40, room: 7);
        RequestFailure failure = RequestFailure.Of(FailureReason.RankConflict, "Two ranks.");

        setup.Rank.Inbox.Refuse(new BootstrapRoom(7), failure);
        setup.Rank.Inbox.Refuse(new BootstrapRoom(8), failure);
        setup.Crank.Run();

        Assert.Equal([(new BootstrapRoom(8), failure)], setup.Sender.Refused);
        Assert.Contains(new BootstrapRoom(7), setup.Sender.Open.Keys);
    }

    [Fact]
    public void The_first_token_and_the_cuts_are_those_of_a_unified_rank()
    {
        List<(int, int)> unifiedCuts = [], prefillCuts = [];
        ProbeEngine engine = new(Small) { Seen = plan => unifiedCuts.AddRange(plan.Chunks.Select(c => (c.StartPosition, c.Range.End))) };
        using UnifiedRank unified = new(DpRank.Zero, engine, Options);
        (GenerationRequest request, RecordingSink unifiedSink) = TestRequest.Of("same", 75, 1, sampling: new SamplingOptions { Seed = 5 });
        unified.Inbox.TrySubmit(request);
        new Crank(unified).Run();
        using Setup setup = new();
        setup.Engine.Seen = plan => prefillCuts.AddRange(plan.Chunks.Select(c => (c.StartPosition, c.Range.End)));

        RecordingSink prefillSink = setup.Submit("same", 75, room: 7, new SamplingOptions { Seed = 5 });
        setup.Crank.Run();

        Assert.Equal(unifiedCuts, prefillCuts);
        Assert.Equal(unifiedSink.Tokens, prefillSink.Tokens);
    }

    [Fact]
    public void A_prompt_is_computed_before_anybody_claims_it_and_sent_when_somebody_does()
    {
        using Setup setup = new();
        setup.Submit("a", 40, room: 7);
        setup.Crank.Run();
        Assert.Equal(40, setup.Engine.UsedCells);
        Assert.Empty(setup.Sender.Chunks);

        setup.Sender.Claim(7);
        setup.Crank.Run();

        Assert.Equal(3, setup.Sender.Chunks.Count);
        Assert.Single(setup.Sender.Lasts);
    }

    [Fact]
    public void Chunks_leave_while_later_ones_are_still_computed()
    {
        using Setup setup = new();
        setup.Submit("a", 100, room: 7);
        setup.Sender.Claim(7);

        setup.Crank.Turn();
        setup.Crank.Turn();

        Assert.Equal(2, setup.Sender.Chunks.Count);
    }

    [Fact]
    public void A_claim_in_the_middle_of_the_computation_keeps_the_chunks_in_order()
    {
        using Setup setup = new();
        setup.Submit("a", 100, room: 7);
        setup.Crank.Turn();
        setup.Crank.Turn();
        setup.Sender.Claim(7);

        setup.Crank.Run();

        int[] starts = [.. setup.Sender.Chunks.Select(c => c.Range.Start)];
        Assert.Equal([0, 16, 32, 48, 64, 80, 96], starts);
    }

    [Fact]
    public void A_full_window_holds_chunks_back_and_computing_goes_on()
    {
        using Setup setup = new();
        setup.Submit("a", 100, room: 7);
        setup.Sender.Claim(7);
        setup.Sender.Window = 2;

        setup.Crank.Run();
        Assert.Equal((2, 100), (setup.Sender.Chunks.Count, setup.Engine.UsedCells));
        setup.Sender.Window = 100;
        setup.Crank.Run();

        Assert.Equal([0, 16, 32, 48, 64, 80, 96], setup.Sender.Chunks.Select(c => c.Range.Start));
        Assert.Single(setup.Sender.Lasts);
    }

    [Fact]
    public void One_step_copies_out_no_more_chunks_than_allowed()
    {
        using Setup setup = new(Options with { MaxExportsPerStep = 2 });
        setup.Submit("a", 200, room: 7);
        setup.Crank.Run();
        int most = 0;
        setup.Engine.Seen = plan => most = Math.Max(most, plan.Exports.Count);
        setup.Sender.Claim(7);

        setup.Crank.Run();

        Assert.Equal((2, 13), (most, setup.Sender.Chunks.Count));
    }

    [Fact]
    public void Claimed_prompts_start_before_unclaimed_ones_that_came_earlier()
    {
        using Setup setup = new(Options with { MaxRunningRequests = 1 });
        List<ulong> rooms = [];
        setup.Engine.Seen = plan => rooms.AddRange(plan.Exports.Select(e => e.Room.Value));
        setup.Submit("early", 16, room: 1);
        setup.Submit("late", 16, room: 2);
        setup.Sender.Claim(2);

        setup.Crank.Run();
        setup.Sender.Claim(1);
        setup.Sender.Deliver(2);
        setup.Crank.Run();

        Assert.Equal([2UL, 1UL], rooms);
    }

    [Fact]
    public void Unclaimed_prompts_hold_no_more_than_their_share_of_the_cells()
    {
        using Setup setup = new();
        for (int i = 1; i <= 4; i++) setup.Submit($"r{i}", 60, room: (ulong)i);

        setup.Crank.Run();

        Assert.Equal(120, setup.Engine.UsedCells);
        Assert.Equal(2, setup.Rank.Load.BootstrapQueue);
    }

    [Fact]
    public void With_a_share_of_zero_nothing_is_computed_before_its_claim()
    {
        using Setup setup = new(Options with { MaxUnclaimedCellShare = 0 });
        setup.Submit("a", 60, room: 1);

        setup.Crank.Run();
        Assert.Equal(0, setup.Engine.UsedCells);
        setup.Sender.Claim(1);
        setup.Crank.Run();

        Assert.Single(setup.Sender.Lasts);
    }

    [Fact]
    public void An_unclaimed_prompt_gives_its_cells_to_a_claimed_one_and_is_computed_again_to_the_same_token()
    {
        using Setup setup = new();
        RecordingSink held = setup.Submit("held", 200, room: 1);
        setup.Crank.Run();
        int firstToken = Assert.Single(held.Tokens);
        setup.Submit("claimed", 100, room: 2);
        setup.Sender.Claim(2);
        setup.Crank.Run();
        Assert.Equal(100, setup.Engine.UsedCells);
        setup.Sender.Deliver(2);
        setup.Crank.Run();

        setup.Sender.Claim(1);
        setup.Crank.Run();

        Assert.Equal(firstToken, setup.Sender.Lasts[^1].First.Token.TokenId);
        Assert.Single(held.Tokens);
        Assert.Equal(13, setup.Sender.Chunks.Count(c => c.Room.Value == 1));
    }

    [Theory]
    [InlineData(299_999, false)]
    [InlineData(300_000, true)]
    public void A_room_that_nobody_claims_in_time_fails_and_a_late_claim_hears_why(int milliseconds, bool fails)
    {
        using Setup setup = new();
        RecordingSink sink = setup.Submit("a", 40, room: 7);
        setup.Crank.Turn();
        setup.Crank.Run();
        Assert.Equal(TimeSpan.FromSeconds(300), setup.Rank.NextDeadline);

        setup.Crank.AdvanceAndTurn(TimeSpan.FromMilliseconds(milliseconds));
        setup.Crank.Run();

        Assert.Equal(fails ? FailureReason.BootstrapTimeout : null, sink.End?.Failure!.Reason);
        Assert.Equal(fails ? 1 : 0, setup.Sender.Failed.Count);
        Assert.Equal(fails ? 0 : 40, setup.Engine.UsedCells);
    }

    [Theory]
    [InlineData(309_999, false)]
    [InlineData(310_000, true)]
    public void A_claimed_room_that_is_not_delivered_in_time_fails_and_decode_is_told(int milliseconds, bool fails)
    {
        using Setup setup = new();
        RecordingSink sink = setup.Submit("a", 40, room: 7);
        setup.Crank.Run();
        setup.Sender.Claim(7);
        setup.Crank.AdvanceAndTurn(TimeSpan.FromSeconds(10));
        setup.Crank.Run();

        setup.Crank.AdvanceAndTurn(TimeSpan.FromMilliseconds(milliseconds));
        setup.Crank.Run();

        Assert.Equal(fails ? FailureReason.TransferTimeout : null, sink.End?.Failure!.Reason);
        Assert.Equal(fails ? 1 : 0, setup.Sender.Failed.Count);
    }

    [Fact]
    public void Decode_hears_of_a_failure_before_the_cells_come_back()
    {
        using Setup setup = new();
        setup.Submit("a", 40, room: 7);
        setup.Sender.Claim(7);
        setup.Crank.Run();
        int usedWhenTold = -1;
        setup.Sender.OnFail = () => usedWhenTold = setup.Engine.UsedCells;

        setup.Rank.Inbox.Abort(new RequestId("a"), RequestFailure.Of(FailureReason.Aborted, "Client went away."));
        setup.Crank.Run();

        Assert.Equal(40, usedWhenTold);
        Assert.Equal(FailureReason.Aborted, Assert.Single(setup.Sender.Failed).Failure.Reason);
        setup.AssertEmpty();
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(10)]
    public void When_decode_goes_away_the_computation_stops_and_the_cells_come_back(int turns)
    {
        using Setup setup = new();
        RecordingSink sink = setup.Submit("a", 100, room: 7);
        setup.Sender.Claim(7);
        setup.Crank.Turn();
        for (int i = 0; i < turns; i++) setup.Crank.Turn();

        setup.Sender.Break(7, FailureReason.LinkLost);
        setup.Crank.Run();

        Assert.Equal(FailureReason.LinkLost, sink.End!.Failure!.Reason);
        Assert.Empty(setup.Sender.Failed); // the sender has forgotten the room already
        setup.AssertEmpty();
    }

    [Fact]
    public void The_same_room_twice_is_refused_and_the_first_one_goes_on()
    {
        using Setup setup = new();
        RecordingSink first = setup.Submit("a", 40, room: 7), second = setup.Submit("b", 40, room: 7);
        setup.Sender.Claim(7);
        setup.Crank.Run();
        setup.Sender.Deliver(7);
        setup.Crank.Run();

        Assert.Equal(FailureReason.DuplicateRoom, second.End!.Failure!.Reason);
        Assert.Equal(FinishKind.Length, first.End!.Kind);
        setup.AssertEmpty();
    }

    [Fact]
    public void A_prompt_that_can_never_fit_is_refused_and_decode_hears_of_it()
    {
        using Setup setup = new();
        RecordingSink sink = setup.Submit("a", 256, room: 7);

        setup.Crank.Run();

        Assert.Equal(FailureReason.PromptTooLong, sink.End!.Failure!.Reason);
        Assert.Equal(FailureReason.PromptTooLong, Assert.Single(setup.Sender.Failed).Failure.Reason);
        setup.AssertEmpty();
    }

    [Fact]
    public void A_request_without_a_decode_half_ends_with_its_first_token()
    {
        using Setup setup = new();
        RecordingSink noRoom = setup.Submit("a", 20, room: null);
        (GenerationRequest request, RecordingSink fake) = TestRequest.Of("b", 20, 50, room: 0);
        setup.Rank.Inbox.TrySubmit(request with { Bootstrap = request.Bootstrap! with { Address = new BootstrapAddress(BootstrapAddress.FakeHost, 8998) } });

        setup.Crank.Run();

        Assert.All([noRoom, fake], sink => Assert.Equal((FinishKind.Length, 1), (sink.End!.Kind, sink.Tokens.Count)));
        Assert.Empty(setup.Sender.Open);
        setup.AssertEmpty();
    }

    [Fact]
    public void A_sequence_that_the_engine_fails_tells_decode()
    {
        using Setup setup = new();
        RecordingSink sink = setup.Submit("a", 100, room: 7);
        setup.Sender.Claim(7);
        setup.Engine.After = (plan, result) =>
        {
            foreach (KvExported exported in result.Exported) exported.Payload.Dispose();
            result.Exported.Clear();
            result.Failures.Add(new SequenceFailure(plan.Chunks[0].Sequence, FailureReason.EngineError, "The logits are NaN."));
            setup.Engine.After = null;
        };

        setup.Crank.Run();

        Assert.Equal(FailureReason.EngineError, sink.End!.Failure!.Reason);
        Assert.Equal(FailureReason.EngineError, Assert.Single(setup.Sender.Failed).Failure.Reason);
        setup.AssertEmpty();
    }

    [Fact]
    public void The_senders_own_deadline_is_the_ranks()
    {
        using Setup setup = new();
        setup.Sender.NextDeadline = TimeSpan.FromSeconds(3);
        Assert.Equal(TimeSpan.FromSeconds(3), setup.Rank.NextDeadline);

        setup.Submit("a", 40, room: 7);
        setup.Crank.Run();

        Assert.Equal(TimeSpan.FromSeconds(3), setup.Rank.NextDeadline);
        setup.Sender.NextDeadline = TimeSpan.FromSeconds(900);
        Assert.Equal(TimeSpan.FromSeconds(300), setup.Rank.NextDeadline);
    }

    [Fact]
    public void Planning_and_booking_a_chunk_allocates_nothing()
    {
        EngineInfo info = new ProbeEngine(Small with { CellCount = 8192, ContextTokens = 4096 }).Info;
        Baton.Scheduling.Ranks.RankInbox inbox = new(DpRank.Zero, 10);
        PrefillScheduler scheduler = new(info, Options, inbox, new ScriptedSender());
        inbox.TrySubmit(TestRequest.Of("a", 4000, room: 1).Request);
        foreach (Baton.Scheduling.Ranks.InboxItem item in inbox.TakeAll()) scheduler.Accept(item, TimeSpan.Zero);
        StepPlan plan = new();
        StepResult result = new();
        Turn(50);

        long allocated = Allocations.PerWindow(() => Turn(30));

        Assert.Equal(0, allocated);

        void Turn(int times)
        {
            for (int i = 0; i < times; i++)
            {
                plan.Clear();
                scheduler.Plan(TimeSpan.FromMilliseconds(i), plan);
                scheduler.Commit(plan, result, TimeSpan.FromMilliseconds(i));
            }
        }
    }

    private sealed class Setup : IDisposable
    {
        public Setup(SchedulerOptions? options = null)
        {
            Engine = new ProbeEngine(Small);
            Rank = new PrefillRank(DpRank.Zero, Engine, Sender, options ?? Options);
            Crank = new Crank(Rank);
        }

        public ProbeEngine Engine { get; }
        public ScriptedSender Sender { get; } = new();
        public PrefillRank Rank { get; }
        public Crank Crank { get; }

        public RecordingSink Submit(string id, int promptTokens, ulong? room, SamplingOptions? sampling = null)
        {
            (GenerationRequest request, RecordingSink sink) = TestRequest.Of(id, promptTokens, 50, room: room, sampling: sampling);
            Assert.Null(Rank.Inbox.TrySubmit(request));
            return sink;
        }

        public void AssertEmpty()
        {
            Assert.Equal((0, 0, 0, 0L), (Engine.UsedCells, Engine.OpenSequences, Rank.Inbox.LiveRequests, Rank.Inbox.UncomputedPromptTokens));
            Assert.Equal(0, Rank.Load.UsedCells);
            Assert.Empty(Sender.Open);
            Assert.Empty(Sender.Refused);
        }

        public void Dispose() => Rank.Dispose();
    }
}
