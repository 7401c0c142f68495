using System.Text.Json.Nodes;
using Baton.Bench.Figures;
using Baton.Bench.Load;
using Baton.Bench.Reports;
using Baton.Bench.Runs;
using Baton.Bench.Tests.Scripted;
using Baton.Simulation.Clock;

namespace Baton.Bench.Tests.Reports;

public sealed class CompareAndIsolationReportTests
{
    [Fact]
    public void A_comparisons_line_has_each_metric_with_its_interval_in_microseconds_and_the_errors_of_each_side()
    {
        JsonNode line = JsonNode.Parse(Compared(rate: 20).Line("baton bench compare"))!;

        Assert.Equal(("http://a.test/", "http://b.test/", 40, 39), ((string)line["a"]!, (string)line["b"]!, (int)line["issued"]!, (int)line["pairs"]!));
        JsonNode ttft = line["metrics"]!.AsArray().Single(metric => (string)metric!["name"]! == "mean_ttft_ms")!;
        Assert.Equal(2000, (double)ttft["difference_us"]!["value"]!, 3);
        Assert.Equal(2000, (double)ttft["difference_us"]!["low"]!, 3);
        Assert.True((double)ttft["ratio"]!["low"]! <= (double)ttft["ratio"]!["value"]! && (double)ttft["ratio"]!["value"]! <= (double)ttft["ratio"]!["high"]!);
        Assert.Equal(20, (double)line["request_rate"]!);
        Assert.Equal(1, (int)line["errors_b"]!["error in a 200 stream (queue_full)"]!);
        Assert.Empty(line["errors_a"]!.AsObject());
    }

    [Fact]
    public void A_comparisons_page_shows_both_sides_and_what_failed_and_escapes_it()
    {
        string page = Compared(rate: 20).Page("note & more");

        foreach (string shown in new[] { "A = http://a.test/", "mean_ttft_ms", "B slower", "TTFT: share of requests within", "each pair", "note &amp; more", "B: 1 x error in a 200 stream", "&lt;full&gt;" })
            Assert.Contains(shown, page, StringComparison.Ordinal);
        Assert.DoesNotContain("<full>", page, StringComparison.Ordinal);
        Assert.DoesNotContain("NaN", page, StringComparison.Ordinal);
        Assert.DoesNotContain("late at p99", page, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(1.0, 20, false)]
    [InlineData(1.1, 20, true)]
    [InlineData(1.1, double.PositiveInfinity, false)] // a burst has no schedule to keep
    public void A_comparison_tells_when_the_generator_was_late(double lateMs, double rate, bool isLate)
    {
        CompareReport report = Compared(rate);
        foreach (RequestRecord record in report.Outcome.RecordsA.Concat(report.Outcome.RecordsB)) record.DispatchedAt = record.IntendedAt + TimeSpan.FromMilliseconds(lateMs);
        CompareReport late = report with { Outcome = new CompareOutcome(report.Outcome.RecordsA, report.Outcome.RecordsB, report.Outcome.PairCount, report.Outcome.Metrics) };

        Assert.Equal(lateMs, (double)JsonNode.Parse(late.Line(""))!["p99_lateness_ms"]!, 6);
        Assert.Equal(isLate, late.Outcome.IsLate);
        Assert.Equal(isLate, late.Page("").Contains("late at p99", StringComparison.Ordinal));
    }

    [Fact]
    public void Isolation_reports_the_middle_and_the_worst_of_the_rounds()
    {
        IsolationReport report = new(new IsolationOptions(), [Side("http://one", 30, 90, 60), Side("http://two", 10, 45, 20)]);

        JsonNode line = JsonNode.Parse(report.Line("typed"))!;

        Assert.Equal((60.0, 90.0, 20.0, 45.0), (report.Sides[0].MedianWorstMs, report.Sides[0].WorstMs, report.Sides[1].MedianWorstMs, report.Sides[1].WorstMs));
        Assert.Equal(20.0 / 60, (double)line["ratio"]!, 9);
        Assert.Equal(0.5, (double)line["ratio_of_worst"]!, 9);
        Assert.Equal([10, 45, 20], line["servers"]![1]!["worst_gap_ms"]!.AsArray().Select(value => (double)value!));
        JsonNode first = line["servers"]![0]!;
        Assert.Equal(3, (int)first["failed"]!);
        foreach ((string key, double[] expected) in new (string, double[])[]
        {
            ("median_gap_ms", [16.5, 46.5, 31.5]), ("p99_gap_ms", [29.73, 89.13, 59.43]), ("quiet_median_gap_ms", [1.5, 1.5, 1.5]),
            ("quiet_worst_gap_ms", [2, 2, 2]), ("median_prompt_ttft_ms", [100, 100, 100]),
        })
        {
            Assert.Equal(expected, first[key]!.AsArray().Select(value => (double)value!));
        }
        Assert.Equal("typed", (string)line["command"]!);
    }

    [Fact]
    public void Isolations_page_has_both_servers_and_their_ratio_and_one_server_has_none()
    {
        IsolationSide one = Side("http://one/<x>", 30, 90, 60);

        string both = new IsolationReport(new IsolationOptions(), [one, Side("http://two", 10, 45, 20)]).Page("");
        string alone = new IsolationReport(new IsolationOptions(), [one]).Page("");

        Assert.Contains("ratio 0.333", both, StringComparison.Ordinal);
        Assert.Contains("ratio 0.500", both, StringComparison.Ordinal);
        Assert.Contains("While long prompts arrive", both, StringComparison.Ordinal);
        Assert.DoesNotContain("<x>", both, StringComparison.Ordinal);
        Assert.DoesNotContain("ratio", alone, StringComparison.Ordinal);
    }

    [Fact]
    public void An_axis_with_negative_values_has_a_line_at_zero()
    {
        string chart = SvgChart.Lines("t", new Axis("x"), new Axis("y"), [new Series("", 1, [(0, -0.013), (1, 0.041)])]);

        Assert.Contains(">0<", chart, StringComparison.Ordinal);
        Assert.Contains(">-0.02<", chart, StringComparison.Ordinal);
    }

    private static IsolationSide Side(string server, params double[] worst) => new(server, [.. worst.Select(gap =>
        new IsolationOutcome(new Distribution([1, 2]), new Distribution([3, gap]), new Distribution([100]), FailedStreams: 1, FailedPrompts: 0, UsableStreams: 2))]);

    private static CompareReport Compared(double rate)
    {
        VirtualTimeProvider time = new();
        ScriptedServer a = new(time, (n, _) => Events.Tokens(100 + n, 10, 10));
        ScriptedServer b = new(time, (n, _) => n == 5
            ? Script.Stream(Piece.Text(5, """data: {"error":{"message":"<full>","code":"queue_full"}}""" + "\n\n"))
            : Events.Tokens(102 + n, 10, 20));
        BenchSettings settings = VirtualRun.Settings(40) with { PacingSlack = TimeSpan.Zero, RequestRate = rate };
        using BenchClient clientA = new(settings.ClientOptions(), a);
        using BenchClient clientB = new(settings.ClientOptions(), b);
        CompareOutcome outcome = VirtualRun.Wait(time, () =>
            new CompareRun(settings, clientA, clientB, time, new VirtualRun.SilentObserver(), new Random(2)).RunAsync(CancellationToken.None));
        return new CompareReport(new Uri("http://a.test"), new Uri("http://b.test"), settings, outcome);
    }
}
