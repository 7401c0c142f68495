using Baton.Bootstrap.Decode;
using Baton.Core.Failures;
using Microsoft.Extensions.Logging;

namespace Baton.Bootstrap.Tests.Decode;

/// <summary>Every timer of the resolver to the tick: calls take no time here, and chance is fixed at one of its two ends.</summary>
public sealed class ResolverTimerTests
{
    private static readonly TimeSpan Tick = TimeSpan.FromTicks(1);

    public static TheoryData<double, double> BothEnds => Jitter.BothEnds;

    private static ResolverWorld Create(double fraction = 0, RankResolverOptions? options = null, ILogger<RankResolver>? logger = null)
    {
        ResolverWorld world = new(options, new FixedRandom(fraction), logger);
        world.Server.Latency = TimeSpan.Zero;
        return world;
    }

    /// <summary>A resolver that has fetched topology and endpoints, and the moment from which a test counts.</summary>
    private static ResolverWorld CreateWarm(int ranks, out TimeSpan began, double fraction = 0, bool isSglang = false, bool breaksQueries = false)
    {
        ResolverWorld world = Create(fraction);
        (world.Server.IsSglang, world.Server.BreaksQueries) = (isSglang, breaksQueries);
        world.Server.RegisterRanks(ranks);
        world.WarmUp(ranks);
        began = world.Time.Now;
        return world;
    }

    /// <summary>Moves the clock to <paramref name="at"/>, with no failure before its last tick.</summary>
    private static void AdvanceToFailure(ResolverWorld world, TimeSpan at)
    {
        world.Time.AdvanceTo(at - Tick);
        Assert.Empty(world.Failed);
        world.Time.Advance(Tick);
    }

    /// <summary>Moves the clock to <paramref name="at"/>, where what is cached goes and no tick before.</summary>
    private static void AssertForgottenAt(ResolverWorld world, TimeSpan at)
    {
        world.Time.AdvanceTo(at - Tick);
        Assert.NotNull(world.Resolver.TopologyOf(ResolverWorld.Address));
        world.Time.Advance(Tick);
        Assert.Null(world.Resolver.TopologyOf(ResolverWorld.Address));
    }

    [Theory]
    [MemberData(nameof(BothEnds))]
    public void The_topology_is_tried_again_after_50_ms_and_then_twice_as_long_up_to_a_second(double fraction, double factor)
    {
        ResolverWorld world = Create(fraction);

        world.Begin(7);
        world.Time.Advance(TimeSpan.FromSeconds(10));

        Assert.Equal(Jitter.Tries(50, 1000, factor, 10_000), world.Server.TimesOf("topology", TimeSpan.Zero));
    }

    [Theory]
    [MemberData(nameof(BothEnds))]
    public void An_sglang_server_is_polled_after_1_ms_and_then_twice_as_long_up_to_20(double fraction, double factor)
    {
        ResolverWorld world = CreateWarm(4, out TimeSpan began, fraction, isSglang: true);

        world.Begin(7);
        world.Advance(1000);

        Assert.Equal(Jitter.Tries(1, 20, factor, 1000), world.Server.TimesOf("query", began));
    }

    [Fact]
    public void A_newcomer_makes_slow_polling_fast_again_behind_the_pause_that_is_under_way()
    {
        ResolverWorld world = CreateWarm(4, out TimeSpan began, isSglang: true);

        world.Begin(1);
        world.Advance(60);
        world.Begin(2);
        world.Advance(62);

        Assert.Equal([0, 1, 3, 7, 15, 31, 51, 71, 72, 74, 78, 86, 102, 122], world.Server.TimesOf("query", began));
    }

    [Fact]
    public void An_answer_makes_slow_polling_fast_again_for_the_rooms_that_still_wait()
    {
        ResolverWorld world = CreateWarm(4, out TimeSpan began, isSglang: true);

        world.Begin(1);
        world.Begin(2);
        world.Advance(60);
        world.Server.RegisterRoom(1, 3);
        world.Advance(62);

        Assert.Equal([0, 1, 2, 4, 8, 16, 32, 52, 72, 73, 75, 79, 87, 103], world.Server.TimesOf("query", began));
        Assert.Equal(1, world.Resolver.PendingCount);
    }

    [Theory]
    [InlineData(false, 0, 1)]
    [InlineData(false, FixedRandom.AlmostOne, 0.75)]
    [InlineData(true, 0, 1)]
    [InlineData(true, FixedRandom.AlmostOne, 0.75)]
    public void A_broken_query_is_made_again_after_20_ms_and_then_twice_as_long_up_to_a_second(bool isSglang, double fraction, double factor)
    {
        ResolverWorld world = CreateWarm(4, out TimeSpan began, fraction, isSglang, breaksQueries: true);

        world.Begin(7);
        world.Time.Advance(TimeSpan.FromSeconds(10));
        double[] tries = [.. world.Server.TimesOf(isSglang ? "query" : "watch", began)];
        world.Server.BreaksQueries = false;
        world.Server.RegisterRoom(7, 1);
        world.Time.Advance(TimeSpan.FromSeconds(1));

        Assert.Equal(Jitter.Tries(20, 1000, factor, 10_000), tries);
        Assert.Equal(1, Assert.Single(world.Resolved).Value.Rank.Endpoint.Rank.Value);
    }

    [Theory]
    [MemberData(nameof(BothEnds))]
    public void A_silent_server_fails_its_rooms_15_s_after_the_first_failure_and_no_tick_before(double fraction, double factor)
    {
        ResolverWorld world = Create(fraction);
        world.Server.IsDown = true;

        world.Begin(7);
        AdvanceToFailure(world, TimeSpan.FromSeconds(15));

        (RequestFailure failure, TimeSpan at) = Assert.Single(world.Failed).Value;
        Assert.Equal((FailureReason.BootstrapUnreachable, TimeSpan.FromSeconds(15)), (failure.Reason, at));
        Assert.Contains("has not answered: connection refused", failure.Message, StringComparison.Ordinal);
        // The last pause is cut short, the others are not.
        Assert.Equal([.. Jitter.Tries(50, 1000, factor, 14_999), 15_000], world.Server.TimesOf("topology", TimeSpan.Zero));
    }

    [Fact]
    public void A_deadline_before_the_15_s_ends_the_room_of_a_silent_server_to_the_tick()
    {
        ResolverWorld world = Create(options: new RankResolverOptions { ResolveTimeout = TimeSpan.FromSeconds(3) });
        world.Server.IsDown = true;

        world.Begin(7);
        AdvanceToFailure(world, TimeSpan.FromSeconds(3));

        Assert.Equal(FailureReason.BootstrapUnreachable, Assert.Single(world.Failed).Value.Failure.Reason);
    }

    [Fact]
    public void Silence_that_nobody_waited_through_does_not_count()
    {
        ResolverWorld world = Create();
        world.Server.IsDown = true;
        world.Begin(7);
        world.Time.AdvanceTo(TimeSpan.FromSeconds(1));
        world.Resolver.Cancel(new(7));
        world.Time.AdvanceTo(TimeSpan.FromSeconds(40));

        world.Begin(8);
        AdvanceToFailure(world, TimeSpan.FromSeconds(55));

        Assert.Equal(FailureReason.BootstrapUnreachable, Assert.Single(world.Failed).Value.Failure.Reason);
    }

    [Fact]
    public void A_prefill_worker_that_took_its_ranks_with_it_fails_the_rooms_that_name_it_after_15_s()
    {
        ResolverWorld world = CreateWarm(4, out _);
        world.Begin(7);
        world.Time.AdvanceTo(TimeSpan.FromSeconds(2));

        world.Server.Table.Ranks.Unregister("worker");
        world.Time.AdvanceTo(TimeSpan.FromSeconds(10));
        world.Begin(8);
        AdvanceToFailure(world, TimeSpan.FromSeconds(17));

        Assert.Equal([7UL, 8UL], world.Failed.Keys.Order());
        Assert.All(world.Failed.Values, end => Assert.Equal(FailureReason.RankUnavailable, end.Failure.Reason));
        Assert.Contains("for 15.0 s the prefill worker registered at 10.0.0.1:8998 has been stopped", world.Failed[7].Failure.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(-1, true)]
    [InlineData(0, false)]
    public void Another_prefill_worker_that_comes_within_the_15_s_gets_the_rooms_of_the_one_that_stopped(long ticksAfter15Seconds, bool isInTime)
    {
        ResolverWorld world = CreateWarm(4, out _);
        world.Begin(7);
        world.Server.Table.Ranks.Unregister("worker");

        world.Time.Advance(TimeSpan.FromSeconds(15) + TimeSpan.FromTicks(ticksAfter15Seconds));
        // Its other ranks take longer than the 15 s, and are waited for like those of any worker that starts.
        world.Server.RegisterRanks(2, worker: "next", count: 1);
        world.Time.Advance(TimeSpan.FromSeconds(30));
        world.Server.RegisterRanks(2, worker: "next");
        world.Server.RegisterRoom(7, 1);
        world.Time.Advance(TimeSpan.FromSeconds(1));

        Assert.Equal((isInTime ? 1 : 0, isInTime ? 0 : 1), (world.Resolved.Count, world.Failed.Count));
    }

    [Fact]
    public void An_idle_server_is_forgotten_with_the_heartbeat_a_minute_after_its_last_request()
    {
        ResolverWorld world = Create();
        world.Server.RegisterRanks(1);
        world.Begin(7);

        AssertForgottenAt(world, TimeSpan.FromSeconds(60));

        Assert.Null(world.Time.NextDue);
    }

    [Fact]
    public void A_request_a_tick_later_keeps_the_idle_server_for_one_more_heartbeat()
    {
        ResolverWorld world = Create();
        world.Server.RegisterRanks(1);
        world.Begin(7);
        world.Time.AdvanceTo(Tick);
        world.Begin(8);

        AssertForgottenAt(world, TimeSpan.FromSeconds(65));
    }

    [Fact]
    public void What_is_cached_goes_with_the_second_heartbeat_that_fails()
    {
        ResolverWorld world = CreateWarm(1, out TimeSpan began);

        world.Server.IsDown = true;
        AssertForgottenAt(world, TimeSpan.FromSeconds(10));

        Assert.Equal([5000, 10_000], world.Server.TimesOf("health", began - TimeSpan.FromMilliseconds(10)));
    }

    [Fact]
    public void A_parked_query_is_renewed_after_ten_seconds_to_the_tick()
    {
        ResolverWorld world = CreateWarm(4, out TimeSpan began);

        world.Begin(7);
        world.Time.Advance(TimeSpan.FromSeconds(30));

        Assert.Equal([0, 10_000, 20_000, 30_000], world.Server.TimesOf("watch", began));
    }

    [Theory]
    [InlineData(0, false)]
    [InlineData(1, true)]
    public void A_topology_is_trusted_for_a_second_when_a_rank_is_beyond_it(long ticksAfterASecond, bool isFetchedAgain)
    {
        ResolverWorld world = Create();
        world.Server.RegisterRanks(2);
        world.Begin(1, hint: 0);
        world.Time.AdvanceTo(TimeSpan.FromSeconds(1) + TimeSpan.FromTicks(ticksAfterASecond));

        world.Begin(7, hint: 2);

        Assert.Equal(FailureReason.RankOutOfRange, Assert.Single(world.Failed).Value.Failure.Reason);
        Assert.Equal(isFetchedAgain ? 2 : 1, world.Server.Calls["topology"]);
    }

    [Fact]
    public void A_server_that_nobody_waits_for_any_more_may_be_silent_without_a_word()
    {
        LevelCounter log = new();
        ResolverWorld waited = Create(logger: log), left = Create(logger: log);
        // A call takes 2 s, so the one that begins at 17 s is the last: its answer comes at 19.
        (waited.Server.IsDown, left.Server.IsDown) = (true, true);
        (waited.Server.Latency, left.Server.Latency) = (TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(1));

        left.Begin(7);
        left.Time.AdvanceTo(TimeSpan.FromSeconds(18));
        left.Resolver.Cancel(new(7));
        left.Time.AdvanceTo(TimeSpan.FromSeconds(30));
        int linesOfNobody = log.Levels.Count;
        waited.Begin(7);
        waited.Time.AdvanceTo(TimeSpan.FromSeconds(30));

        Assert.Equal(0, linesOfNobody);
        Assert.Equal(TimeSpan.FromSeconds(19), Assert.Single(waited.Failed).Value.At);
        Assert.Equal([LogLevel.Error], log.Levels);
    }

    private sealed class LevelCounter : ILogger<RankResolver>
    {
        public List<LogLevel> Levels { get; } = [];

        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) => Levels.Add(logLevel);
    }
}
