using System.Text.Json;

namespace Baton.Router.Workers;

/// <summary>A worker's <c>/v1/loads</c>: one element a rank, missing numbers are 0.</summary>
internal static class LoadsDocument
{
    /// <param name="ownPromptTokens">What this router had in flight on each rank when it asked.</param>
    /// <exception cref="JsonException">Not the document we know.</exception>
    public static void Apply(ReadOnlyMemory<byte> utf8, Worker worker, ReadOnlySpan<long> ownPromptTokens, TimeSpan now)
    {
        using JsonDocument document = JsonDocument.Parse(utf8);
        JsonElement root = document.RootElement;
        // A bare array as well: the envelope differs between SGLang's versions.
        JsonElement list = root.ValueKind == JsonValueKind.Array ? root
            : root.ValueKind == JsonValueKind.Object && root.TryGetProperty("loads", out JsonElement loads) ? loads : default;
        if (list.ValueKind != JsonValueKind.Array) throw new JsonException("/v1/loads has no list of loads.");
        foreach (JsonElement load in list.EnumerateArray())
        {
            int rank = (int)Number(load, "dp_rank");
            if (rank < 0 || rank >= worker.Ranks.Count) continue;
            worker.Ranks[rank].Report = new RankReport(
                now, (int)Number(load, "num_running_reqs"), (int)Number(load, "num_waiting_reqs"), (long)Number(load, "num_used_tokens"),
                (long)Number(load, "max_total_num_tokens"), Number(load, "token_usage"), (long)Number(load, "num_waiting_uncached_tokens"),
                Number(load, "gen_throughput"), Number(load, "cache_hit_rate"))
            {
                // What was sent while the answer was on its way counts as ours too: it would otherwise look like another router's for a whole interval.
                KvTransferLatencyMs = Told(load, "kv_transfer_latency_ms"),
                KvTransferSpeedGbS = Told(load, "kv_transfer_speed_gb_s"),
                PrefillQueueRequests = Told(load, "prefill_queue_reqs") ?? Sum(Told(load, "prefill_bootstrap_queue_reqs"), Told(load, "prefill_inflight_queue_reqs")),
                DecodeQueueRequests = Told(load, "decode_queue_reqs")
                    ?? Sum(Told(load, "decode_prealloc_queue_reqs"), Told(load, "decode_transfer_queue_reqs"), Told(load, "decode_retracted_queue_reqs")),
                OwnPromptTokens = Math.Max(rank < ownPromptTokens.Length ? ownPromptTokens[rank] : 0, worker.Ranks[rank].PromptTokens),
            };
        }
    }

    private static double Number(JsonElement load, string name) => Member(load, name) ?? 0;

    // Newer workers keep these figures in an object of their own.
    private static double? Told(JsonElement load, string name) =>
        Member(load, name) ?? (load.ValueKind == JsonValueKind.Object && load.TryGetProperty("disaggregation", out JsonElement inner) ? Member(inner, name) : null);

    private static double? Sum(params ReadOnlySpan<double?> parts)
    {
        double? sum = null;
        foreach (double? part in parts)
            if (part is not null) sum = (sum ?? 0) + part;
        return sum;
    }

    private static double? Member(JsonElement parent, string name) =>
        parent.ValueKind == JsonValueKind.Object && parent.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.Number ? value.GetDouble() : null;
}
