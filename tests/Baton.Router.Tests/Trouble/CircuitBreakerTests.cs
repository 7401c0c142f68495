using Baton.Router.Rooms;
using Baton.Router.Trouble;

namespace Baton.Router.Tests.Trouble;

public sealed class CircuitBreakerTests
{
    private static readonly TimeSpan OpenTime = TimeSpan.FromSeconds(15);

    private static CircuitBreaker Opened(out TimeSpan at)
    {
        CircuitBreaker breaker = new(new BreakerOptions());
        at = TimeSpan.FromSeconds(100);
        for (int i = 0; i < 10; i++) breaker.End(LegOutcome.Failure, false, at);
        return breaker;
    }

    [Fact]
    public void Nine_failures_in_a_row_leave_it_closed_and_ten_open_it()
    {
        CircuitBreaker breaker = new(new BreakerOptions());

        for (int i = 0; i < 9; i++) breaker.End(LegOutcome.Failure, false, TimeSpan.Zero);
        BreakerState nine = breaker.State;
        breaker.End(LegOutcome.Failure, false, TimeSpan.Zero);

        Assert.Equal((BreakerState.Closed, BreakerState.Open), (nine, breaker.State));
    }

    [Fact]
    public void Neutral_outcomes_count_for_nothing()
    {
        CircuitBreaker breaker = new(new BreakerOptions());

        for (int i = 0; i < 100; i++) breaker.End(LegOutcome.Neutral, false, TimeSpan.Zero);

        Assert.Equal(BreakerState.Closed, breaker.State);
    }

    [Fact]
    public void Half_of_twenty_in_the_window_opens_it_and_the_same_spread_over_more_than_the_window_does_not()
    {
        CircuitBreaker dense = new(new BreakerOptions()), sparse = new(new BreakerOptions());

        for (int i = 0; i < 20; i++)
        {
            dense.End(i % 2 == 0 ? LegOutcome.Success : LegOutcome.Failure, false, TimeSpan.FromSeconds(1));
            sparse.End(i % 2 == 0 ? LegOutcome.Success : LegOutcome.Failure, false, TimeSpan.FromSeconds(10 * i));
        }

        Assert.Equal((BreakerState.Open, BreakerState.Closed), (dense.State, sparse.State));
    }

    [Fact]
    public void It_admits_one_probe_at_a_time_after_the_open_time_and_not_a_moment_before()
    {
        CircuitBreaker breaker = Opened(out TimeSpan at);

        Assert.False(breaker.Admits(at + OpenTime - TimeSpan.FromTicks(1)));
        Assert.True(breaker.Admits(at + OpenTime));
        Assert.True(breaker.Begin());
        Assert.False(breaker.Admits(at + OpenTime));
        Assert.False(breaker.Begin());
    }

    [Fact]
    public void Two_successes_close_it_and_one_failure_opens_it_again()
    {
        CircuitBreaker breaker = Opened(out TimeSpan at);
        breaker.Admits(at + OpenTime);
        bool probe = breaker.Begin();
        breaker.End(LegOutcome.Success, probe, at + OpenTime);
        Assert.Equal(BreakerState.HalfOpen, breaker.State);
        breaker.End(LegOutcome.Success, breaker.Begin(), at + OpenTime);
        Assert.Equal(BreakerState.Closed, breaker.State);

        CircuitBreaker other = Opened(out at);
        other.Admits(at + OpenTime);
        other.End(LegOutcome.Failure, other.Begin(), at + OpenTime);

        Assert.Equal(BreakerState.Open, other.State);
        Assert.False(other.Admits(at + OpenTime + OpenTime - TimeSpan.FromTicks(1)));
        Assert.True(other.Admits(at + OpenTime + OpenTime));
    }

    [Fact]
    public void A_cancelled_probe_makes_room_for_the_next()
    {
        CircuitBreaker breaker = Opened(out TimeSpan at);
        breaker.Admits(at + OpenTime);
        bool probe = breaker.Begin();

        breaker.End(LegOutcome.Neutral, probe, at + OpenTime);

        Assert.True(breaker.Admits(at + OpenTime));
    }

    [Fact]
    public void A_reset_forgets_everything()
    {
        CircuitBreaker breaker = Opened(out TimeSpan at);

        breaker.Reset();

        Assert.True(breaker.Admits(at));
        Assert.Equal(0, breaker.ConsecutiveFailures);
    }

    [Fact]
    public void Retries_are_a_tenth_of_the_requests_and_ten_free_ones()
    {
        RetryBudget budget = new();
        for (int i = 0; i < 100; i++) budget.CountRequest(TimeSpan.FromSeconds(5));

        int taken = Enumerable.Range(0, 100).Count(_ => budget.TryTake(TimeSpan.FromSeconds(5)));
        int later = Enumerable.Range(0, 100).Count(_ => budget.TryTake(TimeSpan.FromSeconds(15)));

        Assert.Equal((20, 10), (taken, later));
    }

    [Fact]
    public void Delays_grow_by_half_within_a_fifth_and_end_at_the_maximum()
    {
        RetryOptions retry = new();
        RouterRandom random = new(1);

        for (int k = 0; k < 30; k++)
        {
            double plain = Math.Min(50 * Math.Pow(1.5, k), 30_000);
            Assert.InRange(retry.Delay(k, random).TotalMilliseconds, plain * 0.8, plain * 1.2);
        }
    }
}
