using System.Globalization;

namespace Baton.Router.Workers;

/// <summary>What an SGLang worker without <c>/v1/loads</c> says of its load in <c>/metrics</c>: ratios and counts of requests, no tokens.</summary>
internal static class EngineGauges
{
    /// <param name="text">Prometheus text; gauges begin with <c>sglang:</c> or <c>sglang_</c>.</param>
    /// <returns>False when none of the gauges is there; then nothing changed.</returns>
    public static bool Apply(string text, Worker worker, TimeSpan now)
    {
        Dictionary<int, Dictionary<string, double>> ranks = [];
        foreach (string line in text.Split('\n'))
        {
            if (!line.StartsWith("sglang", StringComparison.Ordinal) || line.Length < 8 || line[6] is not (':' or '_')) continue;
            int end = line.AsSpan().IndexOfAny('{', ' '), space = line.LastIndexOf(' ');
            if (end < 0 || !double.TryParse(line.AsSpan(space + 1), NumberStyles.Float, CultureInfo.InvariantCulture, out double value) || !double.IsFinite(value)) continue;
            string name = line[7..end];
            if (name is not ("num_running_reqs" or "num_queue_reqs" or "token_usage" or "gen_throughput" or "cache_hit_rate")) continue;
            Dictionary<string, double> gauges = ranks.TryGetValue(RankOf(line), out Dictionary<string, double>? known) ? known : ranks[RankOf(line)] = [];
            // Tensor-parallel processes of one rank each say the same.
            gauges[name] = Math.Max(gauges.GetValueOrDefault(name), value);
        }
        foreach ((int rank, Dictionary<string, double> gauges) in ranks)
        {
            if (rank >= worker.Ranks.Count) continue;
            worker.Ranks[rank].Report = new RankReport(
                now, (int)gauges.GetValueOrDefault("num_running_reqs"), (int)gauges.GetValueOrDefault("num_queue_reqs"), UsedTokens: null, MaxTokens: 0,
                gauges.GetValueOrDefault("token_usage"), WaitingUncachedTokens: 0, gauges.GetValueOrDefault("gen_throughput"), gauges.GetValueOrDefault("cache_hit_rate"));
        }
        return ranks.Count > 0;
    }

    private static int RankOf(string line)
    {
        const string label = "dp_rank=\"";
        int at = line.IndexOf(label, StringComparison.Ordinal);
        int end = at < 0 ? -1 : line.IndexOf('"', at + label.Length);
        return end > 0 && int.TryParse(line.AsSpan(at + label.Length, end - at - label.Length), NumberStyles.None, CultureInfo.InvariantCulture, out int rank) ? rank : 0;
    }
}
