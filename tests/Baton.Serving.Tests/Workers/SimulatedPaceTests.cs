using Baton.Serving.Workers;

namespace Baton.Serving.Tests.Workers;

public sealed class SimulatedPaceTests
{
    private static readonly TimeSpan Cost = TimeSpan.FromMilliseconds(70);

    [Fact]
    public void What_a_step_overslept_the_next_one_makes_up()
    {
        SimulatedPace pace = new();

        TimeSpan first = pace.EndOfStep(At(1000), Cost);
        TimeSpan second = pace.EndOfStep(At(1073), Cost);

        Assert.Equal((At(1070), At(1140)), (first, second));
    }

    [Fact]
    public void Idle_time_is_not_made_up()
    {
        SimulatedPace pace = new();
        pace.EndOfStep(At(1000), Cost);

        pace.Idle(TimeSpan.FromMilliseconds(15));           // 1071 .. 1086

        Assert.Equal(At(1155), pace.EndOfStep(At(1086), Cost)); // 1 ms overslept, 15 ms idle
    }

    [Theory]
    [InlineData(19, 1140)]
    [InlineData(20, 1160)]
    public void A_rank_that_is_far_behind_goes_on_from_where_it_is(int behindMs, int expectedMs)
    {
        SimulatedPace pace = new();
        pace.EndOfStep(At(1000), Cost);

        Assert.Equal(At(expectedMs), pace.EndOfStep(At(1070 + behindMs), Cost));
    }

    [Fact]
    public void A_rank_that_waits_for_its_first_step_begins_it_then()
    {
        SimulatedPace pace = new();

        pace.Idle(TimeSpan.FromSeconds(5));

        Assert.Equal(At(5070), pace.EndOfStep(At(5000), Cost));
    }

    private static TimeSpan At(int milliseconds) => TimeSpan.FromMilliseconds(milliseconds);
}
