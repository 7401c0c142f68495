using System.Text.Json.Nodes;
using Baton.Bench.Figures;
using Baton.Bench.Runs;

namespace Baton.Bench.Reports;

/// <summary>One server's rounds.</summary>
public sealed record IsolationSide(string Server, IReadOnlyList<IsolationOutcome> Rounds)
{
    /// <summary>Middle of the rounds: one worst gap alone would be the machine's worst moment.</summary>
    public double MedianWorstMs => new Distribution(Rounds.Select(round => round.Disturbed.Max)).Median;

    /// <summary>The worst gap of all rounds.</summary>
    public double WorstMs => Rounds.Max(round => round.Disturbed.Max);

    public int Failed => Rounds.Sum(round => round.FailedStreams + round.FailedPrompts);
}

/// <summary>Isolation rounds of one or two servers as one JSON line and as a page.</summary>
public sealed record IsolationReport(IsolationOptions Options, IReadOnlyList<IsolationSide> Sides)
{
    /// <summary>Second over first, of the middle of the rounds; null for one server.</summary>
    public double? Ratio => Sides.Count == 2 ? Sides[1].MedianWorstMs / Sides[0].MedianWorstMs : null;

    /// <summary>Second over first, of the worst of all rounds; null for one server.</summary>
    public double? RatioOfWorst => Sides.Count == 2 ? Sides[1].WorstMs / Sides[0].WorstMs : null;

    /// <param name="command">What was typed.</param>
    public string Line(string command) => ToJson(command).ToJsonString();

    public JsonObject ToJson(string command) => new()
    {
        ["command"] = command,
        ["streams"] = Options.Streams,
        ["stream_output_len"] = Options.StreamOutputTokens,
        ["prompts"] = Options.Prompts,
        ["prompt_len"] = Options.PromptTokens,
        ["prompt_interval_ms"] = Options.PromptInterval.TotalMilliseconds,
        ["ratio"] = Ratio,
        ["ratio_of_worst"] = RatioOfWorst,
        ["servers"] = new JsonArray([.. Sides.Select(side => (JsonNode)new JsonObject
        {
            ["server"] = side.Server,
            ["median_worst_gap_ms"] = Math.Round(side.MedianWorstMs, 2),
            ["worst_of_all_ms"] = Math.Round(side.WorstMs, 2),
            ["worst_gap_ms"] = Each(side, round => round.Disturbed.Max),
            ["p99_gap_ms"] = Each(side, round => round.Disturbed.Percentile(99)),
            ["median_gap_ms"] = Each(side, round => round.Disturbed.Median),
            ["quiet_median_gap_ms"] = Each(side, round => round.Quiet.Median),
            ["quiet_worst_gap_ms"] = Each(side, round => round.Quiet.Max),
            ["median_prompt_ttft_ms"] = Each(side, round => round.PromptTtftMs.Median),
            ["failed"] = side.Failed,
        })]),
    };

    public string Page(string note)
    {
        string table = PageTable.Write("Gaps between tokens of the running streams (ms)",
            ["server", "round", "quiet p50", "quiet worst", "disturbed p50", "disturbed p99", "disturbed worst", "prompt TTFT p50", "failed"],
            Sides.SelectMany(side => side.Rounds.Select((of, round) => (IReadOnlyList<string>)
            [
                side.Server, $"{round + 1}", $"{of.Quiet.Median:F2}", $"{of.Quiet.Max:F2}", $"{of.Disturbed.Median:F2}", $"{of.Disturbed.Percentile(99):F2}",
                $"{of.Disturbed.Max:F2}", $"{of.PromptTtftMs.Median:F1}", $"{of.FailedStreams + of.FailedPrompts}",
            ])));
        string verdict = Ratio is { } ratio
            ? $"<p>Worst gap, middle of the rounds: {Sides[0].MedianWorstMs:F2} ms at {SvgChart.Escape(Sides[0].Server)}, {Sides[1].MedianWorstMs:F2} ms at {SvgChart.Escape(Sides[1].Server)}: ratio {ratio:F3}. Worst of all rounds: {Sides[0].WorstMs:F2} and {Sides[1].WorstMs:F2} ms: ratio {RatioOfWorst:F3}.</p>" : "";
        Axis x = new("Round"), y = new("Gap (ms)");
        string charts = string.Concat(
            Cumulative("While long prompts arrive: share of gaps within", round => round.Disturbed),
            Cumulative("Before: share of gaps within", round => round.Quiet),
            SvgChart.Lines("Worst gap of each round", x, y, [.. Sides.Select((side, i) => new Series(side.Server, i + 1, [.. side.Rounds.Select((round, n) => (n + 1.0, round.Disturbed.Max))]))]));
        return HtmlReport.Page("baton bench isolation", note, $"{table}{verdict}<h2>Charts</h2><div class=\"charts\">{charts}</div>");
    }

    private string Cumulative(string title, Func<IsolationOutcome, Distribution> of) => HtmlReport.Cumulative(title,
        [.. Sides.Select((side, i) => (side.Server, i + 1, new Distribution(side.Rounds.SelectMany(round => of(round).Sorted))))]);

    private static JsonArray Each(IsolationSide side, Func<IsolationOutcome, double> of) => new([.. side.Rounds.Select(round => (JsonNode)Math.Round(of(round), 2))]);
}
