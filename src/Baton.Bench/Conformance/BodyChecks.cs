using System.Text.Json;

namespace Baton.Bench.Conformance;

/// <summary>What both legs carry: rooms, ranks, and the client's own bytes.</summary>
internal static class BodyChecks
{
    private const int RoomsPerBatch = 1000;
    private const int BigRoomTries = 64;
    private static readonly int[] DpSizes = [1, 2, 3, 7, 8, 64];

    public static IEnumerable<ConformanceCheck> All =>
    [
        new("01", "both legs of one request", "the same host, port and room on both legs; each leg its own rank; prefill's rank on decode only", OneRequestAsync) { PrefillDpSize = 3, DecodeDpSize = 2 },
        new("02", "a batch of three prompts", "lists of three, three distinct rooms, the same lists on both legs", BatchAsync) { PrefillDpSize = 3, DecodeDpSize = 2 },
        .. DpSizes.Select(size => new ConformanceCheck($"04.{size}", $"many rooms, prefill dp size {size}",
            "every room in [1, 2^63-1], none twice, room % dp_size is the prefill rank", stage => ManyRoomsAsync(stage, size)) { PrefillDpSize = size, DecodeDpSize = size == 1 ? 1 : 2 }),
        new("05", "rooms beyond 2^53", "the same digits on both legs", BigRoomsAsync),
        new("06", "prefill and decode of different dp sizes", "each rank within its own side", RanksAsync) { PrefillDpSize = 2, DecodeDpSize = 5 },
        new("07", "fields that the router does not know", "byte for byte as sent, on both legs", UnknownFieldsAsync),
        new("08", "bootstrap fields sent by a client", "overwritten, each there once", OverwrittenAsync),
        new("24", "an IPv6 prefill worker", "bootstrap_host in brackets, without a port", Ipv6Async) { IsIpv6 = true },
    ];

    private static async Task<string> OneRequestAsync(ConformanceStage stage)
    {
        await stage.AskAsync("/generate", """{"text":"hi"}""");
        (JsonElement p, JsonElement d) = await PairAsync(stage);
        foreach (string key in new[] { "bootstrap_host", "bootstrap_port", "bootstrap_room" }) Same(p, d, key);
        ConformanceStage.Expect(!p.TryGetProperty("disagg_prefill_dp_rank", out _), "disagg_prefill_dp_rank on the prefill leg");
        ConformanceStage.Expect(p.GetProperty("bootstrap_host").GetString() == "127.0.0.1" || !stage.Prefill[0].Url.Contains("127.0.0.1", StringComparison.Ordinal), $"bootstrap_host {p.GetProperty("bootstrap_host")}");
        if (!p.TryGetProperty("routed_dp_rank", out JsonElement rank)) return "the same triple; no ranks named";
        ConformanceStage.Expect(d.TryGetProperty("disagg_prefill_dp_rank", out JsonElement told) && told.GetInt32() == rank.GetInt32(), "decode is not told prefill's rank");
        return $"the same triple; prefill rank {rank}, decode rank {d.GetProperty("routed_dp_rank")}";
    }

    private static async Task<string> BatchAsync(ConformanceStage stage)
    {
        await stage.AskAsync("/generate", """{"text":["a","b","c"]}""");
        (JsonElement p, JsonElement d) = await PairAsync(stage);
        foreach (string key in new[] { "bootstrap_host", "bootstrap_port", "bootstrap_room" })
        {
            ConformanceStage.Expect(p.GetProperty(key).ValueKind == JsonValueKind.Array && p.GetProperty(key).GetArrayLength() == 3, $"{key} is {p.GetProperty(key).GetRawText()}");
            Same(p, d, key);
        }
        int distinct = p.GetProperty("bootstrap_room").EnumerateArray().Select(r => r.GetInt64()).Distinct().Count();
        ConformanceStage.Expect(distinct == 3, $"{distinct} distinct rooms");
        return "three rooms";
    }

    private static async Task<string> ManyRoomsAsync(ConformanceStage stage, int dpSize)
    {
        HashSet<long> seen = [];
        string batch = $$"""{"text":[{{string.Join(',', Enumerable.Repeat("\"a\"", RoomsPerBatch))}}]}""";
        bool ranked = false;
        for (int drawn = 0; drawn < stage.Settings.RoomDraws; drawn += RoomsPerBatch)
        {
            stage.Prefill[0].Seen.Clear();
            stage.Decode[0].Seen.Clear();
            await stage.AskAsync("/generate", batch);
            await stage.ArrivedAsync();
            JsonElement leg = Json(stage.PrefillLegs[0]);
            long? rank = leg.TryGetProperty("routed_dp_rank", out JsonElement named) ? named.GetInt64() : dpSize == 1 ? 0 : null;
            foreach (JsonElement one in leg.GetProperty("bootstrap_room").EnumerateArray())
            {
                long room = one.GetInt64();
                ConformanceStage.Expect(room > 0, $"room {room}");
                ConformanceStage.Expect(rank is not { } r || room % dpSize == r, $"room {room} for rank {rank}");
                ConformanceStage.Expect(seen.Add(room), $"room {room} twice");
            }
            ranked |= rank is not null;
        }
        return $"{seen.Count} rooms{(ranked ? "" : "; no ranks named")}";
    }

    private static async Task<string> BigRoomsAsync(ConformanceStage stage)
    {
        int big = 0;
        for (int i = 0; i < BigRoomTries; i++)
        {
            stage.Prefill[0].Seen.Clear();
            stage.Decode[0].Seen.Clear();
            await stage.AskAsync("/generate", """{"text":"a"}""");
            (JsonElement p, JsonElement d) = await PairAsync(stage);
            Same(p, d, "bootstrap_room");
            if (p.GetProperty("bootstrap_room").GetInt64() > 1L << 53) big++;
        }
        ConformanceStage.Expect(big > BigRoomTries / 2, $"only {big} of {BigRoomTries} rooms are beyond 2^53: they are not drawn from the whole range");
        return $"{big} of {BigRoomTries} beyond 2^53, all equal on both legs";
    }

    private static async Task<string> RanksAsync(ConformanceStage stage)
    {
        HashSet<(int, int)> ranks = [];
        for (int i = 0; i < 20; i++)
        {
            stage.Prefill[0].Seen.Clear();
            stage.Decode[0].Seen.Clear();
            await stage.AskAsync("/generate", """{"text":"a"}""");
            (JsonElement p, JsonElement d) = await PairAsync(stage);
            if (!p.TryGetProperty("routed_dp_rank", out JsonElement prefill)) throw new NotApplicableException("the router names no ranks");
            int decode = d.GetProperty("routed_dp_rank").GetInt32();
            ConformanceStage.Expect(prefill.GetInt32() is 0 or 1 && decode is >= 0 and < 5, $"ranks {prefill} of 2 and {decode} of 5");
            ConformanceStage.Expect(d.GetProperty("disagg_prefill_dp_rank").GetInt32() == prefill.GetInt32(), "decode is told another prefill rank");
            ranks.Add((prefill.GetInt32(), decode));
        }
        return $"{ranks.Count} pairs of ranks in 20 requests";
    }

    private static async Task<string> UnknownFieldsAsync(ConformanceStage stage)
    {
        const string unknown = "\"unknown\" : {\"a\":[1, 2.50,1e3],\"b\":\"\\u00e9\",\"c\":null}, \"d\":  12345678901234567890";
        await stage.AskAsync("/generate", $$"""{"text":"a",{{unknown}}}""");
        await stage.ArrivedAsync();
        ConformanceStage.Expect(stage.PrefillLegs[0].Text.Contains(unknown, StringComparison.Ordinal), "prefill got " + stage.PrefillLegs[0].Text);
        ConformanceStage.Expect(stage.DecodeLegs[0].Text.Contains(unknown, StringComparison.Ordinal), "decode got " + stage.DecodeLegs[0].Text);
        return "as sent";
    }

    private static async Task<string> OverwrittenAsync(ConformanceStage stage)
    {
        await stage.AskAsync("/generate", """{"bootstrap_room":7,"text":"a","bootstrap_host":"evil","bootstrap_port":1,"bootstrap_room":8,"disagg_prefill_dp_rank":9}""");
        await stage.ArrivedAsync();
        foreach (ScriptedExchange leg in stage.PrefillLegs.Concat(stage.DecodeLegs))
        {
            foreach (string key in new[] { "bootstrap_room", "bootstrap_host", "bootstrap_port" })
                ConformanceStage.Expect(leg.Text.Split($"\"{key}\"").Length == 2, $"{key} is not there exactly once: {leg.Text}");
            JsonElement body = Json(leg);
            ConformanceStage.Expect(body.GetProperty("bootstrap_room").GetInt64() is not (7 or 8) && body.GetProperty("bootstrap_host").GetString() != "evil", leg.Text);
            ConformanceStage.Expect(!body.TryGetProperty("disagg_prefill_dp_rank", out JsonElement rank) || rank.GetInt32() != 9, leg.Text);
        }
        return "overwritten";
    }

    private static async Task<string> Ipv6Async(ConformanceStage stage)
    {
        await stage.AskAsync("/generate", """{"text":"a"}""");
        await stage.ArrivedAsync();
        string? host = Json(stage.PrefillLegs[0]).GetProperty("bootstrap_host").GetString();
        ConformanceStage.Expect(host == "[::1]", $"bootstrap_host {host}");
        return host!;
    }

    private static JsonElement Json(ScriptedExchange leg) => ConformanceStage.Json(leg.Text);

    private static async Task<(JsonElement Prefill, JsonElement Decode)> PairAsync(ConformanceStage stage)
    {
        await stage.ArrivedAsync();
        ConformanceStage.Expect(stage.PrefillLegs.Count == 1 && stage.DecodeLegs.Count == 1, $"{stage.PrefillLegs.Count} prefill and {stage.DecodeLegs.Count} decode legs for one request");
        return (Json(stage.PrefillLegs[0]), Json(stage.DecodeLegs[0]));
    }

    private static void Same(JsonElement prefill, JsonElement decode, string key) => ConformanceStage.Expect(
        prefill.GetProperty(key).GetRawText() == decode.GetProperty(key).GetRawText(), $"{key}: {prefill.GetProperty(key).GetRawText()} on prefill, {decode.GetProperty(key).GetRawText()} on decode");
}
