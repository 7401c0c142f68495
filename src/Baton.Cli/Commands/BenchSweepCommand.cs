using System.CommandLine;
using System.Globalization;
using Baton.Bench;
using Baton.Bench.Figures;
using Baton.Bench.Load;
using Baton.Bench.Reports;
using Baton.Bench.Runs;
using Spectre.Console;

namespace Baton.Cli.Commands;

/// <summary><c>baton bench sweep</c>: the same requests at several rates or concurrencies, and where the knee is.</summary>
internal sealed class BenchSweepCommand
{
    private readonly BenchOptions _options = new(BenchOptions.TraceTimes);
    private readonly Option<string?> _rates = new("--rates") { Description = "Comma-separated requests per second, such as 1,2,4,8,inf." };
    private readonly Option<string?> _concurrencies = new("--concurrencies") { Description = "Comma-separated limits of requests at once, such as 1,2,4,8." };
    private readonly Option<double> _pause = new("--pause") { Description = "Seconds between points.", DefaultValueFactory = _ => 1 };

    public BenchSweepCommand()
    {
        Command = new("sweep", "The same requests at several rates or concurrencies; finds the knee.") { _rates, _concurrencies, _pause };
        _options.AddTo(Command);
    }

    public Command Command { get; }

    public static Command Create(TimeProvider time)
    {
        BenchSweepCommand sweep = new();
        sweep.Command.SetAction((parsed, ct) => BenchCommand.GuardAsync(() => sweep.RunAsync(parsed, time, ct)));
        return sweep.Command;
    }

    private async Task<int> RunAsync(ParseResult parsed, TimeProvider time, CancellationToken ct)
    {
        BenchSettings settings = _options.Bind(parsed);
        (SweepAxis axis, double[] loads) = Loads(parsed);
        using BenchClient client = new(settings.ClientOptions(), BenchClient.CreateHandler());
        SweepRun run = new(settings, client, time, BenchCommand.Observer(_options, parsed, time), TimeSpan.FromSeconds(BenchOptions.AtLeast(0, parsed, _pause)));
        SweepOutcome outcome = await run.RunAsync(axis, loads, ct);

        Show(outcome);
        string file = BenchCommand.OutputPath(_options, parsed, settings, time);
        foreach (SweepPoint point in outcome.Points) await BenchCommand.AppendAsync(file, settings, point.Outcome, ct);
        if (parsed.GetValue(_options.Html) is { } html)
            await BenchCommand.WriteHtmlAsync(html, HtmlReport.Write($"baton bench sweep: {settings.BaseUrl}", BenchCommand.CommandLineNote(), outcome), ct);
        return outcome.Points.All(point => point.Outcome.Figures.Completed > 0) ? 0 : 1;
    }

    /// <exception cref="BenchException">No loads, or some that make no sense, or two flags that mean the same.</exception>
    internal (SweepAxis Axis, double[] Loads) Loads(ParseResult parsed) => (parsed.GetValue(_rates), parsed.GetValue(_concurrencies)) switch
    {
        ({ }, null) when _options.GivesRate(parsed) => throw new BenchException("--request-rate has no meaning beside --rates."),
        (null, { }) when _options.GivesConcurrency(parsed) => throw new BenchException("--max-concurrency has no meaning beside --concurrencies."),
        ({ } text, null) => (SweepAxis.RequestRate, Numbers("--rates", text, allowInfinity: true)),
        (null, { } text) => (SweepAxis.MaxConcurrency, Numbers("--concurrencies", text, allowInfinity: false)),
        _ => throw new BenchException("Give either --rates or --concurrencies, such as --rates 1,2,4,8,inf."),
    };

    private static double[] Numbers(string option, string text, bool allowInfinity) => [.. text.Split(',').Select(part =>
    {
        if (allowInfinity && part.Trim() == "inf") return double.PositiveInfinity;
        bool isNumber = double.TryParse(part, NumberStyles.Float, CultureInfo.InvariantCulture, out double number) && number > 0;
        if (!isNumber || (!allowInfinity && number != Math.Floor(number))) throw new BenchException($"{option} {text}: '{part}' is no load.");
        return number;
    })];

    private static void Show(SweepOutcome outcome)
    {
        Table table = new Table().Border(TableBorder.Rounded);
        table.AddColumn(new TableColumn(outcome.Axis == SweepAxis.RequestRate ? "rate req/s" : "at once").RightAligned());
        foreach (string column in new[] { "done", "failed", "req/s", "tok/s", "mean TTFT ms", "p99 TTFT ms", "p99 ITL ms", "p99 queueing ms", "p99 lateness ms", "" })
            table.AddColumn(new TableColumn(column).RightAligned());
        for (int i = 0; i < outcome.Points.Count; i++)
        {
            ServingFigures of = outcome.Points[i].Outcome.Figures;
            table.AddRow(
                double.IsFinite(outcome.Points[i].Load) ? $"{outcome.Points[i].Load}" : "inf", $"{of.Completed}", $"{of.Issued - of.Completed}", $"{of.RequestThroughput:F2}", $"{of.OutputThroughput:F1}",
                $"{of.Ttft.Mean:F2}", $"{of.Ttft.Percentile(99):F2}", $"{of.Itl.Percentile(99):F2}", $"{of.Queueing.Percentile(99):F2}",
                $"{of.Lateness.Percentile(99):F2}{(outcome.Points[i].Outcome.IsLate ? " late!" : "")}", i == outcome.KneeIndex ? "<- knee" : "");
        }
        AnsiConsole.Write(table);
        AnsiConsole.MarkupLine(outcome.KneeIndex is null ? "No knee: TTFT does not bend over these loads." : "Past the knee, TTFT rises faster than the load.");
    }
}
