using Baton.Core.Ids;
using Baton.Router.Rooms;

namespace Baton.Router.Tests.Rooms;

public sealed class RoomIssuerTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(7)]
    [InlineData(8)]
    [InlineData(64)]
    public void Aligned_rooms_are_in_range_distinct_and_imply_their_rank(int dpSize)
    {
        RoomIssuer rooms = new(RoomMode.Aligned, new RouterRandom(1));
        HashSet<ulong> seen = [];

        for (int i = 0; i < 100_000; i++)
        {
            BootstrapRoom room = rooms.Draw(i % dpSize, dpSize, TimeSpan.Zero);

            Assert.True(room.Value is > 0 and <= long.MaxValue);
            Assert.Equal(i % dpSize, room.Modulo(dpSize).Value);
            Assert.True(seen.Add(room.Value));
        }
    }

    [Fact]
    public void Rooms_use_the_whole_63_bits()
    {
        RoomIssuer rooms = new(RoomMode.Aligned, new RouterRandom(1));

        ulong[] drawn = [.. Enumerable.Range(0, 1000).Select(_ => rooms.Draw(1, 2, TimeSpan.Zero).Value)];

        Assert.InRange(drawn.Count(r => r > long.MaxValue / 2), 400, 600);
        Assert.All(drawn, r => Assert.Equal(1UL, r % 2));
    }

    [Fact]
    public void The_same_seed_draws_the_same_rooms()
    {
        RoomIssuer one = new(RoomMode.Aligned, new RouterRandom(81)), two = new(RoomMode.Aligned, new RouterRandom(81));

        Assert.Equal(
            Enumerable.Range(0, 100).Select(_ => one.Draw(1, 4, TimeSpan.Zero)),
            Enumerable.Range(0, 100).Select(_ => two.Draw(1, 4, TimeSpan.Zero)));
    }

    [Fact]
    public void A_remembered_room_is_drawn_again_until_the_memory_ends()
    {
        // Rooms 1, 3, ... 15 are all there are for rank 1 of 2.
        RoomIssuer rooms = new(RoomMode.Aligned, new RouterRandom(5), maxRoom: 15);

        ulong[] first = [.. Enumerable.Range(0, 8).Select(_ => rooms.Draw(1, 2, TimeSpan.FromSeconds(1)).Value)];
        long collisions = rooms.Collisions;
        ulong[] later = [.. Enumerable.Range(0, 8).Select(_ => rooms.Draw(1, 2, TimeSpan.FromSeconds(1) + 2 * RoomIssuer.Memory).Value)];

        Assert.Equal(new ulong[] { 1, 3, 5, 7, 9, 11, 13, 15 }, first.Order().ToArray());
        Assert.Equal(first.Order().ToArray(), later.Order().ToArray());
        Assert.True(collisions > 0);
    }

    [Fact]
    public void Draws_below_a_bound_are_uniform()
    {
        RouterRandom random = new(3);
        int[] counts = new int[7];

        for (int i = 0; i < 70_000; i++) counts[random.NextBelow(7)]++;

        Assert.All(counts, c => Assert.InRange(c, 9_500, 10_500));
    }
}
