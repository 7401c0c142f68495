using Baton.Cli.Supervision;
using Baton.Simulation.Clock;

namespace Baton.Cli.Tests.Supervision;

public sealed class ChildLifecycleTests
{
    private const int Crashed = 139;
    private readonly VirtualTimeProvider _time = new();

    private readonly RestartOptions _options = new()
    {
        FirstDelay = TimeSpan.FromSeconds(1),
        LargestDelay = TimeSpan.FromSeconds(8),
        HealthyAfter = TimeSpan.FromMinutes(1),
        StartAttempts = 3,
    };

    [Fact]
    public void The_delay_doubles_with_each_failure_up_to_the_largest()
    {
        ChildLifecycle child = ReadyChild();

        double?[] delays = [.. Enumerable.Range(0, 6).Select(_ => EndAndStart(child)?.TotalSeconds)];

        Assert.Equal([1.0, 2, 4, 8, 8, 8], delays);
    }

    [Fact]
    public void Sixty_failures_in_a_row_still_wait_no_longer_than_the_largest_delay()
    {
        ChildLifecycle child = ReadyChild();

        TimeSpan?[] delays = [.. Enumerable.Range(0, 60).Select(_ => EndAndStart(child))];

        Assert.All(delays.Skip(3), delay => Assert.Equal(_options.LargestDelay, delay));
    }

    [Theory]
    [InlineData(59, 4)]
    [InlineData(60, 1)]
    public void A_healthy_minute_clears_the_past(int readySeconds, int expectedDelaySeconds)
    {
        ChildLifecycle child = ReadyChild();
        EndAndStart(child);
        EndAndStart(child);
        child.BecameReady(_time.Now);

        _time.Advance(TimeSpan.FromSeconds(readySeconds));
        TimeSpan? delay = child.Ended(Crashed, _time.Now);

        Assert.Equal(TimeSpan.FromSeconds(expectedDelaySeconds), delay);
    }

    [Fact]
    public void Minutes_without_ever_answering_are_no_health()
    {
        ChildLifecycle child = ReadyChild();
        EndAndStart(child);

        _time.Advance(TimeSpan.FromMinutes(5));
        TimeSpan? delay = child.Ended(Crashed, _time.Now);

        Assert.Equal(TimeSpan.FromSeconds(2), delay);
    }

    [Fact]
    public void A_child_that_was_never_ready_is_given_up_at_its_third_end()
    {
        ChildLifecycle child = new(_options);
        child.Started();

        TimeSpan?[] delays = [EndAndStart(child), EndAndStart(child), child.Ended(1, _time.Now)];

        Assert.Equal([TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(2), null], delays);
        Assert.Equal(ChildState.GivenUp, child.State);
    }

    [Fact]
    public void A_refused_command_line_is_given_up_at_once()
    {
        ChildLifecycle child = new(_options);
        child.Started();

        TimeSpan? delay = child.Ended(ExitCodes.BadArguments, _time.Now);

        Assert.Null(delay);
        Assert.Equal(ChildState.GivenUp, child.State);
    }

    [Fact]
    public void A_child_that_was_ready_once_is_never_given_up_for_crashing()
    {
        ChildLifecycle child = ReadyChild();

        for (int i = 0; i < 100; i++) Assert.NotNull(EndAndStart(child));

        Assert.Equal(ChildState.Starting, child.State);
    }

    [Fact]
    public void Only_a_starting_child_can_become_ready()
    {
        ChildLifecycle child = new(_options);

        Action becomeReady = () => child.BecameReady(_time.Now);

        Assert.Throws<InvalidOperationException>(becomeReady);
    }

    private ChildLifecycle ReadyChild()
    {
        ChildLifecycle child = new(_options);
        child.Started();
        child.BecameReady(_time.Now);
        return child;
    }

    private TimeSpan? EndAndStart(ChildLifecycle child)
    {
        TimeSpan? delay = child.Ended(Crashed, _time.Now);
        _time.Advance(delay ?? TimeSpan.Zero);
        if (delay is not null) child.Started();
        return delay;
    }
}
