using System.Text;
using Baton.Bench.Figures;
using Baton.Bench.Load;
using Baton.Bench.Runs;

namespace Baton.Bench.Reports;

/// <summary>One self-contained page: figures, charts as inline SVG, light and dark. Nothing is loaded from anywhere.</summary>
public static class HtmlReport
{
    private const string Style = """
        :root{--bg:#fff;--fg:#1c2024;--dim:#5a6370;--grid:#e3e6ea;--card:#f6f7f9;--c1:#2563b8;--c2:#c2610c;--c3:#2a7d4f;--c4:#8a3ea8}
        @media(prefers-color-scheme:dark){:root{--bg:#14171b;--fg:#e8eaed;--dim:#a3abb6;--grid:#2e343c;--card:#1c2127;--c1:#6ea8f5;--c2:#f0a050;--c3:#62c48e;--c4:#cf8ee8}}
        body{background:var(--bg);color:var(--fg);font:15px/1.5 system-ui,sans-serif;max-width:1360px;margin:24px auto;padding:0 20px}
        h1{font-size:22px;margin:0}h2{font-size:17px;margin:28px 0 8px}p{margin:6px 0;color:var(--dim)}
        .charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,560px),1fr));gap:16px}
        .charts>*{background:var(--card);border-radius:8px;padding:10px;width:100%;height:auto;box-sizing:border-box}
        .scroll{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}th,td{padding:4px 12px;text-align:right;border-bottom:1px solid var(--grid)}
        th:first-child,td:first-child{text-align:left;white-space:nowrap}th{color:var(--dim);font-weight:600}
        svg text{fill:var(--fg);font:12px system-ui,sans-serif}svg .title{font-weight:600;font-size:14px}svg .axis{fill:var(--dim);font-size:13px}svg .tick{fill:var(--dim)}
        svg .grid{stroke:var(--grid)}svg .mark{stroke:var(--dim);stroke-dasharray:4 3}svg .line{fill:none;stroke-width:2}
        .line.s1{stroke:var(--c1)}.line.s2{stroke:var(--c2)}.line.s3{stroke:var(--c3)}.line.s4{stroke:var(--c4)}
        .s1.dot,.s1.bar{fill:var(--c1)}.s2.dot,.s2.bar{fill:var(--c2)}.s3.dot,.s3.bar{fill:var(--c3)}.s4.dot,.s4.bar{fill:var(--c4)}
        .warn{color:var(--c2);font-weight:600}
        """;

    /// <param name="title">What was measured.</param>
    /// <param name="note">How: the command, the machine. Shown as given.</param>
    public static string Write(string title, string note, BenchOutcome outcome) =>
        Page(title, note, $"{Table([("", outcome)])}{Goodput(outcome.Figures)}{Errors(outcome.Figures)}{Pairs(outcome.Pd)}<h2>Charts</h2>{Charts(outcome)}");

    /// <param name="sweep">The charts of the point with the highest load follow those over the load.</param>
    public static string Write(string title, string note, SweepOutcome sweep)
    {
        string unit = sweep.Axis == SweepAxis.RequestRate ? "req/s" : "at once";
        SweepPoint[] finite = [.. sweep.Points.Where(point => double.IsFinite(point.Load))];
        Axis load = new(sweep.Axis == SweepAxis.RequestRate ? "Request rate (requests/s)" : "Requests at once");
        (double, string)? knee = sweep.KneeIndex is { } index ? (sweep.Points[index].Load, "knee") : null;
        string over = string.Concat(
            SvgChart.Lines("TTFT over load", load, new Axis("TTFT (ms)"), [Curve("mean", 1, values => values.Mean), Curve("p50", 3, values => values.Median), Curve("p99", 2, values => values.Percentile(99))], marker: knee),
            SvgChart.Lines("Completed over load", load, new Axis("Requests/s"), [new Series("completed", 1, [.. finite.Select(point => (point.Load, point.Outcome.Figures.RequestThroughput))])], marker: knee));
        BenchOutcome last = sweep.Points[^1].Outcome;
        return Page(title, note,
            $"{Table([.. sweep.Points.Select(point => ($"{PythonFormat.Float(point.Load)} {unit}", point.Outcome))])}<h2>Over the load</h2><div class=\"charts\">{over}</div><h2>At {PythonFormat.Float(sweep.Points[^1].Load)} {unit}</h2>{Charts(last)}");

        Series Curve(string name, int color, Func<Distribution, double> of) => new(name, color, [.. finite.Select(point => (point.Load, of(point.Outcome.Figures.Ttft)))]);
    }

    private static string Goodput(ServingFigures of)
    {
        string[] goals = [.. new[] { (Name: "TTFT", Bound: of.Goals.Ttft), (Name: "ITL", Bound: of.Goals.Itl) }.Where(goal => goal.Bound is not null).Select(goal => $"{goal.Name} within {goal.Bound!.Value.TotalMilliseconds:F0} ms")];
        return goals.Length == 0 ? "" : $"<p>Goodput ({string.Join(" and ", goals)}): {of.Goodput:F2} of {of.RequestThroughput:F2} requests/s.</p>";
    }

    private static string Errors(ServingFigures of) => of.Errors.Count == 0 ? "" : PageTable.Write(
        $"{of.Issued - of.Completed} of {of.Issued} requests failed", ["error", "count", "first message"],
        of.Errors.Select(error => (IReadOnlyList<string>)[error.Label, $"{error.Count}", error.Example]));

    private static string Pairs(PdFigures pd) => pd.Pairs.Count == 0 ? "" : PageTable.Write("Pairs",
        ["prefill", "decode", "requests", "mean TTFT ms", "KV MB", "median hand-over ms"],
        pd.Pairs.Select(pair => (IReadOnlyList<string>)[pair.Prefill, pair.Decode, $"{pair.Requests}", $"{pair.MeanTtftMs:F2}", $"{pair.HandoverBytes / 1e6:F2}", $"{pair.HandoverMs:F2}"]));

    /// <summary>A page in the style of all reports.</summary>
    /// <param name="body">HTML; the caller has escaped what came from outside.</param>
    public static string Page(string title, string note, string body) =>
        $"<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>{SvgChart.Escape(title)}</title><style>{Style}</style></head><body><h1>{SvgChart.Escape(title)}</h1><p>{SvgChart.Escape(note)}</p>{body}</body></html>\n";

    private static string Table((string Name, BenchOutcome Outcome)[] rows)
    {
        StringBuilder table = new("<h2>Figures</h2><div class=\"scroll\"><table><tr><th></th>");
        foreach (string column in new[] { "completed", "failed", "req/s", "output tok/s", "mean TTFT ms", "p50 TTFT ms", "p99 TTFT ms", "p99 from intended ms", "mean TPOT ms", "p99 ITL ms", "p99 queueing ms", "p99 lateness ms" })
            table.Append("<th>").Append(column).Append("</th>");
        table.Append("</tr>");
        foreach ((string name, BenchOutcome outcome) in rows)
        {
            ServingFigures of = outcome.Figures;
            table.Append("<tr><td>").Append(SvgChart.Escape(name)).Append("</td>");
            foreach (string cell in new[]
            {
                $"{of.Completed}", $"{of.Issued - of.Completed}", $"{of.RequestThroughput:F2}", $"{of.OutputThroughput:F1}", $"{of.Ttft.Mean:F2}", $"{of.Ttft.Median:F2}",
                $"{of.Ttft.Percentile(99):F2}", $"{of.TtftFromIntended.Percentile(99):F2}", $"{of.Tpot.Mean:F2}", $"{of.Itl.Percentile(99):F2}",
                $"{of.Queueing.Percentile(99):F2}", $"{of.Lateness.Percentile(99):F2}",
            })
            {
                table.Append("<td>").Append(cell).Append("</td>");
            }
            table.Append("</tr>");
        }
        table.Append("</table></div>");
        double latest = rows.Where(row => row.Outcome.IsLate).Select(row => row.Outcome.Figures.Lateness.Percentile(99)).DefaultIfEmpty(0).Max();
        if (latest > 0) table.Append($"<p class=\"warn\">The generator itself was up to {latest:F2} ms late at p99 (last column): part of these figures is the measuring machine.</p>");
        return table.ToString();
    }

    private static string Charts(BenchOutcome outcome)
    {
        RequestRecord[] good = [.. outcome.Records.Where(record => record.IsSuccess)];
        StringBuilder charts = new("<div class=\"charts\">");
        // All requests of a burst are meant for the same moment: then they stand in their order.
        bool isBurst = good.Length > 0 && good.All(record => record.IntendedAt == good[0].IntendedAt);
        charts.Append(SvgChart.Lines("Timeline: TTFT of each request", new Axis(isBurst ? "Request, in the order of sending" : "Intended send time (s)"), new Axis("TTFT (ms)"), [
            new Series("service", 1, [.. good.Select(record => (At(record), record.Ttft.TotalMilliseconds))]),
            new Series("from intended", 2, [.. good.Where(record => record.TtftFromIntended - record.Ttft > TimeSpan.FromMilliseconds(1)).Select(record => (At(record), record.TtftFromIntended.TotalMilliseconds))]),
        ], connect: false));
        charts.Append(Cumulative("TTFT: share of requests within", ("", 1, outcome.Figures.Ttft)));
        charts.Append(Cumulative("ITL: share of gaps within", ("", 3, outcome.Figures.Itl)));
        if (outcome.Pd.Prefill.Count > 0)
            charts.Append(SvgChart.Bars($"Prompt tokens per prefill rank{Imbalance(outcome.Pd.PrefillImbalance)}", new Axis("Prefill rank"), new Axis("Tokens"), [.. outcome.Pd.Prefill.Select(rank => (rank.Name, (double)rank.Tokens))], 1));
        if (outcome.Pd.Decode.Count > 0)
            charts.Append(SvgChart.Bars($"{(outcome.Pd.Prefill.Count > 0 ? "Output tokens per decode rank" : "Tokens per rank")}{Imbalance(outcome.Pd.DecodeImbalance)}", new Axis("Rank"), new Axis("Tokens"), [.. outcome.Pd.Decode.Select(rank => (rank.Name, (double)rank.Tokens))], 3));
        charts.Append(SvgChart.Waterfall(outcome.Pd.Prefill.Count > 0 ? "Slowest requests (prefill \u2192 decode rank)" : "Slowest requests", new Axis("Time from the intended send (ms)"), [.. TerminalSummary.Slowest(outcome.Records).Select(Parts)], [("held back", 4), ("to first token", 2), ("decode", 3)]));
        return charts.Append("</div>").ToString();

        double At(RequestRecord record) => isBurst ? record.Index : record.IntendedAt.TotalSeconds;
        static string Imbalance(double? ratio) => ratio is { } most ? $" (most loaded / mean = {most:F2})" : "";
        // The ranks, where the response told: prefill to decode.
        static string Way(RequestRecord record) => (record.PrefillDpRank, record.DpRank) switch
        {
            ({ } prefill, { } decode) => $" {prefill}\u2192{decode}",
            (_, { } rank) => $" {rank}",
            _ => "",
        };
        static (string, IReadOnlyList<double>) Parts(RequestRecord record) =>
            ($"#{record.Index}{Way(record)}", [(record.StartedAt - record.IntendedAt).TotalMilliseconds, record.Ttft.TotalMilliseconds, (record.Latency - record.Ttft).TotalMilliseconds]);
    }

    /// <summary>The distribution as a rising curve of at most 200 points, log time: tails stay visible where a histogram would flatten them.</summary>
    internal static string Cumulative(string title, params ReadOnlySpan<(string Name, int Color, Distribution Values)> curves)
    {
        List<Series> series = [];
        foreach ((string name, int color, Distribution values) in curves) series.Add(new Series(name, color, Steps(values)));
        return SvgChart.Lines(title, new Axis("Time (ms, logarithmic)", IsLogarithmic: true), new Axis("Share (%)"), series);

        static (double, double)[] Steps(Distribution values)
        {
            // Events that arrive in one read have a gap of 0, which a logarithm has no place for.
            const double LeastMs = 0.001;
            int steps = Math.Min(200, values.Count);
            return [.. Enumerable.Range(1, steps).Select(i => (Math.Max(LeastMs, values.Percentile(100.0 * i / steps)), 100.0 * i / steps))];
        }
    }
}
