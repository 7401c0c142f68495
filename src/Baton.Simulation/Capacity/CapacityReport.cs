using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using Baton.Simulation.Figures;

namespace Baton.Simulation.Capacity;

/// <summary>What a search tried and found, as text and JSON.</summary>
public static class CapacityReport
{
    public const string Header = "ranks  prefill:decode  workers                        attained  p99 TTFT ms  p99 ITL ms  busy prefill/decode  goals";

    public static string Row(CapacityTrial trial)
    {
        ClusterFigures figures = trial.Figures;
        string split = $"{trial.Split.PrefillRanks}:{trial.Split.DecodeRanks}";
        string failures = figures.Failures.Count == 0 && figures.Unfinished == 0 ? "" : "  " + Ends(figures);
        return string.Create(CultureInfo.InvariantCulture,
            $"{trial.Split.Ranks,5}  {split,14}  {trial.Split,-28} {100 * figures.Attainment,8:F2}%  {Number(figures.P99TtftMs),11}  {Number(figures.P99ItlMs),10}  {100 * figures.PrefillUtilisation,8:F1}%  {100 * figures.DecodeUtilisation,8:F1}%  {(trial.Holds ? "held" : "missed")}{failures}");
    }

    /// <summary>The answer in a sentence.</summary>
    public static string Verdict(CapacityQuestion question, CapacityTrial? found, bool isFixedTotal)
    {
        string goals = Goals(question.Goals);
        return (found, isFixedTotal) switch
        {
            (null, _) => $"No split of up to {question.MaxRanks} ranks holds: {goals}. Raise --max-ranks, relax the goals, or look at what failed above.",
            ({ Holds: false }, true) => $"No split of these ranks holds: {goals}. Best: {found.Split} ({100 * found.Figures.Attainment:F2} % attained).",
            (_, true) => $"Best split: {found.Split.PrefillRanks}:{found.Split.DecodeRanks} ranks ({found.Split}). It holds: {goals}.",
            _ => $"Smallest: {found.Split.Ranks} ranks, {found.Split.PrefillRanks} prefill and {found.Split.DecodeRanks} decode ({found.Split}). It holds: {goals}.",
        };
    }

    public static string Goals(ServiceGoals goals)
    {
        string ttft = goals.Ttft is { } first ? $"TTFT within {Number(first.TotalMilliseconds)} ms" : "";
        string itl = goals.Itl is { } gap ? $"every gap between tokens within {Number(gap.TotalMilliseconds)} ms" : "";
        string bounds = ttft.Length > 0 && itl.Length > 0 ? $"{ttft} and {itl}" : ttft + itl;
        return string.Create(CultureInfo.InvariantCulture, $"{100 * goals.Attainment:0.##} % of requests with {bounds}");
    }

    public static string Json(CapacityQuestion question, CapacitySearch search, CapacityTrial? found) => JsonSerializer.Serialize(
        new CapacityJson(
            [.. question.Workloads.Select(workload => workload.Description)], question.Deployment.ToString(), question.Goals.Ttft?.TotalMilliseconds, question.Goals.Itl?.TotalMilliseconds,
            question.Goals.Attainment, question.MaxRanks, question.MaxDpSize, question.Seed, found is null ? null : ToJson(found), [.. search.Trials.Select(ToJson)]),
        CapacityJsonContext.Default.CapacityJson) + "\n";

    private static CapacityTrialJson ToJson(CapacityTrial trial) => new(
        trial.Split.PrefillWorkers, trial.Split.PrefillDpSize, trial.Split.DecodeWorkers, trial.Split.DecodeDpSize, trial.Holds, trial.Figures.Attainment,
        Finite(trial.Figures.MeanTtftMs), Finite(trial.Figures.P50TtftMs), Finite(trial.Figures.P99TtftMs), Finite(trial.Figures.P50ItlMs), Finite(trial.Figures.P99ItlMs),
        trial.Figures.PrefillUtilisation, trial.Figures.DecodeUtilisation, trial.Figures.Requests, trial.Figures.Succeeded, trial.Figures.Unfinished,
        trial.Figures.Failures.ToDictionary(failure => failure.Key.ToString(), failure => failure.Value), trial.Figures.TraceHash);

    private static string Ends(ClusterFigures figures)
    {
        List<string> ends = [.. figures.Failures.OrderByDescending(failure => failure.Value).Select(failure => $"{failure.Value} {failure.Key}")];
        if (figures.Unfinished > 0) ends.Add($"{figures.Unfinished} still open when the goals were out of reach");
        return $"({string.Join(", ", ends)})";
    }

    // Nothing measured, or never reached.
    private static string Number(double value) => double.IsFinite(value) ? value.ToString("F1", CultureInfo.InvariantCulture) : double.IsNaN(value) ? "-" : "never";

    private static double? Finite(double value) => double.IsFinite(value) ? value : null;
}

/// <summary>JSON shape of a search.</summary>
internal sealed record CapacityJson(
    IReadOnlyList<string> Workloads, string Deployment, double? SloTtftMs, double? SloItlMs, double Attainment, int MaxRanks, int MaxDpSize, ulong Seed, CapacityTrialJson? Found, IReadOnlyList<CapacityTrialJson> Tried);

/// <summary>JSON shape of one trial. Keys follow bench_serving's; null for what was never reached.</summary>
internal sealed record CapacityTrialJson(
    int PrefillWorkers, int PrefillDpSize, int DecodeWorkers, int DecodeDpSize, bool Holds, double Attainment,
    double? MeanTtftMs, double? P50TtftMs, double? P99TtftMs, double? P50ItlMs, double? P99ItlMs,
    double PrefillUtilisation, double DecodeUtilisation, int Requests, int Succeeded, int Unfinished, IReadOnlyDictionary<string, int> Failures, string TraceHash);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, WriteIndented = true)]
[JsonSerializable(typeof(CapacityJson))]
internal sealed partial class CapacityJsonContext : JsonSerializerContext;
