using System.Globalization;
using System.Text.RegularExpressions;
using Baton.Bench.Conformance;
using Baton.Router.Trouble;
using Baton.Testing;

namespace Baton.Router.Tests.Http;

/// <summary>What <c>/metrics</c> of a router says after known requests.</summary>
public sealed partial class MetricsTests
{
    private const string Info = """{"served_model_name":"demo"}""";
    private static readonly RouterOptions Once = new() { Retry = new RetryOptions { IsEnabled = false } };

    private static Task Answer(ScriptedExchange e) => e.RespondAsync(200, """{"text":"a \"completion_tokens\":99 b","meta_info":{"prompt_tokens": 7,"completion_tokens":3}}""");

    private static async Task StreamAsync(ScriptedExchange e, params string[] pieces)
    {
        await e.StartStreamAsync();
        foreach (string piece in pieces) await e.WriteChunkAsync(piece);
        await e.EndStreamAsync();
    }

    [Fact]
    public async Task An_answer_is_counted_by_model_endpoint_pair_and_step()
    {
        await using ScriptedWorker prefill = new(Answer, Info), decode = new(Answer, Info);
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode]);

        (await harness.PostAsync("/generate", """{"model":"demo","text":"a"}""")).Dispose();
        await RouterHarness.Until(() => harness.CreditsOut == 0, "both legs have ended");
        Samples seen = await Samples.OfAsync(harness);

        Assert.Equal(7, seen.One("baton_router_tokens_total", "model=\"demo\"", "endpoint=\"/generate\"", "type=\"prompt\""));
        Assert.Equal(3, seen.One("baton_router_tokens_total", "type=\"completion\""));
        Assert.Equal(1, seen.One("baton_router_requests_total", "model=\"demo\"", "endpoint=\"/generate\"", "stream=\"false\""));
        Assert.Equal(1, seen.One("baton_router_request_duration_seconds_count", "model=\"demo\""));
        Assert.Equal(1, seen.One("baton_router_ttft_seconds_count", "model=\"demo\""));
        Assert.Equal(0, seen.Sum("baton_router_tpot_seconds_count"));
        foreach (string name in new[] { "baton_pd_ttft_seconds_count", "baton_pd_prefill_duration_seconds_count" })
            Assert.Equal(1, seen.One(name, "model=\"demo\"", $"prefill=\"{prefill.Url}\"", $"decode=\"{decode.Url}\""));
        foreach (string stage in new[] { "read", "queue", "select", "send", "first_byte", "relay" })
            Assert.Equal(1, seen.One("baton_router_stage_duration_seconds_count", $"stage=\"{stage}\""));
        Assert.Equal(1, seen.One("baton_worker_selection_total", $"worker=\"{decode.Url}\"", "role=\"decode\"", "rank=\"none\"", "policy=\"least_load\""));
        Assert.Equal(1, seen.One("baton_worker_cb_outcomes_total", $"worker=\"{prefill.Url}\"", "outcome=\"success\""));
        Assert.Equal(1, seen.One("baton_http_requests_total", "method=\"POST\"", "path=\"/generate\""));
        Assert.Equal(1, seen.One("baton_http_responses_total", "path=\"/generate\"", "status=\"200\""));
        Assert.Equal(1, seen.One("baton_http_request_duration_seconds_count", "path=\"/generate\""));
        Assert.Equal(1, seen.One("baton_http_rate_limit_total", "decision=\"admitted\""));
        Assert.Equal(2, seen.One("baton_discovery_workers_discovered", "source=\"cli\""));
        Assert.Equal(2, seen.One("baton_discovery_registrations_total", "source=\"cli\""));
        Assert.True(seen.One("baton_worker_health_checks_total", $"worker=\"{decode.Url}\"", "result=\"ok\"") >= 1);
        Assert.InRange(seen.One("baton_http_connections_active"), 1, 2);
        Assert.Equal(1, seen.One("baton_http_requests_active"));
        Assert.Contains("le=\"0.0001\"", seen.Text, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{"text":"a","stream":true}""", 3, 1)]
    [InlineData("""{"text":["a","b"],"stream":true}""", 5, 0)]
    public async Task The_tokens_of_a_stream_are_the_last_count_of_each_sequence_wherever_the_reads_were_cut(string body, int tokens, int timed)
    {
        await using ScriptedWorker prefill = new(Answer, Info), decode = new(e => StreamAsync(e,
            "data: {\"index\":0,\"meta_info\":{\"completion_tokens\":1}}\n\ndata: {\"index\":1,\"meta_info\":{\"comple",
            "tion_tokens\":", "2}}\n\ndata: {\"index\":0,\"meta_info\":{\"prompt_tokens\":4,\"completion_tokens\":", "3}}\n\ndata: [DONE]\n\n"), Info);
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode]);

        (await harness.PostAsync("/generate", body)).Dispose();
        await RouterHarness.Until(() => harness.CreditsOut == 0, "both legs have ended");
        Samples seen = await Samples.OfAsync(harness);

        Assert.Equal(tokens, seen.One("baton_router_tokens_total", "model=\"default\"", "type=\"completion\""));
        Assert.Equal(timed, seen.Sum("baton_router_tpot_seconds_count"));
    }

    [Theory]
    [InlineData("""{"error":{"message":"no","code":"transfer_timeout"}}""", "baton_pd_kv_transfer_failures_total")]
    [InlineData("""{"error":{"message":"Prefill bootstrap failed for request rank=0"}}""", "baton_pd_bootstrap_failures_total")]
    public async Task Failures_are_counted_by_what_failed(string words, string counter)
    {
        await using ScriptedWorker prefill = new(e => e.RespondAsync(500, words)), decode = new(e => e.HangAsync());
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode], new RouterOptions { Retry = new RetryOptions { MaxAttempts = 2, InitialBackoff = TimeSpan.FromMilliseconds(1) } });

        (await harness.PostAsync("/generate", """{"model":"mine","text":"a"}""")).Dispose();
        await RouterHarness.Until(() => harness.CreditsOut == 0, "both legs have ended");
        Samples seen = await Samples.OfAsync(harness);

        Assert.Equal(2, seen.One(counter, $"prefill=\"{prefill.Url}\"", $"decode=\"{decode.Url}\""));
        Assert.Equal(2, seen.One("baton_worker_errors_total", $"worker=\"{prefill.Url}\"", "role=\"prefill\"", "reason=\"prefill_internal_error\""));
        Assert.Equal(1, seen.One("baton_router_request_errors_total", "model=\"other\"", "error=\"prefill_internal_error\""));
        Assert.Equal(1, seen.One("baton_worker_retries_total", "role=\"prefill\"", "endpoint=\"/generate\"", "attempt=\"2\""));
        Assert.Equal(1, seen.One("baton_worker_retry_backoff_seconds_count", "attempt=\"2\""));
        Assert.Equal(1, seen.One("baton_worker_retries_exhausted_total", "role=\"prefill\"", "endpoint=\"/generate\"", "reason=\"attempts\""));
        Assert.Equal(2, seen.One("baton_cancelled_legs_total", "leg=\"decode\"", "why=\"prefill_failed\""));
    }

    [Fact]
    public async Task A_breaker_shows_its_moves_its_outcomes_and_its_probe()
    {
        TaskCompletionSource go = new(TaskCreationOptions.RunContinuationsAsynchronously);
        bool broken = true;
        await using ScriptedWorker prefill = new(Answer), decode = new(async e =>
        {
            if (broken) await e.RespondAsync(500, "{}");
            else
            {
                await go.Task;
                await Answer(e);
            }
        });
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode],
            Once with { Breaker = new BreakerOptions { FailureThreshold = 1, OpenTime = TimeSpan.Zero } });
        string worker = $"worker=\"{decode.Url}\"";

        (await harness.PostAsync("/generate", """{"text":"a"}""")).Dispose();
        broken = false;
        Task<HttpResponseMessage> probing = harness.PostAsync("/generate", """{"text":"a"}""");
        await RouterHarness.Until(() => decode.Seen.Count == 2, "the probe has arrived");
        Samples during = await Samples.OfAsync(harness);
        go.SetResult();
        (await probing).Dispose();
        await RouterHarness.Until(() => harness.CreditsOut == 0, "both legs have ended");
        Samples after = await Samples.OfAsync(harness);

        Assert.Equal((2, 1), (during.One("baton_worker_cb_state", worker), during.One("baton_worker_cb_probes_active", worker)));
        Assert.Equal((1, 0), (after.One("baton_worker_cb_consecutive_successes", worker), after.One("baton_worker_cb_probes_active", worker)));
        Assert.Equal(1, after.One("baton_worker_cb_transitions_total", worker, "from=\"closed\"", "to=\"open\""));
        Assert.Equal(1, after.One("baton_worker_cb_transitions_total", worker, "from=\"open\"", "to=\"half_open\""));
        Assert.Equal((1, 1), (after.One("baton_worker_cb_outcomes_total", worker, "outcome=\"failure\""), after.One("baton_worker_cb_outcomes_total", worker, "outcome=\"success\"")));
    }

    [Fact]
    public async Task Cache_hits_show_what_share_of_the_prompt_was_known()
    {
        await using ScriptedWorker prefill = new(Answer), decode = new(Answer);
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode], new RouterOptions { PrefillPolicy = "cache_aware" });
        string half = new('a', 99);

        // The quote in front belongs to the text, so each prompt is 100 bytes.
        foreach (string text in new[] { half, half, half[..79] + new string('b', 20) }) (await harness.PostAsync("/generate", $$"""{"text":"{{text}}"}""")).Dispose();
        Samples seen = await Samples.OfAsync(harness);

        Assert.Equal(3, seen.One("baton_cache_hit_chars_ratio_count", "role=\"prefill\""));
        Assert.Equal(1.8, seen.One("baton_cache_hit_chars_ratio_sum", "role=\"prefill\""), 1e-9);
    }

    [Fact]
    public async Task Reports_of_both_shapes_become_series_and_what_a_worker_does_not_tell_has_none()
    {
        await using ScriptedWorker prefill = new(Answer) { Loads = """{"loads":[{"dp_rank":0,"num_running_reqs":2,"kv_transfer_latency_ms":6.5,"kv_transfer_speed_gb_s":22,"prefill_queue_reqs":4}]}""" };
        await using ScriptedWorker decode = new(Answer) { Loads = """{"loads":[{"dp_rank":0,"disaggregation":{"decode_prealloc_queue_reqs":1,"decode_transfer_queue_reqs":2}}]}""" };
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode]);
        await RouterHarness.Until(() => harness.Server.Router.Fleet.Now.All.All(w => w.Ranks[0].Report is not null), "both have reported");

        Samples seen = await Samples.OfAsync(harness);

        string p = $"worker=\"{prefill.Url}\"", d = $"worker=\"{decode.Url}\"";
        Assert.Equal((2, 6.5, 22, 4), (seen.One("baton_engine_running_requests", p), seen.One("baton_engine_pd_kv_transfer_latency_ms", p), seen.One("baton_engine_pd_kv_transfer_speed_gb_s", p), seen.One("baton_engine_pd_prefill_queue_reqs", p)));
        Assert.Equal(3, seen.One("baton_engine_pd_decode_queue_reqs", d));
        Assert.Equal(1, seen.Count("baton_engine_pd_kv_transfer_latency_ms"));
    }

    [Fact]
    public async Task A_worker_without_loads_is_read_by_its_gauges_and_tells_no_token_counts()
    {
        await using ScriptedWorker prefill = new(Answer);
        await using ScriptedWorker decode = new(Answer, """{"dp_size":2}""")
        {
            Metrics = "# HELP sglang:token_usage x\nsglang:token_usage{dp_rank=\"1\",tp_rank=\"0\"} 0.25\nsglang:num_running_reqs{dp_rank=\"1\"} 3.0\nsglang:num_queue_reqs 2\nsglang:other 9\n",
        };
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode]);
        await RouterHarness.Until(() => harness.Server.Router.Fleet.Now.Decode[0].Ranks.All(r => r.Report is not null), "both ranks have reported");

        Samples seen = await Samples.OfAsync(harness);

        string worker = $"worker=\"{decode.Url}\"";
        Assert.Equal((0.25, 3), (seen.One("baton_engine_token_usage", worker, "rank=\"1\""), seen.One("baton_engine_running_requests", worker, "rank=\"1\"")));
        Assert.Equal(2, seen.One("baton_engine_waiting_requests", worker, "rank=\"0\""));
        Assert.Null(harness.Server.Router.Fleet.Now.Decode[0].Ranks[1].Report!.UsedTokens);
    }

    [Fact]
    public async Task Workers_that_come_and_go_are_counted_by_where_they_came_from()
    {
        await using ScriptedWorker one = new(Answer), two = new(Answer);
        string file = Path.Combine(Path.GetTempPath(), $"baton-workers-{Guid.NewGuid():n}.json");
        try
        {
            await File.WriteAllTextAsync(file, $$"""[{"url":"{{one.Url}}"}]""");
            await using RouterHarness harness = await RouterHarness.StartAsync([], [], new RouterOptions { WorkersFile = file });

            using HttpResponseMessage added = await harness.PostAsync("/workers", $$"""{"url":"{{two.Url}}"}""");
            Samples both = await Samples.OfAsync(harness);
            (await harness.Client.DeleteAsync(added.Headers.Location)).Dispose();
            await RouterHarness.Until(() => harness.Server.Router.Fleet.Now.All.Count == 1, "the added worker is gone");
            Samples after = await Samples.OfAsync(harness);

            Assert.Equal((1, 1), (both.One("baton_discovery_workers_discovered", "source=\"file\""), both.One("baton_discovery_workers_discovered", "source=\"api\"")));
            Assert.Equal((1, 1), (both.One("baton_discovery_registrations_total", "source=\"file\""), both.One("baton_discovery_registrations_total", "source=\"api\"")));
            Assert.Equal((0, 1), (after.Count("baton_discovery_workers_discovered", "source=\"api\""), after.One("baton_discovery_deregistrations_total", "source=\"api\"")));
            Assert.True(after.One("baton_discovery_sync_duration_seconds_count", "source=\"file\"") >= 1);
            Assert.Equal(1, after.One("baton_http_requests_total", "method=\"DELETE\"", "path=\"/workers/{id}\""));
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Fact]
    public async Task The_document_lists_exactly_the_series_that_are_there()
    {
        await using RouterHarness harness = await RouterHarness.StartAsync([], []);

        IEnumerable<string> served = Type().Matches((await Samples.OfAsync(harness)).Text).Select(m => m.Groups["name"].Value);
        string document = await File.ReadAllTextAsync(Path.Combine(RepositoryRoot.Path, "docs", "router.md"));
        string metrics = document.Split("\n## Metrics\n")[1].Split("\n## ")[0];

        Assert.Equal(served.Order(StringComparer.Ordinal), Row().Matches(metrics).SelectMany(m => Name().Matches(m.Groups["names"].Value)).Select(m => m.Value).Order(StringComparer.Ordinal));
    }

    [GeneratedRegex("^# TYPE (?<name>\\S+)", RegexOptions.Multiline | RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex Type();

    [GeneratedRegex("^\\| (?<names>`baton_[^|]*)\\|", RegexOptions.Multiline | RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex Row();

    [GeneratedRegex("baton_[a-z_]+", RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex Name();

    /// <summary>A scrape.</summary>
    private sealed record Samples(string Text)
    {
        public static async Task<Samples> OfAsync(RouterHarness harness) => new(await harness.Client.GetStringAsync("/metrics"));

        public double One(string name, params string[] labels) => Value(Assert.Single(Find(name, labels)));

        public int Count(string name, params string[] labels) => Find(name, labels).Length;

        public double Sum(string name) => Find(name, []).Sum(Value);

        private string[] Find(string name, string[] labels) =>
            [.. Text.Split('\n').Where(line => (line.StartsWith(name + "{", StringComparison.Ordinal) || line.StartsWith(name + " ", StringComparison.Ordinal)) && labels.All(label => line.Contains(label, StringComparison.Ordinal)))];

        private static double Value(string line) => double.Parse(line[(line.LastIndexOf(' ') + 1)..], CultureInfo.InvariantCulture);
    }
}
