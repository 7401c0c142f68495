using Baton.Bench.Figures;
using Baton.Bench.Load;
using Baton.Bench.Runs;
using Spectre.Console;

namespace Baton.Bench.Reports;

/// <summary>What bench_serving's block does not say, for a person at a terminal: errors, waiting, goodput, ranks, and the slowest requests.</summary>
public static class TerminalSummary
{
    private const int SlowestCount = 10;
    private const int BarCells = 40;

    public static void Write(IAnsiConsole console, BenchOutcome outcome)
    {
        WriteErrors(console, outcome.Figures);
        WriteWaiting(console, outcome);
        if (!outcome.Pd.IsEmpty) WriteRanks(console, outcome.Pd);
        WriteSlowest(console, outcome.Records);
        if (outcome.IsLate)
        {
            console.MarkupLineInterpolated(
                $"[yellow]WARNING: the generator sent its requests {outcome.Figures.Lateness.Percentile(99):F2} ms late at p99 (limit {BenchOutcome.LatenessLimit.TotalMilliseconds} ms). Part of what you see is this machine and not the server: lower the rate, or run bench on other cores.[/]");
        }
    }

    private static void WriteErrors(IAnsiConsole console, ServingFigures figures)
    {
        int failed = figures.Issued - figures.Completed;
        if (failed == 0) return;
        Table table = new Table().Border(TableBorder.Rounded).Title($"[red]{failed} of {figures.Issued} requests failed[/]");
        table.AddColumn("Error").AddColumn(new TableColumn("Count").RightAligned()).AddColumn("First message");
        foreach ((string label, int count, string example) in figures.Errors)
            table.AddRow(Markup.Escape(label), count.ToString(), Markup.Escape(example.Length > 160 ? example[..160] + "…" : example));
        console.Write(table);
    }

    private static void WriteWaiting(IAnsiConsole console, BenchOutcome outcome)
    {
        ServingFigures figures = outcome.Figures;
        Table table = new Table().Border(TableBorder.Rounded).Title("Waiting, from the intended send time (ms)");
        table.AddColumn("");
        foreach (string column in new[] { "mean", "p50", "p99", "max" }) table.AddColumn(new TableColumn(column).RightAligned());
        Row("TTFT (service, as above)", figures.Ttft);
        Row("TTFT from the intended time", figures.TtftFromIntended);
        Row("queueing for --max-concurrency", figures.Queueing);
        Row(outcome.Header.RequestRate is double.PositiveInfinity ? "issuing the burst" : "generator lateness", figures.Lateness);
        if (!outcome.Pd.IsEmpty && outcome.Pd.HandoverMs.Count > 0) Row("KV hand-over", outcome.Pd.HandoverMs);
        console.Write(table);
        if (figures.Goals.IsAny)
        {
            string goals = string.Join(" and ", new[] { Goal("TTFT", figures.Goals.Ttft), Goal("ITL", figures.Goals.Itl) }.Where(text => text.Length > 0));
            console.MarkupLineInterpolated($"Goodput ({goals}): [bold]{figures.Goodput:F2} req/s[/] of {figures.RequestThroughput:F2} completed");
        }

        void Row(string name, Distribution values) => table.AddRow(
            Markup.Escape(name), $"{values.Mean:F2}", $"{values.Median:F2}", $"{values.Percentile(99):F2}", $"{values.Max:F2}");
        static string Goal(string name, TimeSpan? bound) => bound is { } time ? $"{name} <= {time.TotalMilliseconds:F0} ms" : "";
    }

    private static void WriteRanks(IAnsiConsole console, PdFigures pd)
    {
        Ranks(pd.Prefill.Count == 0 ? "Ranks" : "Decode ranks", pd.Decode, pd.DecodeImbalance);
        if (pd.Prefill.Count > 0) Ranks("Prefill ranks", pd.Prefill, pd.PrefillImbalance);
        if (pd.Pairs.Count > 0)
        {
            Table table = new Table().Border(TableBorder.Rounded).Title("Pairs");
            foreach (string column in new[] { "prefill", "decode" }) table.AddColumn(column);
            foreach (string column in new[] { "requests", "mean TTFT ms", "KV MB", "median hand-over ms" }) table.AddColumn(new TableColumn(column).RightAligned());
            foreach (PairShare pair in pd.Pairs)
            {
                table.AddRow(
                    Markup.Escape(pair.Prefill), Markup.Escape(pair.Decode), pair.Requests.ToString(), $"{pair.MeanTtftMs:F2}",
                    $"{pair.HandoverBytes / 1e6:F2}", $"{pair.HandoverMs:F2}");
            }
            console.Write(table);
        }
        if (pd.RankSources.Count > 0)
            console.MarkupLineInterpolated($"Prefill rank known by: {string.Join(", ", pd.RankSources.Select(source => $"{source.Key} {source.Value}"))}");

        void Ranks(string title, IReadOnlyList<RankShare> ranks, double? imbalance)
        {
            Table table = new Table().Border(TableBorder.Rounded).Title(imbalance is { } ratio ? $"{title}: most loaded / mean = {ratio:F2}" : title);
            table.AddColumn("rank");
            foreach (string column in new[] { "requests", "tokens", "mean TTFT ms" }) table.AddColumn(new TableColumn(column).RightAligned());
            foreach (RankShare rank in ranks) table.AddRow(Markup.Escape(rank.Name), rank.Requests.ToString(), rank.Tokens.ToString(), $"{rank.MeanTtftMs:F2}");
            console.Write(table);
        }
    }

    private static void WriteSlowest(IAnsiConsole console, IReadOnlyList<RequestRecord> records)
    {
        RequestRecord[] slowest = [.. Slowest(records)];
        if (slowest.Length == 0) return;
        TimeSpan longest = slowest.Max(record => record.EndedAt - record.IntendedAt);
        Table table = new Table().Border(TableBorder.Rounded).Title("Slowest requests:  [grey]·[/] held back  [yellow]▒[/] to first token  [green]█[/] decode");
        foreach (string column in new[] { "#", "P", "D" }) table.AddColumn(new TableColumn(column).RightAligned());
        table.AddColumn($"0 to {longest.TotalMilliseconds:F0} ms").AddColumn(new TableColumn("total ms").RightAligned());
        foreach (RequestRecord record in slowest)
        {
            int held = Cells(record.StartedAt - record.IntendedAt);
            int first = Cells(record.TtftFromIntended) - held;
            int rest = Cells(record.EndedAt - record.IntendedAt) - held - first;
            table.AddRow(
                record.Index.ToString(), record.PrefillDpRank?.ToString() ?? "", record.DpRank?.ToString() ?? "",
                $"[grey]{new string('·', held)}[/][yellow]{new string('▒', first)}[/][green]{new string('█', rest)}[/]",
                $"{(record.EndedAt - record.IntendedAt).TotalMilliseconds:F2}");
        }
        console.Write(table);

        int Cells(TimeSpan at) => longest > TimeSpan.Zero ? (int)Math.Round(at / longest * BarCells) : 0;
    }

    /// <summary>The ten that took longest from their intended time, longest first.</summary>
    internal static IEnumerable<RequestRecord> Slowest(IReadOnlyList<RequestRecord> records) =>
        records.Where(record => record.IsSuccess).OrderByDescending(record => record.EndedAt - record.IntendedAt).ThenBy(record => record.Index).Take(SlowestCount);
}
