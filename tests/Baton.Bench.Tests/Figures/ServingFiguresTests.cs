using Baton.Bench.Figures;
using Baton.Bench.Load;
using Baton.Bench.Tests.Scripted;
using Baton.Simulation.Clock;

namespace Baton.Bench.Tests.Figures;

public sealed class ServingFiguresTests
{
    private static LoadResult Run(int count, Func<int, Script> script)
    {
        VirtualTimeProvider time = new();
        return VirtualRun.Load(time, new ScriptedServer(time, (n, _) => script(n)), count, new TimeSpan[count]);
    }

    [Fact]
    public void Only_successful_requests_enter_the_latencies_and_errors_are_counted_by_kind()
    {
        LoadResult result = Run(4, n => n switch
        {
            0 => Events.Tokens(100, 20),
            1 => Script.Stream(Piece.Text(900, """data: {"error":{"message":"full","code":"queue_full"}}""" + "\n\n" + Events.Done)),
            2 => Script.Stream(Piece.Text(800, """data: {"error":{"message":"full again","code":"queue_full"}}""" + "\n\n" + Events.Done)),
            _ => Script.Stream(Piece.Text(700, Events.Native(1))),
        });

        ServingFigures figures = ServingFigures.From(result.Records, result.Duration, ServiceGoals.None);

        Assert.Equal((4, 1), (figures.Issued, figures.Completed));
        Assert.Equal(100, figures.Ttft.Max);
        Assert.Equal([("error in a 200 stream (queue_full)", 2, "full"), ("truncated stream", 1, figures.Errors[1].Example)], figures.Errors);
    }

    [Theory]
    [InlineData(100, 30, 2)]
    [InlineData(99, 30, 1)]
    [InlineData(100, 29, 1)]
    [InlineData(99, 29, 0)]
    public void Goodput_counts_requests_inside_both_goals(int ttftMs, int itlMs, int expected)
    {
        // The first misses only the TTFT goal when it is below 100, the second only the ITL goal when it is below 30.
        LoadResult result = Run(2, n => n == 0 ? Events.Tokens(100, 10, 10) : Events.Tokens(50, 10, 30));
        ServiceGoals goals = new(TimeSpan.FromMilliseconds(ttftMs), TimeSpan.FromMilliseconds(itlMs));

        ServingFigures figures = ServingFigures.From(result.Records, TimeSpan.FromSeconds(2), goals);

        Assert.Equal(expected / 2.0, figures.Goodput);
    }

    [Fact]
    public void Peaks_are_those_of_one_second_buckets()
    {
        // Tokens at 0.9, 1.1, 1.2 s and (second request) 1.3 s: three of four in the second bucket, and both requests touch it.
        LoadResult result = Run(2, n => n == 0 ? Events.Tokens(900, 200, 100) : Events.Tokens(1300));

        ServingFigures figures = ServingFigures.From(result.Records, result.Duration, ServiceGoals.None);

        Assert.Equal(3, figures.PeakOutputTokensPerSecond);
        Assert.Equal(2, figures.PeakConcurrentRequests);
        Assert.Equal((1.2 + 1.3) / 1.3, figures.Concurrency, 9);
    }

    [Fact]
    public void Nothing_completed_reports_zeros_and_not_exceptions()
    {
        LoadResult result = Run(2, _ => Script.Stream(Piece.Text(5, "")));

        ServingFigures figures = ServingFigures.From(result.Records, result.Duration, ServiceGoals.None);

        Assert.Equal((0, 0.0, 0.0, 0), (figures.Completed, figures.Ttft.Mean, figures.PeakOutputTokensPerSecond, figures.PeakConcurrentRequests));
    }
}
