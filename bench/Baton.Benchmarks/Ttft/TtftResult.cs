using System.Text.Json;
using Baton.Bench.Figures;
using Baton.Simulation.Ttft;

namespace Baton.Benchmarks.Ttft;

/// <summary>Writes <c>bench/results/NAME.json</c>: every run, and a table over the seeds with the published reductions beside it.</summary>
internal static class TtftResult
{
    private static readonly string[] SettingsThatCount = ["prefill_ranks", "prompt_tokens", "output_tokens", "requests", "speedup", "simulated_cost"];

    /// <param name="rows">Of this run; with <see cref="TtftPlan.Append"/> those of the file stay, but for what was measured again.</param>
    public static void Write(TtftPlan plan, List<TtftRow> rows, string[] args)
    {
        string command = $"dotnet build -c Release src/Baton.Cli && dotnet run -c Release --project bench/Baton.Benchmarks -- ttft {string.Join(' ', WithoutDetails(args))}".TrimEnd();
        object settings = new
        {
            prefill_ranks = plan.Ranks,
            prompt_tokens = $"{plan.Lengths}",
            output_tokens = plan.OutputTokens,
            requests = plan.Requests,
            speedup = plan.Speedup,
            simulated_cost = plan.IsSimulated ? $"{plan.Cost}" : "none: the demo model",
        };
        if (plan.Append) (rows, command) = Merge(plan, rows, command, JsonSerializer.SerializeToElement(settings));
        rows = [.. rows.OrderBy(row => RateOf(row.Rate)).ThenBy(row => Array.IndexOf(TtftPlan.AllMethods, row.Method)).ThenBy(row => row.Seed)];
        ResultFile.Write(plan.ResultName, command, new
        {
            settings,
            note = "Milliseconds on the published scale, the real ones times the speedup. Reductions are against follow_bootstrap_room of the same runs. "
                + "above_oracle compares with one central queue at the same arrivals, in the simulator: mean over the seeds, without_way after taking off what one request alone takes longer than its engines.",
            table = Table(plan, rows),
            against_round_robin = rows.GroupBy(row => row.Method, StringComparer.Ordinal).Where(method => method.Key != "round_robin").Select(method => Against(method, rows)).OfType<object>().ToArray(),
            runs = rows,
        });
    }

    // Where the details went changes nothing in the result.
    private static IEnumerable<string> WithoutDetails(string[] args) => args.Where((arg, i) => arg != "--details" && (i == 0 || args[i - 1] != "--details"));

    /// <summary>Mean TTFT over round_robin's, run by run at the same arrivals; the interval is a bootstrap over the runs.</summary>
    private static object? Against(IEnumerable<TtftRow> runs, List<TtftRow> all)
    {
        (TtftRow Run, TtftRow Turn)[] pairs = [.. runs.Join(all.Where(row => row.Method == "round_robin"), row => (row.Seed, row.Rate), row => (row.Seed, row.Rate), (run, turn) => (run, turn))];
        if (pairs.Length == 0) return null;
        double[] above = [.. pairs.Select(pair => 100 * ((pair.Run.MeanMs / pair.Turn.MeanMs) - 1))];
        Estimate mean = BootstrapInterval.Difference(new double[above.Length], above, values => values.Mean, new Random(1));
        return new { method = pairs[0].Run.Method, runs = above.Length, mean_above_percent = Math.Round(mean.Value, 2), low_95 = Math.Round(mean.Low, 2), high_95 = Math.Round(mean.High, 2) };
    }

    private static (List<TtftRow> Rows, string Command) Merge(TtftPlan plan, List<TtftRow> rows, string command, JsonElement settings)
    {
        if (ResultFile.Read(plan.ResultName) is not { } file) return (rows, command);
        JsonElement before = file.GetProperty("figures").GetProperty("settings");
        foreach (string name in SettingsThatCount)
        {
            if (before.GetProperty(name).GetRawText() != settings.GetProperty(name).GetRawText())
                throw new InvalidOperationException($"--append: {plan.ResultName}.json was made with another {name}. Give --result another name, or leave --append out.");
        }
        TtftRow[] kept = [.. file.GetProperty("figures").GetProperty("runs").Deserialize<TtftRow[]>()!.Where(old => !rows.Exists(row => Key(row) == Key(old)))];
        return ([.. kept, .. rows], $"{file.GetProperty("command").GetString()}; {command}");

        static (int, string, string) Key(TtftRow row) => (row.Seed, row.Rate, row.Method);
    }

    private static object[] Table(TtftPlan plan, List<TtftRow> rows) =>
        [.. rows.GroupBy(row => row.Rate, StringComparer.Ordinal).Select(rate =>
        {
            PublishedRow? published = plan.ResultName == "ttft-published" ? PublishedRow.All.FirstOrDefault(row => row.RequestsPerSecond.Equals(RateOf(rate.Key))) : null;
            double Mean(string method) => rate.Where(row => row.Method == method).Select(row => row.MeanMs).DefaultIfEmpty(double.NaN).Average();
            double modulo = Mean("follow_bootstrap_room");
            return new
            {
                rate = rate.Key,
                published_reduction_percent = published is null ? (double?)null : Math.Round(published.Reduction, 2),
                oracle_mean_ttft_ms = Round(rate.Average(row => row.OracleMeanMs)),
                methods = rate.GroupBy(row => row.Method, StringComparer.Ordinal).Select(method => Summary(plan, [.. method], [.. rate], modulo)).ToArray(),
            };
        })];

    private static object Summary(TtftPlan plan, TtftRow[] runs, TtftRow[] all, double modulo)
    {
        double mean = runs.Average(row => row.MeanMs);
        double? oracle = runs.Average(row => row.OracleMeanMs);
        return new
        {
            method = runs[0].Method,
            seeds = runs.Length,
            mean_ttft_ms = Math.Round(mean, 1),
            p99_ttft_ms = Math.Round(runs.Average(row => row.P99Ms), 1),
            simulated_mean_ttft_ms = Round(runs.Average(row => row.SimulatedMeanMs)),
            reduction_percent = Percent(1 - (mean / modulo)),
            above_oracle_percent = Percent((mean / oracle) - 1),
            above_oracle_percent_by_seed = runs.Select(row => Percent((row.MeanMs / row.OracleMeanMs) - 1)).ToArray(),
            above_oracle_percent_without_way = Percent(((mean - (runs.Average(row => row.WayMs) * plan.Speedup)) / oracle) - 1),
            p99_above_oracle_percent = Percent((runs.Average(row => row.P99Ms) / runs.Average(row => row.OracleP99Ms)) - 1),
            above_round_robin_percent_by_seed = runs.Select(row => all.FirstOrDefault(other => other.Seed == row.Seed && other.Method == "round_robin"))
                .Select((turn, i) => turn is null ? (double?)null : Percent((runs[i].MeanMs / turn.MeanMs) - 1)).ToArray(),
            tokens_max_over_mean = Math.Round(runs.Average(row => row.Imbalance), 3),
        };
    }

    private static double? Percent(double? share) => share is { } value && double.IsFinite(value) ? Math.Round(100 * value, 2) : null;

    private static double? Round(double? milliseconds) => milliseconds is { } value ? Math.Round(value, 1) : null;

    private static double RateOf(string rate) => rate == "inf" ? double.PositiveInfinity : double.Parse(rate, System.Globalization.CultureInfo.InvariantCulture);
}
