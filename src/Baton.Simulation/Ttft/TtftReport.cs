using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using Baton.Core.Ranks;

namespace Baton.Simulation.Ttft;

/// <summary>The table of an experiment as text, JSON and a page with charts.</summary>
public static class TtftReport
{
    public static string Title(TtftTable table) =>
        $"{table.Settings.Steps.ToString().ToLowerInvariant()} steps, prompt tokens {table.Settings.Lengths}, {table.Settings.Ranks} ranks, "
        + $"{table.Settings.Requests} requests, {table.Settings.ArrivalSeeds} arrival seeds{(table.Settings.Engine is { } engine ? $", cost {engine}" : "")}";

    public static string Text(TtftTable table)
    {
        StringBuilder text = new();
        text.AppendLine(Title(table));
        text.AppendLine("  rate  method                   mean ms  +- runs    p50 ms    p99 ms  reduction  above oracle (mean, p99)");
        foreach (TtftCell cell in table.Cells)
        {
            (double mean, double p99) = table.AboveOracle(cell);
            text.AppendLine(string.Create(CultureInfo.InvariantCulture,
                $"{RateOf(cell.Rate),6}  {TtftSettings.NameOf(cell.Method),-22} {cell.MeanMs,9:F1} {cell.SpreadMs,8:F1} {cell.P50Ms,9:F1} {cell.P99Ms,9:F1} {table.Reduction(cell),9:F2}%  {mean,7:F1}% {p99,7:F1}%"));
            if (Published(table, cell) is { } published)
            {
                text.AppendLine(string.Create(CultureInfo.InvariantCulture, $"        published              {published,9:F1}"));
            }
        }
        return text.ToString();
    }

    /// <summary>One JSON document for any number of tables.</summary>
    public static string Json(IReadOnlyList<TtftTable> tables) =>
        JsonSerializer.Serialize(tables.Select(ToJson).ToArray(), TtftJson.Default.TtftTableJsonArray);

    /// <summary>One page without scripts: a chart and a table for each experiment.</summary>
    public static string Html(IReadOnlyList<TtftTable> tables)
    {
        StringBuilder page = new("""
            <!doctype html><html lang="en"><meta charset="utf-8"><title>Baton: simulated TTFT</title>
            <style>body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}
            table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}td,th{text-align:right;padding:.2rem .6rem;border-bottom:1px solid #d8dee4}
            td:nth-child(2),th:nth-child(2){text-align:left}svg{width:100%;height:auto}h2{margin-top:2.5rem}</style>
            <h1>Time to first token, simulated</h1>

            """);
        foreach (TtftTable table in tables)
        {
            page.Append(CultureInfo.InvariantCulture, $"<h2>{Title(table)}</h2>\n").Append(Chart(table));
            page.Append("<table><tr><th>rate</th><th>method</th><th>mean ms</th><th>± runs</th><th>p50 ms</th><th>p99 ms</th><th>reduction</th><th>mean above oracle</th><th>p99 above oracle</th><th>published</th></tr>\n");
            foreach (TtftCell cell in table.Cells)
            {
                string published = Published(table, cell) is { } ms ? ms.ToString("F1", CultureInfo.InvariantCulture) : "";
                page.Append(CultureInfo.InvariantCulture,
                    $"<tr><td>{RateOf(cell.Rate)}</td><td>{TtftSettings.NameOf(cell.Method)}</td><td>{cell.MeanMs:F1}</td><td>{cell.SpreadMs:F1}</td><td>{cell.P50Ms:F1}</td><td>{cell.P99Ms:F1}</td><td>{table.Reduction(cell):F2}%</td><td>{table.AboveOracle(cell).Mean:F1}%</td><td>{table.AboveOracle(cell).P99:F1}%</td><td>{published}</td></tr>\n");
            }
            page.Append("</table>\n");
        }
        return page.Append("</html>\n").ToString();
    }

    /// <summary>The published figure beside a cell: the baseline column is the room's rank, the other one took turns.</summary>
    public static double? Published(TtftTable table, TtftCell cell)
    {
        if (table.Settings.Engine is not null || table.Settings.Lengths is not Workloads.LengthDistribution.Fixed { Tokens: TtftSettings.PromptTokens }) return null;
        if (PublishedRow.All.FirstOrDefault(row => row.RequestsPerSecond.Equals(cell.Rate)) is not { } published) return null;
        return cell.Method switch
        {
            LoadBalanceMethod.FollowBootstrapRoom => published.BaselineMs,
            LoadBalanceMethod.RoundRobin => published.BalancedMs,
            _ => null,
        };
    }

    private static string RateOf(double rate) => double.IsPositiveInfinity(rate) ? "inf" : rate.ToString(CultureInfo.InvariantCulture);

    /// <summary>Mean TTFT, on a logarithmic axis: methods differ by factors, and everything at once takes twenty times as long as a quiet hour.</summary>
    private static string Chart(TtftTable table)
    {
        string[] colours = ["#cf222e", "#bf8700", "#8250df", "#0969da", "#1a7f37", "#57606a"];
        IReadOnlyList<double> rates = table.Settings.Rates;
        double[] shown = [.. table.Cells.Select(cell => cell.MeanMs), .. table.Cells.Select(cell => Published(table, cell)).OfType<double>()];
        (double low, double high) = (0.8 * shown.Min(), 1.2 * shown.Max());
        StringBuilder svg = new("<svg viewBox=\"0 0 760 300\" role=\"img\" aria-label=\"Mean TTFT over the request rate\">");
        for (double decade = 1; decade <= high; decade *= 10)
        {
            foreach (double ms in new[] { decade, 2 * decade, 5 * decade })
            {
                if (ms < low || ms > high) continue;
                svg.Append(CultureInfo.InvariantCulture, $"<line x1=\"60\" x2=\"600\" y1=\"{Y(ms):F1}\" y2=\"{Y(ms):F1}\" stroke=\"#d8dee4\"/><text x=\"52\" y=\"{Y(ms) + 4:F1}\" font-size=\"11\" text-anchor=\"end\">{ms / 1000} s</text>");
            }
        }
        for (int m = 0; m < TtftSettings.Methods.Count; m++)
        {
            LoadBalanceMethod? method = TtftSettings.Methods[m];
            // The oracle is often where another method is: that one must show through.
            string dash = method is null ? " stroke-dasharray=\"2 6\"" : "";
            IEnumerable<string> points = rates.Select((rate, i) => string.Create(CultureInfo.InvariantCulture, $"{X(i):F1},{Y(table.Of(rate, method).MeanMs):F1}"));
            svg.Append(CultureInfo.InvariantCulture, $"<polyline fill=\"none\" stroke=\"{colours[m]}\" stroke-width=\"{(method is null ? 4 : 2)}\"{dash} points=\"{string.Join(' ', points)}\"/>");
            svg.Append(CultureInfo.InvariantCulture, $"<text x=\"612\" y=\"{40 + m * 18}\" font-size=\"12\" fill=\"{colours[m]}\">{TtftSettings.NameOf(method)}</text>");
            for (int i = 0; i < rates.Count; i++)
            {
                if (Published(table, table.Of(rates[i], method)) is { } ms) svg.Append(CultureInfo.InvariantCulture, $"<circle cx=\"{X(i):F1}\" cy=\"{Y(ms):F1}\" r=\"4\" fill=\"#fff\" stroke=\"{colours[m]}\" stroke-width=\"2\"/>");
            }
        }
        if (table.Cells.Any(cell => Published(table, cell) is not null)) svg.Append("<text x=\"612\" y=\"154\" font-size=\"12\" fill=\"#57606a\">○ published</text>");
        for (int i = 0; i < rates.Count; i++)
        {
            svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{X(i):F1}\" y=\"270\" font-size=\"11\" text-anchor=\"middle\">{RateOf(rates[i])}/s</text>");
        }
        return svg.Append("</svg>\n").ToString();

        double X(int rate) => 70 + rate * 520.0 / Math.Max(1, rates.Count - 1);
        double Y(double ms) => 250 - 230 * Math.Log(ms / low) / Math.Log(high / low);
    }

    private static TtftTableJson ToJson(TtftTable table) => new(
        table.Settings.Steps.ToString().ToLowerInvariant(),
        table.Settings.Lengths.ToString(),
        table.Settings.Ranks,
        table.Settings.Requests,
        table.Settings.ArrivalSeeds,
        table.Settings.Cost,
        table.Settings.Engine?.ToString(),
        [.. table.Cells.Select(cell => new TtftCellJson(
            RateOf(cell.Rate), TtftSettings.NameOf(cell.Method), cell.MeanMs, cell.SpreadMs, cell.P50Ms, cell.P99Ms,
            table.Reduction(cell), table.AboveOracle(cell).Mean, table.AboveOracle(cell).P99, Published(table, cell)))]);
}

/// <summary>JSON shape of one experiment.</summary>
public sealed record TtftTableJson(
    string Steps, string PromptTokens, int Ranks, int Requests, int ArrivalSeeds, PrefillCost Cost, string? CostModel, IReadOnlyList<TtftCellJson> Rows);

/// <summary>JSON shape of one row. Keys follow bench_serving's.</summary>
public sealed record TtftCellJson(
    string RequestRate, string Method, double MeanTtftMs, double RunSpreadMs, double P50TtftMs, double P99TtftMs,
    double ReductionPercent, double MeanAboveOraclePercent, double P99AboveOraclePercent, double? PublishedMeanTtftMs);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, WriteIndented = true)]
[JsonSerializable(typeof(TtftTableJson[]))]
internal sealed partial class TtftJson : JsonSerializerContext;
