using System.Text.Json.Serialization;

namespace Baton.Benchmarks.Ttft;

/// <summary>One run: a method at a rate with one seed of arrivals. Times in milliseconds on the published scale.</summary>
internal sealed record TtftRow
{
    [JsonPropertyName("seed")]
    public required int Seed { get; init; }
    /// <summary>Text, so that <c>inf</c> can be one.</summary>
    [JsonPropertyName("rate")]
    public required string Rate { get; init; }
    [JsonPropertyName("method")]
    public required string Method { get; init; }
    [JsonPropertyName("completed")]
    public required int Completed { get; init; }
    [JsonPropertyName("mean_ttft_ms")]
    public required double MeanMs { get; init; }
    [JsonPropertyName("p99_ttft_ms")]
    public required double P99Ms { get; init; }
    /// <summary>From the intended time, so with whatever the generator was late.</summary>
    [JsonPropertyName("mean_ttft_from_intended_ms")]
    public required double MeanFromIntendedMs { get; init; }
    /// <summary>The same arrivals in the simulator: this method, and one central queue.</summary>
    [JsonPropertyName("simulated_mean_ttft_ms")]
    public required double? SimulatedMeanMs { get; init; }
    [JsonPropertyName("oracle_mean_ttft_ms")]
    public required double? OracleMeanMs { get; init; }
    [JsonPropertyName("oracle_p99_ttft_ms")]
    public required double? OracleP99Ms { get; init; }
    [JsonPropertyName("tokens_max_over_mean")]
    public required double Imbalance { get; init; }
    /// <summary>Share of requests on the same rank as in the simulator, both counted from the rank of their first request.</summary>
    [JsonPropertyName("same_rank_as_simulated")]
    public required double? SameRank { get; init; }
    /// <summary>Of the generator, in real milliseconds.</summary>
    [JsonPropertyName("lateness_p99_real_ms")]
    public required double LatenessP99Ms { get; init; }
    /// <summary>TTFT of a request alone over what the engines take for it, in real milliseconds: HTTP, router, bootstrap, hand-over, thread wake-ups.</summary>
    [JsonPropertyName("way_real_ms")]
    public required double? WayMs { get; init; }
    /// <summary>The kernel's load average over the last minute, at the end of the run.</summary>
    [JsonPropertyName("load_average")]
    public required double LoadAverage { get; init; }
}
