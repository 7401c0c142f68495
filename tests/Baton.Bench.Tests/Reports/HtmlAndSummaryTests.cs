using Baton.Bench.Reports;
using Baton.Bench.Runs;
using Baton.Bench.Tests.Scripted;
using Baton.Simulation.Clock;
using Spectre.Console;

namespace Baton.Bench.Tests.Reports;

public sealed class HtmlAndSummaryTests
{
    private static BenchOutcome Outcome()
    {
        VirtualTimeProvider time = new();
        ScriptedServer server = new(time, (n, _) => n == 3
            ? Script.Stream(Piece.Text(5, """data: {"error":{"message":"<b>[red]full[/]</b>","code":"queue_full"}}""" + "\n\n"))
            : Script.Stream(Piece.Text(100 + n, Events.Native(1)), Piece.Text(20, Events.Native(2, meta: $$""","dp_rank":{{n % 2}},"prefill_dp_rank":1,"rank_source":"hint" """) + Events.Done)));
        return VirtualRun.Serve(time, server, VirtualRun.Settings(8) with { MaxConcurrency = 2 });
    }

    [Fact]
    public void The_page_loads_nothing_and_escapes_what_it_shows()
    {
        string page = HtmlReport.Write("a <title>", "note & more", Outcome());

        Assert.DoesNotContain("http", page, StringComparison.OrdinalIgnoreCase);
        Assert.DoesNotContain("<script", page, StringComparison.OrdinalIgnoreCase);
        Assert.Contains("a &lt;title&gt;", page, StringComparison.Ordinal);
        Assert.Contains("note &amp; more", page, StringComparison.Ordinal);
        Assert.Contains("prefers-color-scheme:dark", page, StringComparison.Ordinal);
        foreach (string chart in new[] { "Timeline", "TTFT: share", "ITL: share", "Prompt tokens per prefill rank", "Output tokens per decode rank", "Slowest requests (prefill → decode rank)", "median hand-over ms", "most loaded / mean = ", "1→0<" })
            Assert.Contains(chart, page, StringComparison.Ordinal);
    }

    [Fact]
    public void The_page_counts_errors_by_kind_and_shows_goodput()
    {
        BenchOutcome outcome = Outcome();

        string page = HtmlReport.Write("", "", outcome with { Figures = outcome.Figures with { Goals = new(TimeSpan.FromMilliseconds(150), null), Goodput = 3.25 } });

        foreach (string shown in new[] { "1 of 8 requests failed", "error in a 200 stream (queue_full)", "&lt;b&gt;[red]full[/]&lt;/b&gt;", "Goodput (TTFT within 150 ms): 3.25 of " })
            Assert.Contains(shown, page, StringComparison.Ordinal);
        Assert.DoesNotContain("Goodput", HtmlReport.Write("", "", outcome), StringComparison.Ordinal);
    }

    [Fact]
    public void A_burst_has_no_send_times_to_show_and_stands_in_its_order()
    {
        BenchOutcome burst = Outcome();
        VirtualTimeProvider time = new();
        BenchOutcome spread = VirtualRun.Serve(time, new ScriptedServer(time, (_, _) => Events.Tokens(10)), VirtualRun.Settings(4) with { RequestRate = 2 });

        Assert.Contains("Request, in the order of sending", HtmlReport.Write("", "", burst), StringComparison.Ordinal);
        Assert.Contains("Intended send time (s)", HtmlReport.Write("", "", spread), StringComparison.Ordinal);
    }

    [Fact]
    public void A_legend_stands_below_the_title()
    {
        string chart = SvgChart.Lines("a long title of a chart", new Axis("x"), new Axis("y"), [new("http://one", 1, [(0, 1)]), new("http://two", 2, [(1, 2)])]);

        Assert.Matches("y=\"18.0\"[^>]*>a long title of a chart<", chart);
        Assert.Matches("y=\"37.0\"[^>]*>http://one<", chart);
        Assert.Matches("y=\"37.0\"[^>]*>http://two<", chart);
    }

    [Fact]
    public void A_sweeps_page_shows_ttft_over_the_load_and_the_knee()
    {
        SweepOutcome sweep = new(SweepAxis.RequestRate, [new(1, Outcome()), new(2, Outcome()), new(double.PositiveInfinity, Outcome())], 1);

        string page = HtmlReport.Write("sweep", "", sweep);

        Assert.Contains("TTFT over load", page, StringComparison.Ordinal);
        Assert.Contains(">knee<", page, StringComparison.Ordinal);
        Assert.DoesNotContain("NaN", page, StringComparison.Ordinal);
    }

    [Fact]
    public void The_waterfall_has_the_slowest_ten_with_the_slowest_first()
    {
        VirtualTimeProvider time = new();
        BenchOutcome outcome = VirtualRun.Serve(time, new ScriptedServer(time, (n, _) => Events.Tokens(100 + (10 * n), 5)), VirtualRun.Settings(13) with { WarmupRequests = 0 });

        string page = HtmlReport.Write("", "", outcome);

        string[] labels = [.. System.Text.RegularExpressions.Regex.Matches(page, ">#([0-9]+)<").Select(found => found.Groups[1].Value)];
        Assert.Equal(["12", "11", "10", "9", "8", "7", "6", "5", "4", "3"], labels);
        Assert.Contains("<title>to first token: 220.00 ms</title>", page, StringComparison.Ordinal);
        Assert.Contains("<title>decode: 5.00 ms</title>", page, StringComparison.Ordinal);
    }

    [Fact]
    public void The_summary_shows_errors_waiting_ranks_and_the_slowest()
    {
        StringWriter text = new();
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings { Ansi = AnsiSupport.No, ColorSystem = ColorSystemSupport.NoColors, Out = new AnsiConsoleOutput(text) });
        console.Profile.Width = 160;

        TerminalSummary.Write(console, Outcome());

        string shown = text.ToString();
        Assert.Contains("1 of 8 requests failed", shown, StringComparison.Ordinal);
        Assert.Contains("error in a 200 stream (queue_full)", shown, StringComparison.Ordinal);
        Assert.Contains("<b>[red]full[/]</b>", shown, StringComparison.Ordinal);
        Assert.Contains("queueing for --max-concurrency", shown, StringComparison.Ordinal);
        Assert.Contains("Prefill rank known by: hint 7", shown, StringComparison.Ordinal);
        Assert.Contains("Slowest requests", shown, StringComparison.Ordinal);
        Assert.DoesNotContain("WARNING", shown, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0.9, false)]
    [InlineData(1.1, true)]
    public void A_late_generator_says_so_past_one_millisecond(double latenessMs, bool warns)
    {
        BenchOutcome outcome = Outcome();
        BenchOutcome late = outcome with
        {
            Header = outcome.Header with { RequestRate = 5 },
            Figures = outcome.Figures with { Lateness = new([latenessMs]) },
        };
        StringWriter text = new();
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings { Ansi = AnsiSupport.No, Out = new AnsiConsoleOutput(text) });

        TerminalSummary.Write(console, late);

        Assert.Equal(warns, text.ToString().Contains("WARNING", StringComparison.Ordinal));
        Assert.False((late with { Header = outcome.Header }).IsLate);
    }
}
