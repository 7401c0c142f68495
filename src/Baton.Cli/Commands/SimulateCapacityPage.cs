using System.Globalization;
using System.Net;
using System.Text;
using Baton.Bench.Reports;
using Baton.Simulation.Capacity;

namespace Baton.Cli.Commands;

/// <summary>The picture of a capacity search: what more ranks bring, and what another split of the same ranks costs.</summary>
internal static class SimulateCapacityPage
{
    public static string Write(CapacityQuestion question, CapacitySearch search, CapacityTrial? found, string verdict)
    {
        int total = (found ?? search.Trials.OrderByDescending(trial => trial.Figures.Attainment).First()).Split.Ranks;
        CapacityTrial[] splits = [.. search.Trials.Where(trial => trial.Split.Ranks == total)];
        StringBuilder body = new();
        body.Append(CultureInfo.InvariantCulture, $"<p><b>{Text(verdict)}</b></p><p>{Text(question.Deployment.ToString())}</p><div class=\"charts\">");
        body.Append(OverRanks(question, search, found));
        body.Append(OverSplits(total, "Attainment", "Requests inside the goals (%)", 100 * question.Goals.Attainment, splits, ("attained", 1, trial => 100 * trial.Figures.Attainment)));
        body.Append(OverSplits(total, "TTFT", "TTFT (ms)", question.Goals.Ttft?.TotalMilliseconds, splits, ("p50", 3, trial => trial.Figures.P50TtftMs), ("p99", 1, trial => trial.Figures.P99TtftMs)));
        body.Append(OverSplits(total, "ITL", "Gap between tokens (ms)", question.Goals.Itl?.TotalMilliseconds, splits, ("p50", 3, trial => trial.Figures.P50ItlMs), ("p99", 1, trial => trial.Figures.P99ItlMs)));
        body.Append(OverSplits(total, "Utilisation", "Time spent computing (%)", null, splits, ("prefill", 1, trial => 100 * trial.Figures.PrefillUtilisation), ("decode", 3, trial => 100 * trial.Figures.DecodeUtilisation)));
        body.Append("</div>").Append(Table(search));
        return HtmlReport.Page("Capacity", question.Workloads[0].Description, body.ToString());
    }

    /// <summary>The best split of each total that was tried; not the far larger clusters, lopsided on purpose, that tell how few ranks one side needs.</summary>
    private static string OverRanks(CapacityQuestion question, CapacitySearch search, CapacityTrial? found)
    {
        int largest = found is null ? int.MaxValue : found.Split.Ranks + SimulateCapacityCommand.CurveWidth / 2;
        (double, double)[] best = [.. search.Trials.Where(trial => trial.Split.Ranks <= largest).GroupBy(trial => trial.Split.Ranks).OrderBy(group => group.Key).Select(group => ((double)group.Key, 100 * group.Max(trial => trial.Figures.Attainment)))];
        return SvgChart.Lines("Attainment over cluster size", new Axis("Ranks"), new Axis("Requests inside the goals (%)"), WithGoal([new Series("best split tried", 1, best)], 100 * question.Goals.Attainment));
    }

    private static string OverSplits(int total, string title, string axis, double? goal, CapacityTrial[] splits, params (string Name, int Color, Func<CapacityTrial, double> Of)[] lines)
    {
        Series[] series = [.. lines.Select(line => new Series(line.Name, line.Color, [.. splits.Select(trial => ((double)trial.Split.PrefillRanks, line.Of(trial))).Where(point => double.IsFinite(point.Item2))]))];
        return SvgChart.Lines($"{title} over the split of {total} ranks", new Axis($"Prefill ranks (of {total})"), new Axis(axis), WithGoal(series, goal));
    }

    private static Series[] WithGoal(Series[] series, double? goal)
    {
        double[] across = [.. series.SelectMany(one => one.Points).Select(point => point.X)];
        return goal is { } bound && across.Length > 0 ? [.. series, new Series("goal", 2, [(across.Min(), bound), (across.Max(), bound)])] : series;
    }

    private static string Table(CapacitySearch search)
    {
        StringBuilder table = new("<h2>Everything that was tried</h2><div class=\"scroll\"><table><tr><th>workers</th><th>ranks</th><th>prefill</th><th>decode</th><th>attained %</th><th>p50 TTFT ms</th><th>p99 TTFT ms</th><th>p50 ITL ms</th><th>p99 ITL ms</th><th>prefill busy %</th><th>decode busy %</th><th>failed or open</th><th>goals</th></tr>");
        foreach (CapacityTrial trial in search.Trials.OrderBy(trial => trial.Split.Ranks).ThenBy(trial => trial.Split.PrefillRanks))
        {
            table.Append(CultureInfo.InvariantCulture, $"<tr><td>{Text(trial.Split.ToString())}</td><td>{trial.Split.Ranks}</td><td>{trial.Split.PrefillRanks}</td><td>{trial.Split.DecodeRanks}</td><td>{100 * trial.Figures.Attainment:F2}</td>");
            foreach (double ms in new[] { trial.Figures.P50TtftMs, trial.Figures.P99TtftMs, trial.Figures.P50ItlMs, trial.Figures.P99ItlMs }) table.Append(CultureInfo.InvariantCulture, $"<td>{(double.IsFinite(ms) ? ms.ToString("F1", CultureInfo.InvariantCulture) : "–")}</td>");
            table.Append(CultureInfo.InvariantCulture, $"<td>{100 * trial.Figures.PrefillUtilisation:F1}</td><td>{100 * trial.Figures.DecodeUtilisation:F1}</td><td>{trial.Figures.Requests - trial.Figures.Succeeded}</td><td>{(trial.Holds ? "held" : "missed")}</td></tr>");
        }
        return table.Append("</table></div>").ToString();
    }

    private static string Text(string text) => WebUtility.HtmlEncode(text);
}
