using System.CommandLine;
using Baton.Bench.Load;
using Baton.Bench.Reports;
using Baton.Bench.Runs;
using Spectre.Console;

namespace Baton.Cli.Commands;

/// <summary><c>baton bench compare</c>: the same requests to two servers, interleaved, with confidence intervals.</summary>
internal static class BenchCompareCommand
{
    public static Command Create(TimeProvider time)
    {
        BenchOptions options = new(BenchOptions.Servers, BenchOptions.TraceTimes, BenchOptions.OneRun);
        Option<string> a = new("--a") { Description = "First server, the base of each ratio.", Required = true };
        Option<string> b = new("--b") { Description = "Second server. A router in front of --a shows the router's own cost.", Required = true };
        Command command = new("compare", "The same requests to two servers, next to each other in time; ratios with a bootstrap confidence interval.") { a, b };
        options.AddTo(command);
        command.SetAction((parsed, ct) => BenchCommand.GuardAsync(async () =>
        {
            BenchSettings settings = options.Bind(parsed);
            (Uri urlA, Uri urlB) = (BenchOptions.ParseUrl("--a", parsed.GetValue(a)!), BenchOptions.ParseUrl("--b", parsed.GetValue(b)!));
            using BenchClient clientA = new(settings.ClientOptions(urlA), BenchClient.CreateHandler());
            using BenchClient clientB = new(settings.ClientOptions(urlB), BenchClient.CreateHandler());
            Random random = new(settings.Dataset.Seed);
            CompareOutcome outcome = await new CompareRun(settings, clientA, clientB, time, BenchCommand.Observer(options, parsed, time), random).RunAsync(ct);
            Show(outcome);
            CompareReport report = new(urlA, urlB, settings, outcome);
            string note = BenchCommand.CommandLineNote();
            if (parsed.GetValue(options.OutputFile) is { } file) await BenchCommand.AppendAsync(file, report.Line(note), ct);
            if (parsed.GetValue(options.Html) is { } html) await BenchCommand.WriteHtmlAsync(html, report.Page(note), ct);
            return 0;
        }));
        return command;
    }

    private static void Show(CompareOutcome outcome)
    {
        Table table = new Table().Border(TableBorder.Rounded).Title($"{outcome.PairCount} of {outcome.RecordsA.Count} requests answered by both; 95 % intervals by bootstrap");
        table.AddColumn("");
        foreach (string column in new[] { "A", "B", "B / A", "interval", "B - A (us)", "interval", "" }) table.AddColumn(new TableColumn(column).RightAligned());
        foreach (ComparedMetric metric in outcome.Metrics)
        {
            table.AddRow(
                metric.Name, $"{metric.A:F3}", $"{metric.B:F3}", $"{metric.Ratio.Value:F3}", $"{metric.Ratio.Low:F3} .. {metric.Ratio.High:F3}",
                $"{metric.DifferenceMs.Value * 1000:F0}", $"{metric.DifferenceMs.Low * 1000:F0} .. {metric.DifferenceMs.High * 1000:F0}",
                metric.Verdict);
        }
        AnsiConsole.Write(table);
        Errors("A", outcome.RecordsA);
        Errors("B", outcome.RecordsB);
        if (outcome.IsLate)
            AnsiConsole.MarkupLineInterpolated($"[yellow]WARNING: the generator sent its requests {outcome.Lateness.Percentile(99):F2} ms late at p99 (limit {BenchOutcome.LatenessLimit.TotalMilliseconds} ms): part of what you see is this machine.[/]");
        AnsiConsole.MarkupLine("Where A and B lead to the same workers, B - A of the TTFT is what the way costs (router overhead).");
    }

    private static void Errors(string side, IReadOnlyList<RequestRecord> records)
    {
        foreach (IGrouping<string, RequestRecord> kind in records.Where(record => !record.IsSuccess).GroupBy(record => record.Error!.Label, StringComparer.Ordinal))
            AnsiConsole.MarkupLineInterpolated($"[red]{side}: {kind.Count()} x {kind.Key}[/]: {kind.First().Error!.Message}");
    }
}
