using Baton.Simulation.Clock;

namespace Baton.Simulation.Tests.Clock;

public sealed class VirtualTimeProviderTests
{
    [Fact]
    public void Timers_fire_in_order_of_due_time_then_creation_and_see_their_own_due_time()
    {
        VirtualTimeProvider clock = new();
        List<(string, double)> fired = [];
        void Set(string name, double seconds) =>
            clock.CreateTimer(_ => fired.Add((name, clock.Now.TotalSeconds)), null, TimeSpan.FromSeconds(seconds), Timeout.InfiniteTimeSpan);
        Set("b", 2);
        Set("a", 1);
        Set("c", 2);

        clock.Advance(TimeSpan.FromSeconds(5));

        Assert.Equal([("a", 1.0), ("b", 2.0), ("c", 2.0)], fired);
        Assert.Equal(5, clock.Now.TotalSeconds);
    }

    [Fact]
    public void A_periodic_timer_fires_at_each_period_until_disposed()
    {
        VirtualTimeProvider clock = new();
        int count = 0;
        ITimer timer = clock.CreateTimer(_ => count++, null, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(1));

        clock.Advance(TimeSpan.FromSeconds(3));
        timer.Dispose();
        clock.Advance(TimeSpan.FromSeconds(3));

        Assert.Equal(3, count);
        Assert.Null(clock.NextDue);
    }

    [Fact]
    public void Changing_a_timer_forgets_its_old_due_time()
    {
        VirtualTimeProvider clock = new();
        double firedAt = 0;
        ITimer timer = clock.CreateTimer(_ => firedAt = clock.Now.TotalSeconds, null, TimeSpan.FromSeconds(1), Timeout.InfiniteTimeSpan);
        timer.Change(TimeSpan.FromSeconds(4), Timeout.InfiniteTimeSpan);

        clock.Advance(TimeSpan.FromSeconds(2));

        Assert.Equal(0, firedAt);
        Assert.Equal(4, clock.NextDue!.Value.TotalSeconds);
        clock.Advance(TimeSpan.FromSeconds(2));
        Assert.Equal(4, firedAt);
    }

    [Fact]
    public async Task Task_delay_on_this_clock_ends_when_the_clock_gets_there()
    {
        VirtualTimeProvider clock = new();
        Task delay = Task.Delay(TimeSpan.FromSeconds(10), clock, TestContext.Current.CancellationToken);

        clock.Advance(TimeSpan.FromSeconds(9.999));
        Assert.False(delay.IsCompleted);
        clock.Advance(TimeSpan.FromSeconds(0.001));

        await delay;
    }
}
