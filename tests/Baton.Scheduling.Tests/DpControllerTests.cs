using Baton.Core.Failures;
using Baton.Core.Ids;
using Baton.Core.Ranks;
using Baton.Core.Requests;
using Baton.Core.Rooms;
using Baton.Scheduling.Dispatch;
using Baton.Scheduling.Ranks;
using Baton.Scheduling.Tests.Support;

namespace Baton.Scheduling.Tests;

public sealed class DpControllerTests
{
    [Fact]
    public void Round_robin_takes_turns_and_pinned_requests_do_not_move_it()
    {
        Setup setup = new(LoadBalanceMethod.RoundRobin, dpSize: 3);

        int[] chosen = [setup.Send(), setup.Send(), setup.Send(routed: 1), setup.Send(), setup.Send()];

        Assert.Equal([0, 1, 1, 2, 0], chosen);
    }

    [Fact]
    public void Round_robin_skips_ranks_that_take_no_requests()
    {
        Setup setup = new(LoadBalanceMethod.RoundRobin, dpSize: 3);
        setup.Ranks[1].Inbox.Drain();

        int[] chosen = [setup.Send(), setup.Send(), setup.Send(), setup.Send()];

        Assert.Equal([0, 2, 0, 2], chosen);
    }

    [Theory]
    [InlineData(7UL, 1)]
    [InlineData(9UL, 0)]
    [InlineData(9_223_372_036_854_775_807UL, 1)] // 2^63-1: the room is 64-bit all the way
    public void Follow_bootstrap_room_takes_the_room_modulo_dp_size(ulong room, int expected)
    {
        Setup setup = new(LoadBalanceMethod.FollowBootstrapRoom, dpSize: 3);

        Assert.Equal(expected, setup.Send(room: room));
        Assert.Empty(setup.Rooms.Registered);
    }

    [Fact]
    public void Follow_bootstrap_room_takes_turns_when_there_is_no_room()
    {
        Setup setup = new(LoadBalanceMethod.FollowBootstrapRoom, dpSize: 3, WorkerRole.Unified);

        Assert.Equal([0, 1, 2], [.. Enumerable.Range(0, 3).Select(_ => setup.Dispatch(room: null).Rank.Value)]);
    }

    [Fact]
    public void Follow_bootstrap_room_fails_when_the_rooms_rank_is_down_because_decode_would_look_there()
    {
        Setup setup = new(LoadBalanceMethod.FollowBootstrapRoom, dpSize: 3);
        setup.Ranks[1].Inbox.Drain();

        DispatchResult result = setup.Dispatch(room: 7);

        Assert.Equal(FailureReason.RankUnavailable, result.Failure!.Reason);
        Assert.Equal(FailureReason.RankUnavailable, Assert.Single(setup.Rooms.Refused).Failure.Reason);
    }

    [Fact]
    public void Total_requests_takes_the_fewest_first_index_on_ties_and_counts_its_own_guesses()
    {
        Setup setup = new(LoadBalanceMethod.TotalRequests, dpSize: 3);
        setup.Ranks[0].Publish(at: 1, requests: 2, tokens: 10);
        setup.Ranks[1].Publish(at: 1, requests: 1, tokens: 900);
        setup.Ranks[2].Publish(at: 1, requests: 1, tokens: 10);

        int[] chosen = [setup.Send(), setup.Send(), setup.Send(), setup.Send()];

        Assert.Equal([1, 2, 0, 1], chosen);
    }

    [Fact]
    public void Total_tokens_takes_the_fewest_tokens_then_the_fewest_requests()
    {
        Setup setup = new(LoadBalanceMethod.TotalTokens, dpSize: 3);
        setup.Ranks[0].Publish(at: 1, requests: 5, tokens: 100);
        setup.Ranks[1].Publish(at: 1, requests: 4, tokens: 100);
        setup.Ranks[2].Publish(at: 1, requests: 0, tokens: 130);

        int[] chosen = [setup.Send(promptTokens: 50), setup.Send(promptTokens: 50), setup.Send(promptTokens: 50), setup.Send(promptTokens: 50)];

        Assert.Equal([1, 0, 2, 1], chosen);
    }

    [Theory]
    [InlineData(19, 0)]
    [InlineData(20, 1)]
    public void A_snapshot_is_read_again_after_the_interval_and_overwrites_the_guesses(int milliseconds, int expected)
    {
        Setup setup = new(LoadBalanceMethod.TotalRequests, dpSize: 2);
        setup.Ranks[0].Publish(at: 1, requests: 0, tokens: 0);
        setup.Ranks[1].Publish(at: 1, requests: 3, tokens: 0);
        setup.Send();
        setup.Ranks[0].Publish(at: 2, requests: 9, tokens: 0);

        setup.Now = TimeSpan.FromMilliseconds(milliseconds);

        Assert.Equal(expected, setup.Send());
    }

    [Fact]
    public void A_snapshot_that_is_not_newer_leaves_the_guesses_alone()
    {
        Setup setup = new(LoadBalanceMethod.TotalRequests, dpSize: 2);
        foreach (FakeRank rank in setup.Ranks) rank.Publish(at: 1, requests: 0, tokens: 0);
        setup.Send();

        setup.Now = TimeSpan.FromSeconds(1);

        Assert.Equal(1, setup.Send());
    }

    [Fact]
    public void Least_work_follows_the_prompt_tokens_that_are_still_to_compute()
    {
        Setup setup = new(LoadBalanceMethod.LeastWork, dpSize: 3);
        List<int> chosen = [setup.Send(promptTokens: 1000), setup.Send(promptTokens: 10), setup.Send(promptTokens: 300)];
        for (int i = 0; i < 3; i++) chosen.Add(setup.Send(promptTokens: 100));
        setup.Ranks[0].Inbox.Computed(950);

        chosen.Add(setup.Send(promptTokens: 100));

        Assert.Equal([0, 1, 2, 1, 1, 1, 0], chosen);
    }

    [Fact]
    public void Of_equal_ranks_least_work_takes_the_one_whose_step_began_first()
    {
        Setup setup = new(LoadBalanceMethod.LeastWork, dpSize: 3);
        for (int i = 0; i < 3; i++) setup.Send(promptTokens: 100);
        setup.Ranks[0].Inbox.StepBegins(100, TimeSpan.FromMilliseconds(7));
        setup.Ranks[2].Inbox.StepBegins(100, TimeSpan.FromMilliseconds(5)); // rank 1 has not begun

        int[] chosen = [setup.Send(promptTokens: 1), setup.Send(promptTokens: 1), setup.Send(promptTokens: 1)];

        Assert.Equal([2, 0, 1], chosen);
    }

    [Fact]
    public void A_rank_between_two_steps_is_not_taken_for_one_that_has_not_begun()
    {
        Setup setup = new(LoadBalanceMethod.LeastWork, dpSize: 2);
        for (int i = 0; i < 2; i++) setup.Send(promptTokens: 200);
        setup.Ranks[0].Inbox.StepBegins(200, TimeSpan.FromMilliseconds(7));
        setup.Ranks[1].Inbox.StepBegins(100, TimeSpan.FromMilliseconds(1));
        setup.Ranks[1].Inbox.StepEnds();
        setup.Ranks[1].Inbox.Computed(100);
        setup.Ranks[1].Inbox.StepBooked(TimeSpan.FromMilliseconds(5));

        List<int> chosen = [setup.Send(promptTokens: 100), setup.Send(promptTokens: 100)]; // 200 on each, then the one that was there sooner

        Assert.Equal([1, 1], chosen);
    }

    [Fact]
    public void Ranks_that_step_together_tell_nothing_by_the_beginning_of_their_step()
    {
        Setup setup = new(LoadBalanceMethod.LeastWork, dpSize: 2, stepTogether: true);
        for (int i = 0; i < 4; i++) setup.Send(promptTokens: 100);
        setup.Ranks[0].Inbox.StepBegins(100, TimeSpan.FromMilliseconds(7));
        setup.Ranks[1].Inbox.StepBegins(100, TimeSpan.FromMilliseconds(5));

        Assert.Equal(0, setup.Send(promptTokens: 1));
    }

    [Fact]
    public void Least_work_on_decode_spreads_the_running_requests_and_then_their_tokens()
    {
        Setup setup = new(LoadBalanceMethod.LeastWork, dpSize: 2, WorkerRole.Decode);

        int[] chosen = [setup.Send(promptTokens: 10), setup.Send(promptTokens: 1000), setup.Send(promptTokens: 10), setup.Send(promptTokens: 10)];

        Assert.Equal([0, 1, 0, 1], chosen);
    }

    [Fact]
    public void An_idle_worker_does_not_favour_its_first_rank()
    {
        Setup setup = new(LoadBalanceMethod.LeastWork, dpSize: 3);
        List<int> chosen = [];
        for (int i = 0; i < 3; i++)
        {
            (GenerationRequest request, _) = TestRequest.Of($"r{i}", 10, room: (ulong)i + 1);
            int rank = setup.Controller.Dispatch(request, TimeSpan.Zero).Rank.Value;
            setup.Ranks[rank].Inbox.Ended(request, 10);
            chosen.Add(rank);
        }

        Assert.Equal([0, 1, 2], chosen);
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(3)]
    public void A_routed_rank_outside_the_worker_has_its_own_reason(int routed)
    {
        Setup setup = new(LoadBalanceMethod.LeastWork, dpSize: 3);

        DispatchResult result = setup.Dispatch(routed: routed);

        Assert.Equal(FailureReason.RankOutOfRange, result.Failure!.Reason);
        Assert.Contains($"{routed} is outside [0, 3)", result.Failure.Message, StringComparison.Ordinal);
        Assert.Single(setup.Rooms.Refused);
    }

    [Fact]
    public void A_routed_rank_that_drains_fails_with_its_own_reason_and_is_not_replaced()
    {
        Setup setup = new(LoadBalanceMethod.RoundRobin, dpSize: 3);
        setup.Ranks[1].Inbox.Drain();

        DispatchResult result = setup.Dispatch(routed: 1);

        Assert.Equal((FailureReason.RankUnavailable, new DpRank(1)), (result.Failure!.Reason, result.Rank));
    }

    [Theory]
    [InlineData(LoadBalanceMethod.RoundRobin)]
    [InlineData(LoadBalanceMethod.FollowBootstrapRoom)]
    [InlineData(LoadBalanceMethod.TotalRequests)]
    [InlineData(LoadBalanceMethod.TotalTokens)]
    [InlineData(LoadBalanceMethod.LeastWork)]
    public void When_no_rank_takes_requests_the_dispatch_says_so(LoadBalanceMethod method)
    {
        Setup setup = new(method, dpSize: 2);
        foreach (FakeRank rank in setup.Ranks) rank.Inbox.Drain();

        Assert.Equal(FailureReason.RankUnavailable, setup.Dispatch().Failure!.Reason);
    }

    [Fact]
    public void A_full_rank_refuses_and_decode_is_told()
    {
        Setup setup = new(LoadBalanceMethod.RoundRobin, dpSize: 1, capacity: 1);
        setup.Send(room: 5);

        DispatchResult result = setup.Dispatch(room: 6);

        Assert.Equal(FailureReason.QueueFull, result.Failure!.Reason);
        Assert.Equal(6UL, Assert.Single(setup.Rooms.Refused).Room.Value);
        Assert.Null(setup.Placed.RankOf(new BootstrapRoom(6)));
    }

    [Fact]
    public void The_room_is_registered_before_the_rank_has_the_request()
    {
        Setup setup = new(LoadBalanceMethod.LeastWork, dpSize: 2);
        int liveWhenRegistered = -1;
        setup.Rooms.OnRegister = () => liveWhenRegistered = setup.Ranks.Sum(rank => rank.Inbox.LiveRequests);

        setup.Send();

        Assert.Equal(0, liveWhenRegistered);
    }

    [Fact]
    public void A_room_that_cannot_be_registered_is_refused_and_reaches_no_rank()
    {
        Setup setup = new(LoadBalanceMethod.LeastWork, dpSize: 2);
        setup.Rooms.IsFull = true;

        DispatchResult result = setup.Dispatch();

        Assert.Equal(FailureReason.QueueFull, result.Failure!.Reason);
        Assert.All(setup.Ranks, rank => Assert.Equal(0, rank.Inbox.LiveRequests));
    }

    /// <summary>Every combination of method, ranks, force-query, pin and hint on the prefill side: SGLang's table, with its holes closed.</summary>
    [Fact]
    public void The_room_is_registered_exactly_when_decode_cannot_infer_the_rank()
    {
        const ulong room = 4; // room % 3 == 1
        LoadBalanceMethod[] methods = [LoadBalanceMethod.RoundRobin, LoadBalanceMethod.FollowBootstrapRoom, LoadBalanceMethod.TotalRequests, LoadBalanceMethod.TotalTokens, LoadBalanceMethod.LeastWork];
        int walked = 0;
        foreach (LoadBalanceMethod method in methods)
            foreach (int dpSize in new[] { 1, 3 })
                foreach (bool force in new[] { false, true })
                    foreach (int? pin in new int?[] { null, 0, 1 })
                        foreach (int? hint in new int?[] { null, 0, 1, 3 })
                        {
                            if (pin >= dpSize) continue;
                            Setup setup = new(method, dpSize, force: force);

                            DispatchResult result = setup.Dispatch(room, pin, hint);

                            bool follows = method == LoadBalanceMethod.FollowBootstrapRoom, isPinnedByHint = pin is not null && pin == hint;
                            FailureReason? expected = hint >= dpSize ? FailureReason.RankOutOfRange
                                : follows && !force && !isPinnedByHint && pin is { } p && p != (int)(room % (ulong)dpSize) ? FailureReason.RankConflict
                                : null;
                            bool registers = expected is null && dpSize > 1 && (force || (!follows && !isPinnedByHint));
                            string at = $"{method}, dp {dpSize}, force {force}, pin {pin}, hint {hint}";
                            Assert.True(expected == result.Failure?.Reason, $"{at}: {result.Failure}");
                            Assert.True(registers == result.IsRoomRegistered && (registers ? 1 : 0) == setup.Rooms.Registered.Count, $"{at}: registered {result.IsRoomRegistered}");
                            Assert.True((expected is null ? 0 : 1) == setup.Rooms.Refused.Count, $"{at}: decode was not told");
                            walked++;
                        }
        Assert.Equal(5 * 2 * (2 * 4 + 3 * 4), walked);
    }

    [Fact]
    public void A_refused_room_is_told_to_the_server_and_to_every_rank_because_decode_may_claim_it_at_any()
    {
        Setup setup = new(LoadBalanceMethod.FollowBootstrapRoom, dpSize: 3);

        RequestFailure failure = setup.Dispatch(room: 4, routed: 2).Failure!;

        Assert.Equal([(new BootstrapRoom(4), failure)], setup.Rooms.Refused);
        Assert.All(setup.Ranks, rank => Assert.Equal((InboxItemKind.Refused, 4UL, failure), Told(rank)));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void An_end_goes_to_the_server_and_a_failed_one_to_every_rank_too(bool fails)
    {
        Setup setup = new(LoadBalanceMethod.RoundRobin, dpSize: 2);
        setup.Send(room: 5);
        foreach (FakeRank rank in setup.Ranks) rank.Inbox.TakeAll();
        RequestFailure? failure = fails ? RequestFailure.Of(FailureReason.Aborted, "gone.") : null;

        setup.Placed.Ended(TestRequest.Of("r", 1, room: 5).Request.Bootstrap!, failure);

        Assert.Equal((fails ? 1 : 0, fails ? 0 : 1), (setup.Rooms.Refused.Count, setup.Rooms.Ended.Count));
        Assert.All(setup.Ranks, rank => Assert.Equal(fails, rank.Inbox.HasArrivals));
        Assert.Null(setup.Placed.RankOf(new BootstrapRoom(5)));
    }

    [Fact]
    public void A_room_that_is_live_is_refused_to_a_second_request_and_the_first_goes_on_unharmed()
    {
        Setup setup = new(LoadBalanceMethod.RoundRobin, dpSize: 2);
        int first = setup.Send(room: 5);

        DispatchResult second = setup.Dispatch(room: 5);

        Assert.Equal(FailureReason.DuplicateRoom, second.Failure!.Reason);
        Assert.Equal(first, setup.Placed.RankOf(new BootstrapRoom(5))!.Value.Value);
        Assert.Empty(setup.Rooms.Refused);
        Assert.All(setup.Ranks, rank => Assert.DoesNotContain(rank.Inbox.TakeAll(), item => item.Kind == InboxItemKind.Refused));
    }

    private static (InboxItemKind Kind, ulong Room, RequestFailure? Failure) Told(FakeRank rank)
    {
        InboxItem item = Assert.Single(rank.Inbox.TakeAll());
        return (item.Kind, item.Room.Value, item.Failure);
    }

    [Fact]
    public void A_rank_conflict_names_both_ranks_and_the_way_out()
    {
        Setup setup = new(LoadBalanceMethod.FollowBootstrapRoom, dpSize: 3);

        RequestFailure failure = setup.Dispatch(room: 4, routed: 2).Failure!;

        Assert.Equal(409, failure.Reason.HttpStatus);
        Assert.Contains("routed_dp_rank is 2", failure.Message, StringComparison.Ordinal);
        Assert.Contains("dp rank 1", failure.Message, StringComparison.Ordinal);
        Assert.Contains("SGLANG_DISAGGREGATION_FORCE_QUERY_PREFILL_DP_RANK", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Dispatching_from_many_threads_loses_and_doubles_nothing()
    {
        Setup setup = new(LoadBalanceMethod.LeastWork, dpSize: 4);

        Parallel.For(0, 400, i => setup.Controller.Dispatch(TestRequest.Of($"r{i}", 10, room: (ulong)i + 1).Request, TimeSpan.Zero));

        Assert.All(setup.Ranks, rank => Assert.Equal((100, 1000L), (rank.Inbox.LiveRequests, rank.Inbox.UncomputedPromptTokens)));
    }

    private sealed class Setup
    {
        private int _sent;

        public Setup(LoadBalanceMethod method, int dpSize, WorkerRole role = WorkerRole.Prefill, bool force = false, int capacity = 1000, bool stepTogether = false)
        {
            Ranks = [.. Enumerable.Range(0, dpSize).Select(i => new FakeRank(i, capacity))];
            DpControllerOptions options = new() { Role = role, Method = method, ForceQueryPrefillDpRank = force, RanksStepTogether = stepTogether };
            Controller = new DpController(Ranks, options, Placed = new PrefillRooms(Ranks, Rooms));
        }

        public FakeRank[] Ranks { get; }
        public RecordingRooms Rooms { get; } = new();
        public PrefillRooms Placed { get; }
        public DpController Controller { get; }
        public TimeSpan Now { get; set; }

        /// <param name="room">Null: one of its own.</param>
        public int Send(ulong? room = null, int? routed = null, int promptTokens = 10)
        {
            DispatchResult result = Dispatch(room ?? 1000 + (ulong)_sent, routed, promptTokens: promptTokens);
            Assert.Null(result.Failure);
            return result.Rank.Value;
        }

        public DispatchResult Dispatch(ulong? room = 5, int? routed = null, int? hint = null, int promptTokens = 10)
        {
            (GenerationRequest request, _) = TestRequest.Of($"r{_sent++}", promptTokens, room: room);
            return Controller.Dispatch(request with
            {
                RoutedDpRank = routed is { } rank ? new DpRank(rank) : null,
                Bootstrap = request.Bootstrap is { } bootstrap ? bootstrap with { PrefillDpRankHint = hint is { } h ? new DpRank(h) : null } : null,
            }, Now);
        }
    }

    private sealed class RecordingRooms : IRoomRegistration
    {
        public List<(BootstrapRoom Room, DpRank Rank)> Registered { get; } = [];
        public List<(BootstrapRoom Room, RequestFailure Failure)> Refused { get; } = [];
        public List<BootstrapRoom> Ended { get; } = [];
        public Action? OnRegister { get; set; }

        public bool IsFull { get; set; }

        public bool Register(BootstrapRoom room, DpRank rank)
        {
            OnRegister?.Invoke();
            if (!IsFull) Registered.Add((room, rank));
            return !IsFull;
        }

        public void NotifyFailed(BootstrapRoom room, RequestFailure failure) => Refused.Add((room, failure));

        public void NotifyEnded(BootstrapRoom room) => Ended.Add(room);
    }

    private sealed class FakeRank(int rank, int capacity) : IRank
    {
        public DpRank DpRank => Inbox.DpRank;
        public RankInbox Inbox { get; } = new(new DpRank(rank), capacity);
        public RankLoad Load { get; private set; } = new() { DpRank = rank };
        public TimeSpan Elapsed => TimeSpan.Zero;
        public TimeSpan? NextDeadline => null;
        public RequestFailure? Fault => null;

        public void Publish(int at, int requests, int tokens) => Load = new RankLoad
        {
            DpRank = rank,
            At = TimeSpan.FromSeconds(at),
            RunningRequests = requests,
            TotalTokens = tokens,
            StepCount = 1,
        };

        public bool Begin(TimeSpan now) => false;

        public void End(TimeSpan now)
        {
        }

        public void Dispose()
        {
        }
    }
}
