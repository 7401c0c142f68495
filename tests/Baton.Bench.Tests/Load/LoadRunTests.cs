using Baton.Bench.Figures;
using Baton.Bench.Load;
using Baton.Bench.Tests.Scripted;
using Baton.Simulation.Clock;

namespace Baton.Bench.Tests.Load;

public sealed class LoadRunTests
{
    private static TimeSpan Ms(double milliseconds) => TimeSpan.FromMilliseconds(milliseconds);

    [Fact]
    public void Requests_leave_at_their_intended_times_whatever_the_server_does()
    {
        VirtualTimeProvider time = new();
        ScriptedServer server = new(time, (_, _) => Events.Tokens(500, 10, 10));

        LoadResult result = VirtualRun.Load(time, server, 3, [Ms(0), Ms(40), Ms(41.5)]);

        Assert.Equal([Ms(0), Ms(40), Ms(41.5)], result.Records.Select(record => record.StartedAt));
        Assert.All(result.Records, record => Assert.Equal(Ms(500), record.Ttft));
        Assert.Equal(Ms(561.5), result.Duration);
    }

    [Fact]
    public void Waiting_for_a_slot_is_queueing_and_not_ttft_and_keeps_the_intended_time()
    {
        VirtualTimeProvider time = new();
        ScriptedServer server = new(time, (_, _) => Events.Tokens(100));

        LoadResult result = VirtualRun.Load(time, server, 3, [Ms(0), Ms(10), Ms(20)], maxConcurrency: 1);

        Assert.Equal([Ms(0), Ms(90), Ms(180)], result.Records.Select(record => record.Queueing));
        Assert.Equal([Ms(100), Ms(100), Ms(100)], result.Records.Select(record => record.Ttft));
        Assert.Equal([Ms(100), Ms(190), Ms(280)], result.Records.Select(record => record.TtftFromIntended));
        Assert.All(result.Records, record => Assert.Equal(TimeSpan.Zero, record.Lateness));
    }

    [Fact]
    public void A_stalled_server_shows_in_the_figures_from_the_intended_time()
    {
        // A closed loop would send one request during the stall and report one slow answer in eleven.
        VirtualTimeProvider time = new();
        ScriptedServer server = new(time, (n, _) => Events.Tokens(n == 0 ? 1000 : 10));
        TimeSpan[] at = [.. Enumerable.Range(0, 11).Select(i => Ms(i * 100))];

        LoadResult result = VirtualRun.Load(time, server, 11, at, maxConcurrency: 1);
        ServingFigures figures = ServingFigures.From(result.Records, result.Duration, ServiceGoals.None);

        Assert.Equal(10, figures.Ttft.Median);
        Assert.Equal([1000, 910, 820, 730, 640, 550, 460, 370, 280, 190, 100], result.Records.Select(record => record.TtftFromIntended.TotalMilliseconds));
        Assert.Equal(550, figures.TtftFromIntended.Median);
    }

    [Fact]
    public void Poisson_arrivals_begin_at_zero_ascend_and_have_the_asked_rate()
    {
        TimeSpan[] at = ArrivalSchedule.Poisson(20_000, 50, new Random(7));

        Assert.Equal(TimeSpan.Zero, at[0]);
        Assert.Equal(at.Order(), at);
        Assert.InRange(at[^1].TotalSeconds, 390, 410);
        double[] gaps = [.. at.Zip(at.Skip(1), (a, b) => (b - a).TotalMilliseconds)];
        // Exponential: the standard deviation equals the mean.
        Assert.InRange(new Distribution(gaps).StandardDeviation, 19, 21);
    }

    [Fact]
    public void An_infinite_rate_sends_all_at_zero_and_a_rate_of_zero_is_refused()
    {
        Assert.All(ArrivalSchedule.Poisson(5, double.PositiveInfinity, new Random(1)), at => Assert.Equal(TimeSpan.Zero, at));
        Assert.Throws<BenchException>(() => ArrivalSchedule.Poisson(5, 0, new Random(1)));
        Assert.Throws<BenchException>(() => ArrivalSchedule.Poisson(5, double.NaN, new Random(1)));
    }

    [Fact]
    public void A_trace_is_stretched_and_starts_at_zero()
    {
        BenchRequest[] requests = [.. new[] { 500, 700, 1500 }.Select(at => new BenchRequest { Text = "a", PromptTokens = 1, OutputTokens = 1, At = Ms(at) })];

        TimeSpan[] arrivals = ArrivalSchedule.FromTrace(requests, slowdown: 2);

        Assert.Equal([Ms(0), Ms(400), Ms(2000)], arrivals);
    }

    [Fact]
    public void The_gate_lets_waiters_in_by_order_of_arrival()
    {
        ConcurrencyGate gate = new(1);
        List<int> entered = [];
        async Task Enter(int who)
        {
            await gate.EnterAsync();
            entered.Add(who);
        }

        SynchronizationContext.SetSynchronizationContext(null);
        Task[] all = [Enter(0), Enter(1), Enter(2)];
        gate.Leave();
        int afterFirst = entered.Count;
        gate.Leave();
        gate.Leave();

        Assert.Equal(2, afterFirst);
        Assert.Equal([0, 1, 2], entered);
        Assert.All(all, task => Assert.True(task.IsCompleted));
        Assert.True(Enter(3).IsCompleted);
    }
}
