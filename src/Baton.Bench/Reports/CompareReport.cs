using System.Text.Json.Nodes;
using Baton.Bench.Figures;
using Baton.Bench.Load;
using Baton.Bench.Runs;

namespace Baton.Bench.Reports;

/// <summary>A comparison as one JSON line and as a page.</summary>
/// <param name="A">Where the base of each ratio was sent.</param>
public sealed record CompareReport(Uri A, Uri B, BenchSettings Settings, CompareOutcome Outcome)
{
    /// <param name="command">What was typed.</param>
    public string Line(string command)
    {
        JsonArray metrics = [];
        foreach (ComparedMetric metric in Outcome.Metrics)
        {
            metrics.Add(new JsonObject
            {
                ["name"] = metric.Name,
                ["a"] = metric.A,
                ["b"] = metric.B,
                ["ratio"] = Interval(metric.Ratio, 1),
                ["difference_us"] = Interval(metric.DifferenceMs, 1000),
            });
        }
        JsonObject line = new()
        {
            ["tag"] = Settings.Tag,
            ["command"] = command,
            ["a"] = A.ToString(),
            ["b"] = B.ToString(),
            ["backend"] = Settings.Backend.Name,
            ["dataset_name"] = Settings.Dataset.Name,
            ["request_rate"] = double.IsFinite(Settings.RequestRate) ? Settings.RequestRate : "inf",
            ["max_concurrency"] = Settings.MaxConcurrency,
            ["issued"] = Outcome.RecordsA.Count,
            ["pairs"] = Outcome.PairCount,
            ["p99_lateness_ms"] = Outcome.Lateness.Percentile(99),
            ["metrics"] = metrics,
            ["errors_a"] = Errors(Outcome.RecordsA),
            ["errors_b"] = Errors(Outcome.RecordsB),
        };
        return line.ToJsonString();
    }

    public string Page(string note)
    {
        (RequestRecord A, RequestRecord B)[] pairs = [.. Outcome.RecordsA.Zip(Outcome.RecordsB).Where(pair => pair.First.IsSuccess && pair.Second.IsSuccess)];
        (double, double)[] differences = [.. pairs.Select(pair => (pair.A.IntendedAt.TotalSeconds, (pair.B.Ttft - pair.A.Ttft).TotalMilliseconds))];
        string table = PageTable.Write(
            $"{Outcome.PairCount} of {Outcome.RecordsA.Count} requests answered by both; 95 % intervals by bootstrap over pairs",
            ["", "A", "B", "B / A", "interval", "B - A (\u00b5s)", "interval", ""],
            Outcome.Metrics.Select(metric => (IReadOnlyList<string>)
            [
                metric.Name, $"{metric.A:F3}", $"{metric.B:F3}", $"{metric.Ratio.Value:F3}", $"{metric.Ratio.Low:F3} .. {metric.Ratio.High:F3}",
                $"{metric.DifferenceMs.Value * 1000:F0}", $"{metric.DifferenceMs.Low * 1000:F0} .. {metric.DifferenceMs.High * 1000:F0}", metric.Verdict,
            ]));
        string charts = string.Concat(
            HtmlReport.Cumulative("TTFT: share of requests within", ("A", 1, Times(pairs.Select(pair => pair.A), record => record.Ttft)), ("B", 2, Times(pairs.Select(pair => pair.B), record => record.Ttft))),
            HtmlReport.Cumulative("E2E latency: share of requests within", ("A", 1, Times(pairs.Select(pair => pair.A), record => record.Latency)), ("B", 2, Times(pairs.Select(pair => pair.B), record => record.Latency))),
            SvgChart.Lines("TTFT of B minus TTFT of A, each pair", new Axis("Intended send time of A (s)"), new Axis("B - A (ms)"), [new Series("", 4, differences)], connect: false));
        string late = Outcome.IsLate
            ? $"<p class=\"warn\">The generator itself was {Outcome.Lateness.Percentile(99):F2} ms late at p99: part of these figures is the measuring machine.</p>" : "";
        return HtmlReport.Page($"baton bench compare: A = {A}, B = {B}", note, $"{table}{late}{Failed("A", Outcome.RecordsA)}{Failed("B", Outcome.RecordsB)}<h2>Charts</h2><div class=\"charts\">{charts}</div>");
    }

    private static Distribution Times(IEnumerable<RequestRecord> records, Func<RequestRecord, TimeSpan> time) => new(records.Select(record => time(record).TotalMilliseconds));

    private static JsonObject Interval(Estimate estimate, double scale) => new()
    {
        ["value"] = Finite(estimate.Value * scale),
        ["low"] = Finite(estimate.Low * scale),
        ["high"] = Finite(estimate.High * scale),
    };

    // A ratio over 0 is no number, and JSON has no word for it.
    private static JsonValue? Finite(double value) => double.IsFinite(value) ? JsonValue.Create(value) : null;

    private static IEnumerable<IGrouping<string, RequestRecord>> ByError(IReadOnlyList<RequestRecord> records) =>
        records.Where(record => !record.IsSuccess).GroupBy(record => record.Error!.Label, StringComparer.Ordinal);

    private static JsonObject Errors(IReadOnlyList<RequestRecord> records)
    {
        JsonObject errors = [];
        foreach (IGrouping<string, RequestRecord> kind in ByError(records)) errors[kind.Key] = kind.Count();
        return errors;
    }

    private static string Failed(string side, IReadOnlyList<RequestRecord> records) => string.Concat(ByError(records).Select(kind =>
        $"<p class=\"warn\">{side}: {kind.Count()} x {SvgChart.Escape(kind.Key)}: {SvgChart.Escape(kind.First().Error!.Message)}</p>"));
}
