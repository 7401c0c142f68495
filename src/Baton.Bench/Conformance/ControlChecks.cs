using System.Net;
using System.Text;
using System.Text.Json;

namespace Baton.Bench.Conformance;

/// <summary>Readiness, workers that leave or change roles, and what goes out in URLs.</summary>
internal static class ControlChecks
{
    public static IEnumerable<ConformanceCheck> All =>
    [
        new("21", "readiness", "200 with one of each role, 503 while decode's health check fails, 200 again", ReadinessAsync),
        new("22", "DELETE of a worker that streams", "202; nothing new goes there; the stream ends whole; then it is gone", DrainAsync),
        new("23", "a role switch", "asked again until the worker is idle; a refusal that is safe to restore puts it back", RoleSwitchAsync) { DecodeCount = 2 },
        new("25", "requests to workers with ranks", "no URL, and no bootstrap_host, carries @rank", NoRanksInUrlsAsync) { PrefillDpSize = 2, DecodeDpSize = 2 },
        new("27", "an answer that names another rank", "500 dp_rank_mismatch, or counted in /metrics", WrongRankAsync) { PrefillDpSize = 2, DecodeDpSize = 2 },
        new("29", "flush_cache?timeout=12.5", "every worker is asked, with the timeout", FlushAsync),
        new("30", "cache_aware", "the longest known prefix decides above the threshold, the load below it", CacheAwareAsync) { PrefillCount = 2 },
    ];

    private static async Task<string> ReadinessAsync(ConformanceStage stage)
    {
        await ReadyAsync(HttpStatusCode.OK);
        foreach (ScriptedWorker worker in stage.Decode) worker.OnHealth = e => e.RespondAsync(503, "");
        await ReadyAsync(HttpStatusCode.ServiceUnavailable);
        using HttpResponseMessage alive = await stage.Client.GetAsync("/liveness");
        ConformanceStage.Expect(alive.StatusCode == HttpStatusCode.OK, $"/liveness {(int)alive.StatusCode} meanwhile");
        foreach (ScriptedWorker worker in stage.Decode) worker.OnHealth = null;
        await ReadyAsync(HttpStatusCode.OK);
        return "200, 503, 200";

        async Task ReadyAsync(HttpStatusCode expected)
        {
            long began = stage.Now;
            while (true)
            {
                using HttpResponseMessage answer = await stage.Client.GetAsync("/readiness");
                if (answer.StatusCode == expected) return;
                ConformanceStage.Expect(stage.Since(began) < stage.Settings.Patience, $"/readiness stays {(int)answer.StatusCode} where {(int)expected} is due");
                await stage.PauseAsync(TimeSpan.FromMilliseconds(20));
            }
        }
    }

    private static async Task<string> DrainAsync(ConformanceStage stage)
    {
        TaskCompletionSource go = new(TaskCreationOptions.RunContinuationsAsynchronously);
        string url = $"/workers/{await IdOfAsync(stage, stage.Decode[0])}";
        stage.OnDecode(async e =>
        {
            await e.StartStreamAsync();
            await e.WriteChunkAsync("data: {\"text\":\"one\"}\n\n");
            await go.Task.WaitAsync(stage.Settings.Patience);
            await e.WriteChunkAsync("data: [DONE]\n\n");
            await e.EndStreamAsync();
        });
        using HttpResponseMessage stream = await stage.OpenAsync("/generate", """{"text":"a","stream":true}""");
        string text;
        try
        {
            using HttpResponseMessage removed = await stage.Admin.DeleteAsync(url);
            ConformanceStage.Expect(removed.StatusCode == HttpStatusCode.Accepted, $"DELETE {(int)removed.StatusCode}");
            using HttpResponseMessage meanwhile = await stage.PostAsync("/generate", """{"text":"b"}""");
            ConformanceStage.Expect(meanwhile.StatusCode == HttpStatusCode.ServiceUnavailable && stage.DecodeLegs.Count == 1, $"a new request is answered {(int)meanwhile.StatusCode}");
            string? status = ConformanceStage.Json(await stage.Admin.GetStringAsync(url)).GetProperty("status").GetString();
            ConformanceStage.Expect(string.Equals(status, "draining", StringComparison.OrdinalIgnoreCase), $"status {status}");
        }
        finally
        {
            go.TrySetResult();
            text = await stream.Content.ReadAsStringAsync();
        }
        ConformanceStage.Expect(text.EndsWith("data: [DONE]\n\n", StringComparison.Ordinal), text);
        long began = stage.Now;
        while (true)
        {
            using HttpResponseMessage gone = await stage.Admin.GetAsync(url);
            if (gone.StatusCode == HttpStatusCode.NotFound) return "drained, then gone";
            ConformanceStage.Expect(stage.Since(began) < stage.Settings.Patience, "it is still listed");
            await stage.PauseAsync(TimeSpan.FromMilliseconds(20));
        }
    }

    private static async Task<string> RoleSwitchAsync(ConformanceStage stage)
    {
        int asked = 0;
        (ScriptedWorker first, ScriptedWorker second) = (stage.Decode[0], stage.Decode[1]);
        first.OnRequest = e =>
        {
            if (Interlocked.Increment(ref asked) == 1) return e.RespondAsync(400, """{"success":false,"message":"Server is not idle"}""");
            first.ServerInfo = RouterClient.ServerInfo("prefill", 1);
            return e.RespondAsync(200, """{"success":true}""");
        };
        second.OnRequest = e => e.RespondAsync(400, """{"success":false,"message":"no","safe_to_restore":true}""");
        using HttpResponseMessage switched = await SwitchAsync(stage, first), refused = await SwitchAsync(stage, second);
        ConformanceStage.Expect(switched.StatusCode == HttpStatusCode.OK && asked == 2, $"{(int)switched.StatusCode} after asking {asked} times: {await switched.Content.ReadAsStringAsync()}");
        ConformanceStage.Expect(refused.StatusCode == HttpStatusCode.BadGateway, $"a refusal is answered {(int)refused.StatusCode}");
        JsonElement workers = ConformanceStage.Json(await stage.Admin.GetStringAsync("/workers")).GetProperty("workers");
        ConformanceStage.Expect(TypeOf(first) == "prefill" && TypeOf(second) == "decode", $"then they are {TypeOf(first)} and {TypeOf(second)}");
        return "switched after two questions; the refusal was put back";

        string? TypeOf(ScriptedWorker worker) => workers.EnumerateArray().Single(w => w.GetProperty("url").GetString()!.TrimEnd('/') == worker.Url).GetProperty("worker_type").GetString();
    }

    private static async Task<HttpResponseMessage> SwitchAsync(ConformanceStage stage, ScriptedWorker worker)
    {
        using StringContent body = new($$"""{"worker_url":"{{worker.Url}}","new_role":"prefill","bootstrap_port":{{worker.Port}}}""", Encoding.UTF8, "application/json");
        return await stage.Admin.PostAsync("/pd_role_switch", body);
    }

    private static async Task<string> NoRanksInUrlsAsync(ConformanceStage stage)
    {
        for (int i = 0; i < 4; i++) await stage.AskAsync("/generate", """{"text":"a"}""");
        await stage.ArrivedAsync(4);
        foreach (string path in new[] { "/health_generate", "/v1/models", "/get_model_info", "/metrics" }) (await stage.Client.GetAsync(path)).Dispose();
        if (stage.HasAdmin)
        {
            (await stage.Admin.PostAsync("/flush_cache?timeout=3", null)).Dispose();
            (await stage.Admin.GetAsync("/engine_metrics")).Dispose();
            (await stage.Admin.GetAsync("/get_loads")).Dispose();
        }
        string[] lines = [.. stage.Prefill.Concat(stage.Decode).SelectMany(w => w.Lines)];
        ConformanceStage.Expect(stage.PrefillLegs.Count == 4, $"{stage.PrefillLegs.Count} prefill legs for four requests");
        ConformanceStage.Expect(!lines.Any(l => l.Contains('@', StringComparison.Ordinal)), lines.FirstOrDefault(l => l.Contains('@', StringComparison.Ordinal)) ?? "");
        string? host = stage.PrefillLegs.Select(e => ConformanceStage.Json(e.Text).GetProperty("bootstrap_host").GetString()).FirstOrDefault(h => h!.Contains('@', StringComparison.Ordinal));
        ConformanceStage.Expect(host is null, $"bootstrap_host {host}");
        return $"{lines.Length} requests, none with a rank in its URL";
    }

    private static async Task<string> WrongRankAsync(ConformanceStage stage)
    {
        stage.OnDecode(e => e.RespondAsync(200, """{"text":"a","meta_info":{"dp_rank": 7}}"""));
        using HttpResponseMessage answer = await stage.PostAsync("/generate", """{"text":"a"}""");
        string text = await answer.Content.ReadAsStringAsync();
        ConformanceStage.Expect(stage.DecodeLegs.Count > 0, $"{(int)answer.StatusCode} without a decode leg: {text}");
        if (!ConformanceStage.Json(stage.DecodeLegs[0].Text).TryGetProperty("routed_dp_rank", out _)) throw new NotApplicableException("the router names no ranks");
        if (answer.StatusCode == HttpStatusCode.InternalServerError && text.Contains("dp_rank_mismatch", StringComparison.Ordinal)) return "500 dp_rank_mismatch";
        ConformanceStage.Expect(answer.StatusCode == HttpStatusCode.OK, $"{(int)answer.StatusCode}: {text}");
        string? counted = (await stage.Client.GetStringAsync("/metrics")).Split('\n').FirstOrDefault(l => l.Contains("dp_rank_mismatch_total", StringComparison.Ordinal) && !l.StartsWith('#') && !l.EndsWith(" 0", StringComparison.Ordinal));
        ConformanceStage.Expect(counted is not null, "200, and /metrics counts no dp_rank_mismatch");
        return $"200, counted: {counted}";
    }

    private static async Task<string> FlushAsync(ConformanceStage stage)
    {
        _ = stage.Admin;
        (await stage.Admin.PostAsync("/flush_cache?timeout=12.5", null)).Dispose();
        foreach (ScriptedWorker worker in stage.Prefill.Concat(stage.Decode))
            ConformanceStage.Expect(worker.Lines.Any(l => l.EndsWith("/flush_cache?timeout=12.5", StringComparison.Ordinal)), $"{worker.Url} was asked for {string.Join(", ", worker.Lines.Where(l => l.Contains("flush", StringComparison.Ordinal)))}");
        return "asked with the timeout";
    }

    private static async Task<string> CacheAwareAsync(ConformanceStage stage)
    {
        if (!stage.Settings.IsCacheAware) throw new NotApplicableException("the router is not said to choose prefill by cache_aware");
        string first = new('a', 1000);
        await AskAsync(first);
        ScriptedWorker owner = Served(out ScriptedWorker other);
        for (int i = 0; i < 5; i++) await AskAsync(first[..600] + new string((char)('b' + i), 400));
        int kept = ConformanceStage.Legs(owner).Count();
        ConformanceStage.Expect(kept == 6, $"of six prompts with a common 60 % only {kept} went to one worker");
        await AskAsync(first[..100] + new string('z', 900));
        ConformanceStage.Expect(ConformanceStage.Legs(other).Count() == 1, "a prompt with 10 % in common went to the worker that had served six");
        return "60 % in common: the same worker; 10 %: the other one";

        async Task AskAsync(string prompt)
        {
            int before = stage.PrefillLegs.Count;
            await stage.AskAsync("/generate", $$"""{"text":"{{prompt}}"}""");
            await stage.ArrivedAsync(before + 1);
        }

        ScriptedWorker Served(out ScriptedWorker idle)
        {
            bool isFirst = ConformanceStage.Legs(stage.Prefill[0]).Any();
            idle = stage.Prefill[isFirst ? 1 : 0];
            return stage.Prefill[isFirst ? 0 : 1];
        }
    }

    private static async Task<string> IdOfAsync(ConformanceStage stage, ScriptedWorker worker)
    {
        JsonElement workers = ConformanceStage.Json(await stage.Admin.GetStringAsync("/workers")).GetProperty("workers");
        return workers.EnumerateArray().First(w => w.GetProperty("url").GetString()!.TrimEnd('/') == worker.Url).GetProperty("id").GetString()!;
    }
}
