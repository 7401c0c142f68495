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
internal static class BenchSweepCommand
{
    public static Command Create(TimeProvider time)
    {
        BenchOptions options = new();
        Option<string?> rates = new("--rates") { Description = "Comma-separated requests per second, such as 1,2,4,8,inf." };
        Option<string?> concurrencies = new("--concurrencies") { Description = "Comma-separated limits of requests at once, such as 1,2,4,8." };
        Option<double> pause = new("--pause") { Description = "Seconds between points.", DefaultValueFactory = _ => 1 };
        Command command = new("sweep", "The same requests at several rates or concurrencies; finds the knee.") { rates, concurrencies, pause };
        options.AddTo(command);
        command.SetAction((parsed, ct) => BenchCommand.GuardAsync(async () =>
        {
            BenchSettings settings = options.Bind(parsed);
            (SweepAxis axis, double[] loads) = Loads(parsed.GetValue(rates), parsed.GetValue(concurrencies));
            using BenchClient client = new(settings.ClientOptions(), BenchClient.CreateHandler());
            SweepRun run = new(settings, client, time, BenchCommand.Observer(options, parsed, time), TimeSpan.FromSeconds(parsed.GetValue(pause)));
            SweepOutcome outcome = await run.RunAsync(axis, loads, ct);

            Show(outcome);
            string file = BenchCommand.OutputPath(options, parsed, settings, time);
            foreach (SweepPoint point in outcome.Points) await BenchCommand.AppendAsync(file, settings, point.Outcome, ct);
            if (parsed.GetValue(options.Html) is { } html)
                await BenchCommand.WriteHtmlAsync(html, HtmlReport.Write($"baton bench sweep: {settings.BaseUrl}", BenchCommand.CommandLineNote(), outcome), ct);
            return outcome.Points.All(point => point.Outcome.Figures.Completed > 0) ? 0 : 1;
        }));
        return command;
    }

    private static (SweepAxis, double[]) Loads(string? rates, string? concurrencies) => (rates, concurrencies) switch
    {
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
                $"{outcome.Points[i].Load}", $"{of.Completed}", $"{of.Issued - of.Completed}", $"{of.RequestThroughput:F2}", $"{of.OutputThroughput:F1}",
                $"{of.Ttft.Mean:F2}", $"{of.Ttft.Percentile(99):F2}", $"{of.Itl.Percentile(99):F2}", $"{of.Queueing.Percentile(99):F2}",
                $"{of.Lateness.Percentile(99):F2}{(outcome.Points[i].Outcome.IsLate ? " late!" : "")}", i == outcome.KneeIndex ? "<- knee" : "");
        }
        AnsiConsole.Write(table);
        AnsiConsole.MarkupLine(outcome.KneeIndex is null ? "No knee: TTFT does not bend over these loads." : "Past the knee, TTFT rises faster than the load.");
    }
}
