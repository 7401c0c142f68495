using Baton.Bootstrap.Registry;
using Baton.Core.Failures;
using Baton.Core.Ids;

namespace Baton.Bootstrap.Tests.Registry;

public sealed class RoomTableTests
{
    private static readonly TimeSpan Life = TimeSpan.FromSeconds(330);
    private static readonly RequestFailure Aborted = new(FailureReason.Aborted, "client went away");

    [Fact]
    public void A_registered_room_is_found_until_its_life_is_over_and_not_after()
    {
        RoomTable table = new(new RoomTableOptions { EntryLife = Life });
        table.TryRegister(new BootstrapRoom(7), new DpRank(3), TimeSpan.Zero);

        RoomAnswer last = table.Find(new BootstrapRoom(7), Life);
        RoomAnswer late = table.Find(new BootstrapRoom(7), Life + TimeSpan.FromTicks(1));

        Assert.Equal(new DpRank(3), last.Rank);
        Assert.True(late.IsUnknown);
    }

    [Fact]
    public void The_sweep_drops_what_is_past_its_life_and_keeps_what_is_on_the_edge()
    {
        RoomTable table = new(new RoomTableOptions { EntryLife = Life });
        for (ulong room = 1; room <= 5000; room++) table.TryRegister(new BootstrapRoom(room), DpRank.Zero, TimeSpan.Zero);
        table.TryRegister(new BootstrapRoom(9999), DpRank.Zero, TimeSpan.FromSeconds(1));

        int early = table.Sweep(Life);
        int late = table.Sweep(Life + TimeSpan.FromTicks(1));

        Assert.Equal(0, early);
        Assert.Equal(5000, late);
        Assert.Equal(1, table.Count);
        Assert.Equal(5000, table.ExpiredCount);
    }

    [Fact]
    public void Registering_again_overwrites_the_rank_and_starts_a_new_life()
    {
        RoomTable table = new(new RoomTableOptions { EntryLife = Life });
        table.TryRegister(new BootstrapRoom(7), new DpRank(1), TimeSpan.Zero);

        table.TryRegister(new BootstrapRoom(7), new DpRank(2), TimeSpan.FromSeconds(300));
        table.Sweep(TimeSpan.FromSeconds(400));

        Assert.Equal(new DpRank(2), table.Find(new BootstrapRoom(7), TimeSpan.FromSeconds(630)).Rank);
        Assert.Equal(1, table.Count);
    }

    [Fact]
    public void A_failed_room_answers_with_its_reason_and_an_ended_one_is_gone()
    {
        RoomTable table = new(new RoomTableOptions());
        table.TryRegister(new BootstrapRoom(1), DpRank.Zero, TimeSpan.Zero);
        table.TryRegister(new BootstrapRoom(2), DpRank.Zero, TimeSpan.Zero);

        table.TryFail(new BootstrapRoom(1), Aborted, TimeSpan.Zero);
        bool removed = table.Remove(new BootstrapRoom(2));

        Assert.Equal(Aborted, table.Find(new BootstrapRoom(1), TimeSpan.Zero).Failure);
        Assert.True(removed);
        Assert.False(table.Remove(new BootstrapRoom(2)));
        Assert.True(table.Find(new BootstrapRoom(2), TimeSpan.Zero).IsUnknown);
        Assert.Equal(1, table.Count);
    }

    [Fact]
    public void A_full_table_gives_up_its_oldest_failed_room_first_and_then_refuses()
    {
        RoomTable table = new(new RoomTableOptions { Capacity = 100 });
        table.TryFail(new BootstrapRoom(1), Aborted, TimeSpan.Zero);
        for (ulong room = 2; room <= 100; room++) Assert.True(table.TryRegister(new BootstrapRoom(room), DpRank.Zero, TimeSpan.Zero));

        bool first = table.TryRegister(new BootstrapRoom(1000), DpRank.Zero, TimeSpan.Zero);
        bool second = table.TryRegister(new BootstrapRoom(1001), DpRank.Zero, TimeSpan.Zero);
        bool again = table.TryRegister(new BootstrapRoom(2), new DpRank(1), TimeSpan.Zero);

        Assert.True(first);
        Assert.True(table.Find(new BootstrapRoom(1), TimeSpan.Zero).IsUnknown);
        Assert.False(second);
        Assert.True(again);
        Assert.Equal(100, table.Count);
    }

    [Fact]
    public void A_full_table_takes_new_rooms_once_old_ones_have_expired_without_any_sweep()
    {
        RoomTable table = new(new RoomTableOptions { Capacity = 100, EntryLife = Life });
        for (ulong room = 1; room <= 100; room++) table.TryRegister(new BootstrapRoom(room), DpRank.Zero, TimeSpan.Zero);

        bool onTheEdge = table.TryRegister(new BootstrapRoom(1000), DpRank.Zero, Life);
        bool after = table.TryRegister(new BootstrapRoom(1000), DpRank.Zero, Life + TimeSpan.FromTicks(1));

        Assert.False(onTheEdge);
        Assert.True(after);
    }

    [Fact]
    public void Failed_rooms_have_a_bound_of_their_own()
    {
        RoomTable table = new(new RoomTableOptions { MaxFailedRooms = 64 });

        for (ulong room = 1; room <= 10_000; room++) table.TryFail(new BootstrapRoom(room), Aborted, TimeSpan.Zero);

        Assert.InRange(table.Count, 1, 64);
        Assert.Equal(Aborted, table.Find(new BootstrapRoom(10_000), TimeSpan.Zero).Failure);
    }

    [Fact]
    public void Watchers_are_told_once_and_only_about_their_room()
    {
        RoomTable table = new(new RoomTableOptions());
        Recorder first = new();
        Recorder second = new();
        Recorder gone = new();
        table.FindOrWatch(new BootstrapRoom(5), first, TimeSpan.Zero);
        table.FindOrWatch(new BootstrapRoom(5), gone, TimeSpan.Zero);
        table.FindOrWatch(new BootstrapRoom(5), second, TimeSpan.Zero);
        table.Unwatch(new BootstrapRoom(5), gone);

        table.TryRegister(new BootstrapRoom(6), DpRank.Zero, TimeSpan.Zero);
        table.TryRegister(new BootstrapRoom(5), new DpRank(2), TimeSpan.Zero);
        table.TryRegister(new BootstrapRoom(5), new DpRank(3), TimeSpan.Zero);

        Assert.Equal([(5UL, 2)], first.Told);
        Assert.Equal([(5UL, 2)], second.Told);
        Assert.Empty(gone.Told);
        Assert.Equal(0, table.WatchedCount);
    }

    [Fact]
    public void Random_operations_agree_with_a_plain_dictionary()
    {
        Random random = new(81);
        RoomTable table = new(new RoomTableOptions { EntryLife = TimeSpan.FromSeconds(50), HashSeed = 17 });
        Dictionary<ulong, (int Rank, int At)> model = [];

        for (int step = 0; step < 40_000; step++)
        {
            TimeSpan now = TimeSpan.FromSeconds(step / 100);
            ulong room = (ulong)random.Next(3000);
            int rank = random.Next(8);
            switch (random.Next(4))
            {
                case 0: table.Remove(new BootstrapRoom(room)); model.Remove(room); break;
                case 1: table.TryRegister(new BootstrapRoom(room), new DpRank(rank), now); model[room] = (rank, step / 100); break;
                case 2: if (random.Next(100) == 0) table.Sweep(now); break;
                default:
                    DpRank? expected = model.TryGetValue(room, out (int Rank, int At) entry) && (step / 100) - entry.At <= 50 ? new DpRank(entry.Rank) : null;
                    Assert.Equal(expected, table.Find(new BootstrapRoom(room), now).Rank);
                    break;
            }
        }

        table.Sweep(TimeSpan.FromSeconds(400));
        Assert.Equal(model.Count(e => 400 - e.Value.At <= 50), table.Count);
    }

    [Fact]
    public void Concurrent_writers_lose_nothing()
    {
        const int Writers = 8;
        const int RoomsEach = 5000;
        RoomTable table = new(new RoomTableOptions());
        Thread[] threads = new Thread[Writers];

        for (int writer = 0; writer < Writers; writer++)
        {
            int mine = writer;
            threads[writer] = new Thread(() =>
            {
                for (int i = 0; i < RoomsEach; i++)
                {
                    BootstrapRoom room = new((ulong)((i * Writers) + mine));
                    table.TryRegister(room, new DpRank(mine), TimeSpan.Zero);
                    if (i % 3 == 0) table.Remove(room);
                    if (i % 100 == 0) table.Sweep(TimeSpan.Zero);
                }
            });
            threads[writer].Start();
        }
        foreach (Thread thread in threads) thread.Join();

        int kept = Enumerable.Range(0, RoomsEach).Count(i => i % 3 != 0);
        Assert.Equal(kept * Writers, table.Count);
        for (int i = 0; i < RoomsEach * Writers; i++)
        {
            bool isKept = i / Writers % 3 != 0;
            Assert.Equal(isKept ? new DpRank(i % Writers) : null, table.Find(new BootstrapRoom((ulong)i), TimeSpan.Zero).Rank);
        }
    }

    [Fact]
    public void Rooms_above_two_to_the_53rd_stay_apart()
    {
        RoomTable table = new(new RoomTableOptions());

        table.TryRegister(new BootstrapRoom(9007199254740992), new DpRank(1), TimeSpan.Zero);
        table.TryRegister(new BootstrapRoom(9007199254740993), new DpRank(2), TimeSpan.Zero);
        table.TryRegister(new BootstrapRoom(BootstrapRoom.MaxValue), new DpRank(3), TimeSpan.Zero);

        Assert.Equal(new DpRank(1), table.Find(new BootstrapRoom(9007199254740992), TimeSpan.Zero).Rank);
        Assert.Equal(new DpRank(2), table.Find(new BootstrapRoom(9007199254740993), TimeSpan.Zero).Rank);
        Assert.Equal(new DpRank(3), table.Find(new BootstrapRoom(BootstrapRoom.MaxValue), TimeSpan.Zero).Rank);
    }

    private sealed class Recorder : IRoomWatcher
    {
        public List<(ulong Room, int Rank)> Told { get; } = [];

        public void OnRoom(BootstrapRoom room, RoomAnswer answer) => Told.Add((room.Value, answer.Rank!.Value.Value));
    }

    [Fact]
    public void A_batch_that_ends_rooms_makes_space_for_those_that_it_registers()
    {
        RoomTable table = new(new RoomTableOptions { Capacity = 1 });
        BootstrapRoom old = new(7), next = new(8);
        Assert.True(table.TryRegister(old, DpRank.Zero, TimeSpan.Zero));

        bool isTaken = table.TryApply(new RoomUpdate { Registered = [new(next, new DpRank(1))], Ended = [old] }, TimeSpan.Zero);

        Assert.True(isTaken);
        Assert.Equal(new DpRank(1), table.Find(next, TimeSpan.Zero).Rank);
        Assert.True(table.Find(old, TimeSpan.Zero).IsUnknown);
    }

    [Fact]
    public void A_batch_that_fails_a_room_of_a_full_table_makes_space_for_the_failures_before_it()
    {
        RoomTable table = new(new RoomTableOptions { Capacity = 1 });
        BootstrapRoom held = new(7), unknown = new(8);
        RequestFailure failure = RequestFailure.Of(FailureReason.BootstrapTimeout, "late");
        Assert.True(table.TryRegister(held, DpRank.Zero, TimeSpan.Zero));

        bool isTaken = table.TryApply(new RoomUpdate { Failed = [new(unknown, failure), new(held, failure)] }, TimeSpan.Zero);

        Assert.True(isTaken);
        Assert.Equal(failure, table.Find(unknown, TimeSpan.Zero).Failure);
        Assert.Equal(1, table.Count);
    }
}
