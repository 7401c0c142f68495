using System.IO.Pipelines;
using Baton.Bootstrap.Prefill;
using Baton.Bootstrap.Tests.Decode;
using Baton.Core.Failures;
using Baton.Core.Ids;
using Baton.Simulation.Clock;
using Microsoft.Extensions.Logging.Abstractions;

namespace Baton.Bootstrap.Tests.Prefill;

public sealed class RoomRegistrarTests
{
    private readonly VirtualTimeProvider _time = new();
    private readonly VirtualBootstrap _server;

    public RoomRegistrarTests() => _server = new VirtualBootstrap(_time);

    public static TheoryData<double, double> BothEnds => Jitter.BothEnds;

    private RoomRegistrar Create(RoomRegistrarOptions? options = null, Random? random = null, PipeScheduler? scheduler = null) =>
        new(options ?? new RoomRegistrarOptions(), new BootstrapAddress("10.0.0.1", 8998), _server, _time, random ?? new Random(81), scheduler ?? PipeScheduler.Inline, NullLogger<RoomRegistrar>.Instance);

    [Fact]
    public void Rooms_that_come_while_a_request_is_under_way_share_the_next_one()
    {
        RoomRegistrar registrar = Create();

        for (ulong room = 1; room <= 1000; room++) registrar.Register(new BootstrapRoom(room), new DpRank((int)(room % 4)));
        _time.Advance(TimeSpan.FromMilliseconds(1));

        Assert.Equal(2, _server.Calls["update"]);
        Assert.Equal(1000, _server.Table.Rooms.Count);
        Assert.Equal(new DpRank(3), _server.Table.Rooms.Find(new BootstrapRoom(7), _time.Now).Rank);
    }

    [Fact]
    public void The_thread_that_dispatches_makes_no_request_and_one_poster_sends_all()
    {
        HeldScheduler elsewhere = new();
        RoomRegistrar registrar = Create(scheduler: elsewhere);
        _server.Latency = TimeSpan.Zero;

        for (ulong room = 1; room <= 5; room++) registrar.Register(new BootstrapRoom(room), DpRank.Zero);
        registrar.NotifyEnded(new BootstrapRoom(1));
        registrar.NotifyFailed(new BootstrapRoom(2), new RequestFailure(FailureReason.Aborted, "left"));
        (int Calls, int Posters) before = (_server.CallCount, elsewhere.Count);
        elsewhere.RunAll();

        Assert.Equal((0, 1), before);
        Assert.Equal(1, _server.Calls["update"]);
        Assert.Equal(4, _server.Table.Rooms.Count);
    }

    [Fact]
    public void A_server_that_is_down_is_tried_until_it_takes_the_room()
    {
        RoomRegistrar registrar = Create();
        _server.IsDown = true;
        registrar.Register(new BootstrapRoom(7), new DpRank(2));
        _time.Advance(TimeSpan.FromSeconds(20));
        int tries = _server.Calls["update"];
        _server.Restart();
        _server.IsDown = false;

        _time.Advance(TimeSpan.FromSeconds(1.1));

        Assert.InRange(tries, 15, 40);
        Assert.Equal(new DpRank(2), _server.Table.Rooms.Find(new BootstrapRoom(7), _time.Now).Rank);
    }

    [Theory]
    [MemberData(nameof(BothEnds))]
    public void A_batch_is_sent_again_after_5_ms_and_then_twice_as_long_up_to_a_second_until_the_life_of_its_room_is_over(double fraction, double factor)
    {
        _server.Latency = TimeSpan.Zero;
        _server.IsDown = true;
        RoomRegistrar registrar = Create(random: new FixedRandom(fraction));

        registrar.Register(new BootstrapRoom(7), new DpRank(2));
        _time.AdvanceTo(TimeSpan.FromMinutes(10));

        // The life is 300 s: a try that would fall on its end is not made.
        Assert.Equal(Jitter.Tries(5, 1000, factor, 299_999), _server.TimesOf("update", TimeSpan.Zero));
        Assert.Equal(0, registrar.RoomCount);
    }

    [Fact]
    public void Pauses_of_a_seeded_worker_lie_between_three_quarters_and_the_whole_and_reach_both_ends()
    {
        _server.Latency = TimeSpan.Zero;
        _server.IsDown = true;
        RoomRegistrar registrar = Create(new RoomRegistrarOptions { RetryFloor = TimeSpan.FromMilliseconds(100), RetryCeiling = TimeSpan.FromMilliseconds(100) });

        registrar.Register(new BootstrapRoom(7), new DpRank(2));
        _time.AdvanceTo(TimeSpan.FromSeconds(250));

        double[] tries = [.. _server.TimesOf("update", TimeSpan.Zero)];
        double[] pauses = [.. tries.Skip(1).Zip(tries, (next, one) => next - one)];
        Assert.Equal((76, 100), (pauses.Min(), pauses.Max()));
        Assert.InRange(pauses.Average(), 86, 90);
    }

    [Theory]
    [InlineData(299.9, true)]
    [InlineData(300.0, false)]
    public void A_room_is_tried_until_its_life_is_over(double downForSeconds, bool isPosted)
    {
        RoomRegistrar registrar = Create(new RoomRegistrarOptions { RetryCeiling = TimeSpan.FromMilliseconds(40) });
        _server.IsDown = true;
        registrar.Register(new BootstrapRoom(7), new DpRank(2));
        _time.AdvanceTo(TimeSpan.FromSeconds(downForSeconds));
        _server.Restart();
        _server.IsDown = false;

        _time.Advance(TimeSpan.FromSeconds(2));

        Assert.Equal(isPosted, !_server.Table.Rooms.Find(new BootstrapRoom(7), _time.Now).IsUnknown);
    }

    [Fact]
    public void A_forgotten_room_is_not_tried_any_more()
    {
        RoomRegistrar registrar = Create();
        _server.IsDown = true;
        registrar.Register(new BootstrapRoom(7), new DpRank(2));
        _time.Advance(TimeSpan.FromSeconds(1));

        registrar.Forget(new BootstrapRoom(7));
        _server.Restart();
        _server.IsDown = false;
        _time.Advance(TimeSpan.FromSeconds(10));

        Assert.Equal(0, registrar.RoomCount);
        Assert.Equal(0, _server.Table.Rooms.Count);
        Assert.Null(_time.NextDue);
    }

    [Fact]
    public void An_ended_room_is_taken_back_and_one_that_was_never_sent_is_not_mentioned()
    {
        RoomRegistrar registrar = Create();
        registrar.Register(new BootstrapRoom(1), DpRank.Zero);
        registrar.Register(new BootstrapRoom(2), DpRank.Zero);
        registrar.NotifyEnded(new BootstrapRoom(2));
        _time.Advance(TimeSpan.FromMilliseconds(1));
        int before = _server.Table.Rooms.Count;

        registrar.NotifyEnded(new BootstrapRoom(1));
        _time.Advance(TimeSpan.FromMilliseconds(1));

        Assert.Equal(1, before);
        Assert.Equal(0, _server.Table.Rooms.Count);
        Assert.Equal(0, registrar.RoomCount);
        Assert.Equal(2, _server.Calls["update"]);
    }

    [Fact]
    public void An_end_that_comes_while_the_registration_is_under_way_is_not_lost()
    {
        RoomRegistrar registrar = Create();
        registrar.Register(new BootstrapRoom(1), DpRank.Zero);

        registrar.NotifyEnded(new BootstrapRoom(1));
        _time.Advance(TimeSpan.FromMilliseconds(2));

        Assert.Equal(0, _server.Table.Rooms.Count);
        Assert.Equal(0, registrar.RoomCount);
    }

    [Fact]
    public void A_failure_is_told_with_its_reason_even_for_a_room_that_was_never_registered()
    {
        RoomRegistrar registrar = Create();

        registrar.NotifyFailed(new BootstrapRoom(7), new RequestFailure(FailureReason.PromptTooLong, "4096 tokens"));
        _time.Advance(TimeSpan.FromMilliseconds(1));

        Assert.Equal(new RequestFailure(FailureReason.PromptTooLong, "4096 tokens"), _server.Table.Rooms.Find(new BootstrapRoom(7), _time.Now).Failure);
        Assert.Equal(0, registrar.RoomCount);
    }

    [Fact]
    public void A_replaced_server_is_told_all_living_rooms_again()
    {
        RoomRegistrar registrar = Create();
        for (ulong room = 1; room <= 10; room++) registrar.Register(new BootstrapRoom(room), DpRank.Zero);
        _time.Advance(TimeSpan.FromMilliseconds(2));
        for (ulong room = 1; room <= 5; room++) registrar.NotifyEnded(new BootstrapRoom(room));
        _time.Advance(TimeSpan.FromMilliseconds(2));

        _server.Restart();
        registrar.Register(new BootstrapRoom(11), DpRank.Zero);
        _time.Advance(TimeSpan.FromMilliseconds(2));

        Assert.Equal(6, _server.Table.Rooms.Count);
    }

    [Fact]
    public void An_sglang_server_gets_one_registration_a_room_and_no_notices()
    {
        _server.IsSglang = true;
        RoomRegistrar registrar = Create();

        for (ulong room = 1; room <= 20; room++) registrar.Register(new BootstrapRoom(room), new DpRank(1));
        registrar.NotifyFailed(new BootstrapRoom(21), new RequestFailure(FailureReason.Aborted, "gone"));
        _time.Advance(TimeSpan.FromMilliseconds(20));
        registrar.NotifyEnded(new BootstrapRoom(1));
        _time.Advance(TimeSpan.FromMilliseconds(20));

        Assert.Equal(1, _server.Calls["update"]);
        Assert.Equal(21, _server.Calls["register"]);
        Assert.Equal(19, registrar.RoomCount);
        // Decode claims the failed room wherever it is told, and every rank answers with the reason.
        Assert.NotNull(_server.Table.Rooms.Find(new BootstrapRoom(21), _time.Now).Rank);
    }

    [Fact]
    public void One_room_that_the_server_refuses_holds_no_other_back()
    {
        RoomRegistrar registrar = Create();
        _server.RefusedRoom = 700;

        for (ulong room = 1; room <= 1000; room++) registrar.Register(new BootstrapRoom(room), DpRank.Zero);
        _time.Advance(TimeSpan.FromSeconds(10));

        Assert.Equal(999, _server.Table.Rooms.Count);
        Assert.Equal(999, registrar.RoomCount);
        // Ten halvings from 1000 rooms to one, each with a pause, and then whole batches again.
        Assert.InRange(_server.Calls["update"], 10, 40);
    }

    [Fact]
    public async Task A_flush_waits_until_the_server_has_taken_the_last_notice()
    {
        RoomRegistrar registrar = Create();
        _server.IsDown = true;
        registrar.NotifyFailed(new BootstrapRoom(7), new RequestFailure(FailureReason.ShuttingDown, "gone"));
        Task<bool> flush = registrar.FlushAsync(TimeSpan.FromSeconds(2));
        _time.Advance(TimeSpan.FromSeconds(1));
        bool isEarly = flush.IsCompleted;

        _server.Restart();
        _server.IsDown = false;
        _time.Advance(TimeSpan.FromSeconds(0.9));

        Assert.False(isEarly);
        Assert.True(flush.IsCompleted && await flush);
        Assert.NotNull(_server.Table.Rooms.Find(new BootstrapRoom(7), _time.Now).Failure);
    }

    [Fact]
    public async Task A_flush_gives_up_at_its_deadline_and_not_before()
    {
        RoomRegistrar registrar = Create();
        _server.IsDown = true;
        registrar.NotifyFailed(new BootstrapRoom(7), new RequestFailure(FailureReason.ShuttingDown, "gone"));

        Task<bool> flush = registrar.FlushAsync(TimeSpan.FromSeconds(2));
        _time.Advance(TimeSpan.FromMilliseconds(1999));
        bool isEarly = flush.IsCompleted;
        _time.Advance(TimeSpan.FromMilliseconds(1));

        Assert.False(isEarly);
        Assert.True(flush.IsCompleted);
        Assert.False(await flush);
    }

    [Fact]
    public async Task A_flush_with_nothing_to_tell_is_over_at_once_and_after_the_stop_it_says_no()
    {
        RoomRegistrar registrar = Create();
        registrar.Register(new BootstrapRoom(7), DpRank.Zero);
        _time.Advance(TimeSpan.FromMilliseconds(1));

        Task<bool> idle = registrar.FlushAsync(TimeSpan.FromSeconds(2));
        await registrar.DisposeAsync();
        Task<bool> stopped = registrar.FlushAsync(TimeSpan.FromSeconds(2));

        Assert.True(idle.IsCompleted && await idle);
        Assert.False(await stopped);
    }

    [Fact]
    public void Rooms_are_bounded_and_a_known_one_may_change()
    {
        RoomRegistrar registrar = Create(new RoomRegistrarOptions { MaxRooms = 64 });

        for (ulong room = 1; room <= 64; room++) Assert.True(registrar.Register(new BootstrapRoom(room), DpRank.Zero));
        bool tooMany = registrar.Register(new BootstrapRoom(65), DpRank.Zero);
        bool again = registrar.Register(new BootstrapRoom(64), new DpRank(1));

        Assert.False(tooMany);
        Assert.True(again);
    }
}
