using Baton.Bootstrap.Decode;
using Baton.Core.Failures;
using Baton.Core.Handover;
using Baton.Core.Ids;
using Baton.Core.Requests;

namespace Baton.Bootstrap.Tests.Decode;

public sealed class RankResolverTests
{
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(300);

    [Theory]
    [InlineData("round_robin", 4, 2, RankSource.Hint, 2)]
    [InlineData("round_robin", 1, null, RankSource.Single, 0)]
    [InlineData("follow_bootstrap_room", 4, null, RankSource.Room, 3)]
    public void A_warm_resolver_answers_inside_begin_without_a_round_trip(string method, int dpSize, int? hint, RankSource source, int rank)
    {
        ResolverWorld world = new();
        world.Server.RegisterRanks(dpSize, method);
        world.WarmUp(dpSize);

        world.Begin(7, hint);

        (ResolvedRankView view, _) = View(world, 7);
        Assert.Equal(new ResolvedRankView("10.0.0.1", 4000 + rank, rank, source, 0), view);
        Assert.Equal(0, world.Server.CallCount);
    }

    [Fact]
    public void The_thread_that_begins_redirects_or_cancels_a_room_makes_no_request()
    {
        HeldScheduler elsewhere = new();
        ResolverWorld world = new(scheduler: elsewhere);
        world.Server.Latency = TimeSpan.Zero;
        world.Server.RegisterRanks(4);

        world.Begin(1);
        world.Begin(2, hint: 3);
        int coldCalls = world.Server.CallCount;
        elsewhere.RunAll();
        int warm = world.Server.CallCount;
        world.Redirect(3, rightRank: 1);
        world.Begin(4);
        world.Resolver.Cancel(new BootstrapRoom(4));

        Assert.Equal(0, coldCalls);
        Assert.True(warm > 0);
        Assert.Equal(warm, world.Server.CallCount);
        Assert.True(elsewhere.Count > 0);
    }

    [Fact]
    public void A_cold_resolver_needs_the_topology_and_one_endpoint()
    {
        ResolverWorld world = new();
        world.Server.RegisterRanks(4, "follow_bootstrap_room");

        world.Begin(7);
        world.Advance(10);

        (ResolvedRankView view, TimeSpan at) = View(world, 7);
        Assert.Equal(new ResolvedRankView("10.0.0.1", 4003, 3, RankSource.Room, 2), view);
        Assert.Equal(TimeSpan.FromMilliseconds(0.4), at);
    }

    [Fact]
    public void A_thousand_cold_rooms_share_one_topology_fetch_one_endpoint_fetch_a_rank_and_one_query()
    {
        ResolverWorld world = new();
        world.Server.RegisterRanks(2);

        for (ulong room = 1; room <= 1000; room++) world.Begin(room);
        world.Advance(10);
        for (ulong room = 1; room <= 1000; room++) world.Server.RegisterRoom(room, (int)(room % 2));
        world.Advance(10);

        Assert.Equal(1000, world.Resolved.Count);
        Assert.Equal(1, world.Server.Calls["topology"]);
        Assert.Equal(2, world.Server.Calls["rank"]);
        Assert.InRange(world.Server.Calls["watch"], 1, 3);
    }

    [Theory]
    [InlineData(false, 0)]
    [InlineData(false, 1)]
    [InlineData(false, 130)]
    [InlineData(false, 299)]
    [InlineData(true, 0)]
    [InlineData(true, 1)]
    [InlineData(true, 130)]
    [InlineData(true, 299)]
    public void Decode_ahead_of_prefill_learns_the_rank_within_10_ms_of_the_registration_or_21_by_polling(bool isSglang, int secondsAhead)
    {
        ResolverWorld world = new();
        world.Server.IsSglang = isSglang;
        world.Server.RegisterRanks(4);
        world.WarmUp(4);
        TimeSpan began = world.Time.Now;

        world.Begin(7);
        world.Time.Advance(TimeSpan.FromSeconds(secondsAhead));
        world.Server.RegisterRoom(7, 3);
        world.Advance(25);

        (ResolvedRankView view, TimeSpan at) = View(world, 7);
        Assert.Equal((3, RankSource.Query), (view.Rank, view.Source));
        double sinceRegistration = (at - began).TotalMilliseconds - (secondsAhead * 1000.0);
        Assert.InRange(sinceRegistration, 0, isSglang ? 21 : 10);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_room_that_nobody_registers_fails_at_its_deadline_and_not_before(bool isSglang)
    {
        ResolverWorld world = new();
        world.Server.IsSglang = isSglang;
        world.Server.RegisterRanks(4);
        world.WarmUp(4);

        world.Begin(7);
        world.Time.Advance(Timeout - TimeSpan.FromTicks(1));
        Assert.Empty(world.Failed);
        world.Time.Advance(TimeSpan.FromTicks(1));

        RequestFailure failure = Assert.Single(world.Failed).Value.Failure;
        Assert.Equal(FailureReason.ResolveTimeout, failure.Reason);
        Assert.Contains("room-0000000000000007", failure.Message, StringComparison.Ordinal);
        Assert.Contains("10.0.0.1:8998", failure.Message, StringComparison.Ordinal);
        Assert.Equal(0, world.Resolver.PendingCount);
    }

    [Fact]
    public void Prefill_registered_first_costs_one_query()
    {
        ResolverWorld world = new();
        world.Server.RegisterRanks(4);
        world.WarmUp(4);
        world.Server.RegisterRoom(7, 1);

        world.Begin(7);
        world.Advance(1);

        (ResolvedRankView view, _) = View(world, 7);
        Assert.Equal((1, RankSource.Query, 1), (view.Rank, view.Source, view.RoundTrips));
        Assert.Equal(1, world.Server.CallCount);
    }

    [Fact]
    public void A_newcomer_does_not_wait_for_the_query_that_is_parked()
    {
        ResolverWorld world = new();
        world.Server.RegisterRanks(4);
        world.WarmUp(4);
        world.Begin(1);
        world.Advance(1000);

        world.Server.RegisterRoom(2, 3);
        world.Begin(2);
        world.Advance(1);

        Assert.Equal(3, View(world, 2).View.Rank);
        Assert.Equal(1, world.Resolver.PendingCount);
    }

    [Fact]
    public void A_newcomer_that_joined_is_answered_by_the_parked_query()
    {
        ResolverWorld world = new();
        world.Server.RegisterRanks(4);
        world.WarmUp(4);
        world.Begin(1);
        world.Advance(1000);
        world.Begin(2);
        world.Advance(1000);

        world.Server.RegisterRoom(2, 3);
        world.Advance(1);

        Assert.Equal(3, View(world, 2).View.Rank);
        Assert.Equal(2, View(world, 2).View.RoundTrips);
    }

    [Fact]
    public void A_failed_room_notice_ends_the_room_at_once_with_the_text_of_prefill()
    {
        ResolverWorld world = new();
        world.Server.RegisterRanks(4);
        world.WarmUp(4);
        world.Begin(7);
        world.Time.Advance(TimeSpan.FromSeconds(20));
        TimeSpan told = world.Time.Now;

        world.Server.Table.Rooms.TryFail(new BootstrapRoom(7), new RequestFailure(FailureReason.OutOfCells, "no KV cells left"), told);
        world.Advance(1);

        (RequestFailure failure, TimeSpan at) = Assert.Single(world.Failed).Value;
        Assert.Equal(FailureReason.PeerFailed, failure.Reason);
        Assert.Contains("out_of_cells", failure.Message, StringComparison.Ordinal);
        Assert.Contains("no KV cells left", failure.Message, StringComparison.Ordinal);
        Assert.InRange((at - told).TotalMilliseconds, 0, 1);
    }

    [Fact]
    public void A_hint_outside_the_topology_fails_as_soon_as_that_is_known()
    {
        ResolverWorld world = new();
        world.Server.RegisterRanks(2);

        world.Begin(7, hint: 2);
        world.Advance(10);

        RequestFailure failure = Assert.Single(world.Failed).Value.Failure;
        Assert.Equal(FailureReason.RankOutOfRange, failure.Reason);
        Assert.Contains("disagg_prefill_dp_rank is 2", failure.Message, StringComparison.Ordinal);
        Assert.Contains("[0, 2)", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_topology_that_grew_is_fetched_again_before_a_hint_is_refused()
    {
        ResolverWorld world = new();
        world.Server.RegisterRanks(2);
        world.WarmUp(2);
        world.Server.Restart();
        world.Server.RegisterRanks(4);
        world.Advance(1100);

        world.Begin(7, hint: 3);
        world.Advance(10);

        Assert.Equal(4003, View(world, 7).View.Port);
    }

    [Theory]
    [InlineData(64, null)]
    [InlineData(1, "f32")]
    public void A_mismatch_of_page_size_or_type_fails_that_request_and_nothing_else(int pageSize, string? dtype)
    {
        ResolverWorld world = new(new RankResolverOptions { KvCacheDtype = "f16" });
        world.Server.RegisterRanks(1, pageSize: pageSize, dtype: dtype);

        world.Begin(7);
        world.Advance(10);
        world.Server.Restart();
        world.Server.RegisterRanks(1, dtype: "f16");
        world.Time.Advance(TimeSpan.FromSeconds(6));
        world.Begin(8);
        world.Advance(10);

        Assert.Equal(FailureReason.PeerMismatch, Assert.Single(world.Failed).Value.Failure.Reason);
        Assert.Equal(0, View(world, 8).View.Rank);
    }

    [Fact]
    public void With_force_query_the_modulo_is_not_trusted_even_where_it_would_be_right()
    {
        ResolverWorld world = new(new RankResolverOptions { ForceQuery = true });
        world.Server.RegisterRanks(4, "follow_bootstrap_room");
        world.WarmUp(4);

        world.Begin(7);
        world.Advance(100);
        Assert.Empty(world.Resolved);
        world.Server.RegisterRoom(7, 3);
        world.Advance(1);

        Assert.Equal((3, RankSource.Query), (View(world, 7).View.Rank, View(world, 7).View.Source));
    }

    [Fact]
    public void A_wrong_hint_costs_one_look_up_when_prefill_redirects()
    {
        ResolverWorld world = new();
        world.Server.RegisterRanks(4);
        world.Begin(1, hint: 0);
        world.Advance(10);
        world.Server.Calls.Clear();

        world.Redirect(7, rightRank: 3, hint: 0);
        world.Advance(1);

        (ResolvedRankView view, _) = View(world, 7);
        Assert.Equal((3, 4003, 1), (view.Rank, view.Port, view.RoundTrips));
        Assert.Equal(1, world.Server.CallCount);
    }

    [Fact]
    public void A_redirect_without_a_hint_drops_the_topology_that_misled_us()
    {
        ResolverWorld world = new();
        world.Server.RegisterRanks(4, "follow_bootstrap_room");
        world.WarmUp(4);

        world.Redirect(7, rightRank: 1);
        world.Advance(1);

        Assert.Equal(1, View(world, 7).View.Rank);
        Assert.Equal(1, world.Server.Calls["topology"]);
    }

    [Fact]
    public void A_prefill_worker_that_is_still_registering_is_waited_for()
    {
        ResolverWorld world = new();

        world.Begin(7);
        world.Time.Advance(TimeSpan.FromSeconds(30));
        Assert.Empty(world.Failed);
        world.Server.RegisterRanks(1);
        world.Time.Advance(TimeSpan.FromSeconds(1.1));

        Assert.Equal(RankSource.Single, View(world, 7).View.Source);
    }

    [Fact]
    public void A_prefill_worker_that_never_completes_its_ranks_fails_at_the_deadline()
    {
        ResolverWorld world = new();

        world.Begin(7);
        world.Time.Advance(Timeout - TimeSpan.FromTicks(1));
        Assert.Empty(world.Failed);
        world.Time.Advance(TimeSpan.FromTicks(1));

        RequestFailure failure = Assert.Single(world.Failed).Value.Failure;
        Assert.Equal(FailureReason.ResolveTimeout, failure.Reason);
        Assert.Contains("0 of 0 ranks registered", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_server_that_does_not_answer_fails_its_rooms_after_15_s_and_a_later_room_starts_over()
    {
        ResolverWorld world = new();
        world.Server.IsDown = true;

        world.Begin(7);
        world.Time.Advance(TimeSpan.FromSeconds(15));
        Assert.Empty(world.Failed);
        world.Time.Advance(TimeSpan.FromSeconds(1.1));
        RequestFailure failure = Assert.Single(world.Failed).Value.Failure;
        world.Server.IsDown = false;
        world.Server.RegisterRanks(1);
        world.Begin(8);
        world.Time.Advance(TimeSpan.FromSeconds(1.1));

        Assert.Equal(FailureReason.BootstrapUnreachable, failure.Reason);
        Assert.Contains("connection refused", failure.Message, StringComparison.Ordinal);
        Assert.Equal(0, View(world, 8).View.Rank);
    }

    [Fact]
    public void A_wait_route_that_is_missing_after_all_turns_into_polling()
    {
        ResolverWorld world = new();
        world.Server.HidesWaitRoute = true;
        world.Server.RegisterRanks(4);
        world.WarmUp(4);

        world.Begin(7);
        world.Advance(500);
        world.Server.RegisterRoom(7, 2);
        world.Advance(25);

        Assert.Equal(2, View(world, 7).View.Rank);
        Assert.Equal(1, world.Server.Calls["watch"]);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_server_restart_in_between_loses_no_room(bool isSglang)
    {
        ResolverWorld world = new();
        world.Server.IsSglang = isSglang;
        world.Server.RegisterRanks(4);
        world.WarmUp(4);
        world.Begin(7);
        world.Time.Advance(TimeSpan.FromSeconds(3));

        world.Server.Restart();
        world.Time.Advance(TimeSpan.FromSeconds(30));
        world.Server.RegisterRanks(4);
        world.Server.RegisterRoom(7, 2);
        world.Time.Advance(TimeSpan.FromSeconds(11));

        Assert.Equal(2, View(world, 7).View.Rank);
        Assert.Empty(world.Failed);
    }

    [Fact]
    public void A_new_instance_is_noticed_by_the_heartbeat_and_its_endpoints_are_fetched_again()
    {
        ResolverWorld world = new();
        world.Server.RegisterRanks(1);
        world.WarmUp(1);
        world.Server.Restart();
        world.Server.RegisterRanks(2, "follow_bootstrap_room");

        world.Time.Advance(TimeSpan.FromSeconds(5.1));
        world.Begin(7);
        world.Advance(10);

        Assert.Equal((1, RankSource.Room), (View(world, 7).View.Rank, View(world, 7).View.Source));
    }

    [Fact]
    public void The_heartbeat_has_sglangs_floors()
    {
        RankResolverOptions options = new RankResolverOptions().FromEnvironment(name => name switch
        {
            "SGLANG_DISAGGREGATION_HEARTBEAT_INTERVAL" => "0.1",
            "SGLANG_DISAGGREGATION_HEARTBEAT_MAX_FAILURE" => "0",
            "SGLANG_DISAGGREGATION_FORCE_QUERY_PREFILL_DP_RANK" => "true",
            _ => null,
        });

        Assert.Equal((TimeSpan.FromSeconds(2), 1, true), (options.HeartbeatInterval, options.HeartbeatMaxFailure, options.ForceQuery));
        Assert.Throws<FormatException>(() => options.FromEnvironment(name => name.Contains("INTERVAL", StringComparison.Ordinal) ? "soon" : null));
    }

    [Theory]
    [InlineData(null, null, 300)]
    [InlineData("600", null, 300)]
    [InlineData("600", "20.5", 20.5)]
    [InlineData("7", "20", 7)]
    public void The_deadline_is_the_smaller_of_the_two_timeouts(string? bootstrap, string? waiting, double seconds)
    {
        RankResolverOptions options = new RankResolverOptions().FromEnvironment(name => name switch
        {
            "SGLANG_DISAGGREGATION_BOOTSTRAP_TIMEOUT" => bootstrap,
            "SGLANG_DISAGGREGATION_WAITING_TIMEOUT" => waiting,
            _ => null,
        });

        Assert.Equal(TimeSpan.FromSeconds(seconds), options.ResolveTimeout);
    }

    [Fact]
    public void A_cancelled_room_gets_no_answer_and_leaves_nothing_behind()
    {
        ResolverWorld world = new();
        world.Server.RegisterRanks(4);
        world.WarmUp(4);
        world.Begin(7);
        world.Advance(100);

        world.Resolver.Cancel(new BootstrapRoom(7));
        world.Server.RegisterRoom(7, 1);
        world.Time.Advance(Timeout * 2);

        Assert.Empty(world.Resolved);
        Assert.Empty(world.Failed);
        Assert.Equal(0, world.Resolver.PendingCount);
        Assert.Equal(0, world.Server.Table.Rooms.WatchedCount);
    }

    [Fact]
    public void The_same_room_twice_is_refused_while_the_first_is_pending()
    {
        ResolverWorld world = new();
        world.Server.RegisterRanks(4);
        world.Begin(7);
        Recorder second = new();

        world.Resolver.Begin(new BootstrapInfo(ResolverWorld.Address, new BootstrapRoom(7), null), second);

        Assert.Equal(FailureReason.DuplicateRoom, Assert.Single(second.Failures).Reason);
        Assert.Equal(1, world.Resolver.PendingCount);
    }

    [Fact]
    public void Pending_rooms_and_servers_are_bounded()
    {
        ResolverWorld world = new(new RankResolverOptions { MaxPendingRooms = 2, MaxServers = 2 });
        Recorder others = new();
        world.Begin(1);
        world.Resolver.Begin(new BootstrapInfo(new BootstrapAddress("10.0.0.2", 8998), new BootstrapRoom(2), null), others);
        world.Begin(3);
        world.Resolver.Cancel(new BootstrapRoom(1));
        world.Resolver.Begin(new BootstrapInfo(new BootstrapAddress("10.0.0.3", 8998), new BootstrapRoom(4), null), others);

        Assert.Equal(FailureReason.QueueFull, world.Failed[3].Failure.Reason);
        Assert.Equal(FailureReason.QueueFull, Assert.Single(others.Failures).Reason);
    }

    [Fact]
    public async Task Disposing_ends_every_room_with_a_reason()
    {
        ResolverWorld world = new();
        world.Server.RegisterRanks(4);
        world.WarmUp(4);
        world.Begin(7);
        world.Advance(100);

        await world.Resolver.DisposeAsync();
        world.Begin(8);

        Assert.Equal([FailureReason.ShuttingDown, FailureReason.ShuttingDown], world.Failed.Values.Select(f => f.Failure.Reason));
        Assert.Null(world.Time.NextDue);
    }

    [Fact]
    public void A_watch_that_the_server_lost_is_made_again_with_every_room_and_the_newcomer_that_found_out()
    {
        ResolverWorld world = new();
        world.Server.RegisterRanks(4);
        world.WarmUp(4);
        world.Begin(1);
        world.Begin(2);
        world.Advance(1000);

        world.Server.ForgetWatches();
        world.Begin(3);
        world.Advance(1000);
        for (ulong room = 1; room <= 3; room++) world.Server.RegisterRoom(room, (int)room);
        world.Advance(1);

        Assert.Equal([1, 2, 3], world.Resolved.OrderBy(room => room.Key).Select(room => room.Value.Rank.Endpoint.Rank.Value));
    }

    [Fact]
    public void A_watch_that_the_server_lost_is_made_again_when_the_parked_query_is_renewed()
    {
        ResolverWorld world = new();
        world.Server.RegisterRanks(4);
        world.WarmUp(4);
        world.Begin(1);
        world.Begin(2);
        world.Advance(1000);

        world.Server.ForgetWatches();
        // The query that was parked before holds its place for the rest of its 10 s.
        world.Advance(9100);
        world.Server.RegisterRoom(1, 3);
        world.Advance(1);

        Assert.Equal(3, View(world, 1).View.Rank);
        Assert.Equal(1, world.Resolver.PendingCount);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_parked_query_is_answered_at_once_when_the_prefill_worker_is_replaced_or_stops(bool isReplaced)
    {
        ResolverWorld world = new();
        world.Server.RegisterRanks(4);
        world.WarmUp(4);
        world.Begin(7);
        world.Advance(1000);

        if (!isReplaced) world.Server.Table.Ranks.Unregister("worker");
        world.Server.RegisterRanks(4, worker: "next life", firstPort: 5000);
        world.Server.RegisterRoom(7, 2);
        world.Advance(isReplaced ? 2 : 100);

        Assert.Equal(5002, View(world, 7).View.Port);
    }

    [Fact]
    public void Ten_thousand_rooms_on_an_sglang_server_go_in_bodies_below_one_mebibyte()
    {
        ResolverWorld world = new(new RankResolverOptions { MaxRoomsPerQuery = 4000 });
        world.Server.IsSglang = true;
        world.Server.RegisterRanks(4);
        world.WarmUp(4);

        for (ulong room = 1; room <= 10_000; room++) world.Begin(room);
        for (ulong room = 1; room <= 10_000; room++) world.Server.RegisterRoom(room, (int)(room % 4));
        world.Advance(30);

        Assert.Equal(10_000, world.Resolved.Count);
        Assert.All(world.Resolved, r => Assert.Equal((int)(r.Key % 4), r.Value.Rank.Endpoint.Rank.Value));
    }

    internal static (ResolvedRankView View, TimeSpan At) View(ResolverWorld world, ulong room)
    {
        Assert.True(world.Resolved.ContainsKey(room), world.Failed.TryGetValue(room, out (RequestFailure Failure, TimeSpan) f) ? f.Failure.ToString() : "no answer yet");
        (Core.Resolution.ResolvedRank rank, TimeSpan at) = world.Resolved[room];
        KvEndpoint e = rank.Endpoint;
        return (new ResolvedRankView(e.Host, e.Port, e.Rank.Value, rank.Source, rank.RoundTrips), at);
    }

    private sealed class Recorder : Core.Resolution.IRankResolutionSink
    {
        public List<RequestFailure> Failures { get; } = [];

        public void OnResolved(BootstrapRoom room, Core.Resolution.ResolvedRank resolved) => Assert.Fail("not expected");

        public void OnResolveFailed(BootstrapRoom room, RequestFailure failure) => Failures.Add(failure);
    }
}

internal sealed record ResolvedRankView(string Host, int Port, int Rank, RankSource Source, int RoundTrips);
