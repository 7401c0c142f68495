using Baton.Core.Randomness;
using Baton.Simulation.Events;

namespace Baton.Simulation.Tests.Clock;

public sealed class EventLoopTests
{
    [Fact]
    public void Ten_thousand_events_run_by_due_time_and_those_of_an_instant_in_the_order_they_were_made()
    {
        SeededRandom random = new(1);
        EventLoop loop = new();
        (int Due, int Made)[] events = [.. Enumerable.Range(0, 10_000).Select(i => (random.NextInt32(500), i))];
        List<(int, int)> ran = [];
        foreach ((int due, int made) in events) loop.At(TimeSpan.FromMilliseconds(due), () => ran.Add((due, made)));

        loop.Run(TimeSpan.MaxValue);

        Assert.Equal(events.Order(), ran);
    }

    [Fact]
    public void Events_made_while_others_run_find_their_place()
    {
        SeededRandom random = new(2);
        EventLoop loop = new();
        List<TimeSpan> ran = [];
        int left = 5000;
        void Run()
        {
            ran.Add(loop.Now);
            for (int i = 0; i < 2 && left > 0; i++, left--) loop.After(TimeSpan.FromMicroseconds(random.NextInt32(1000)), Run);
        }
        loop.Soon(Run);

        loop.Run(TimeSpan.MaxValue);

        Assert.Equal(5001, ran.Count);
        Assert.Equal(ran.Order(), ran);
    }

    [Fact]
    public void Events_that_come_one_after_the_other_have_the_places_they_would_have_if_all_were_made_at_once()
    {
        TimeSpan[] due = [TimeSpan.Zero, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(2)];
        List<string> each = [], atOnce = [];

        Play(each, (loop, run) => loop.AtEach(due.Length, i => due[i], run));
        Play(atOnce, (loop, run) =>
        {
            for (int i = 0; i < due.Length; i++)
            {
                int index = i;
                loop.At(due[i], () => run(index));
            }
        });

        Assert.Equal(["0", "1", "2", "later", "made by 1", "made by 2", "3", "made by 3"], each.Where(text => text != "made by 0"));
        Assert.Equal(atOnce, each);

        void Play(List<string> ran, Action<EventLoop, Action<int>> schedule)
        {
            EventLoop loop = new();
            schedule(loop, i =>
            {
                ran.Add($"{i}");
                loop.Soon(() => ran.Add($"made by {i}"));
            });
            loop.At(TimeSpan.FromSeconds(1), () => ran.Add("later"));
            loop.Run(TimeSpan.MaxValue);
        }
    }

    [Fact]
    public void Nothing_runs_beyond_the_limit()
    {
        EventLoop loop = new();
        int ran = 0;
        loop.AtEach(5, i => TimeSpan.FromSeconds(i), _ => ran++);

        loop.Run(TimeSpan.FromSeconds(2));

        Assert.Equal((3, TimeSpan.FromSeconds(2)), (ran, loop.Now));
    }

    [Fact]
    public void An_await_that_began_outside_of_the_loop_ends_the_run_instead_of_racing_with_it()
    {
        EventLoop loop = new();
        using ManualResetEventSlim strayed = new();
        Task outside = WaitTwiceAsync();
        loop.At(TimeSpan.FromSeconds(2), () => strayed.Wait(TimeSpan.FromSeconds(30)));

        InvalidOperationException error = Assert.Throws<InvalidOperationException>(() => loop.Run(TimeSpan.FromSeconds(3)));

        Assert.Contains("from another thread", error.Message, StringComparison.Ordinal);
        Assert.False(outside.IsCompletedSuccessfully);

        async Task WaitTwiceAsync()
        {
            await Task.Delay(TimeSpan.FromSeconds(1), loop.Time, CancellationToken.None).ConfigureAwait(false);
            try
            {
                await Task.Delay(TimeSpan.FromSeconds(1), loop.Time, CancellationToken.None);
            }
            finally
            {
                strayed.Set();
            }
        }
    }
}
