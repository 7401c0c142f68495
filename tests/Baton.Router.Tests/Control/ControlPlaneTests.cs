using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;
using Baton.Bench.Conformance;
using Baton.Core.Ids;
using Baton.Router.Control;
using Baton.Router.Tests.Http;
using Baton.Router.Trouble;
using Baton.Router.Workers;

namespace Baton.Router.Tests.Control;

public sealed class ControlPlaneTests
{
    private static Task Ok(ScriptedExchange exchange) => exchange.RespondAsync(200, """{"text":"hello","meta_info":{}}""");

    private static JsonElement Json(string text) => JsonDocument.Parse(text).RootElement;

    [Fact]
    public async Task A_worker_that_is_added_takes_requests_once_it_is_healthy()
    {
        await using ScriptedWorker prefill = new(Ok), decode = new(Ok);
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], []);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await harness.PostAsync("/generate", """{"text":"a"}""")).StatusCode);

        using HttpResponseMessage added = await harness.PostAsync("/workers", $$"""{"url":"{{decode.Url}}","worker_type":"decode","labels":{"zone":"a"},"unknown":1}""");
        using HttpResponseMessage twice = await harness.PostAsync("/workers", $$"""{"url":"{{decode.Url}}/","worker_type":"decode"}""");
        await RouterHarness.Until(() => harness.Server.Router.Fleet.Now.Decode[0].Status == WorkerStatus.Ready, "the added worker is ready");
        using HttpResponseMessage answer = await harness.PostAsync("/generate", """{"text":"a"}""");

        Assert.Equal((HttpStatusCode.Accepted, HttpStatusCode.Conflict, HttpStatusCode.OK), (added.StatusCode, twice.StatusCode, answer.StatusCode));
        JsonElement row = Json(await harness.Client.GetStringAsync(added.Headers.Location));
        Assert.Equal("a", row.GetProperty("labels").GetProperty("zone").GetString());
    }

    [Theory]
    [InlineData("""{"worker_type":"decode"}""", "url")]
    [InlineData("""{"url":"http://h:1","worker_type":"boss"}""", "worker_type")]
    [InlineData("""{"url":"http://h:1/v1","worker_type":"decode"}""", "base URL")]
    [InlineData("""{"url":"http://h:1","bootstrap_port":70000}""", "bootstrap_port")]
    [InlineData("""{""", "")]
    public async Task A_bad_registration_is_refused_by_field(string body, string field)
    {
        await using RouterHarness harness = await RouterHarness.StartAsync([], []);

        using HttpResponseMessage answer = await harness.PostAsync("/workers", body);

        Assert.Equal(HttpStatusCode.BadRequest, answer.StatusCode);
        Assert.Contains(field, Json(await answer.Content.ReadAsStringAsync()).GetProperty("error").GetString(), StringComparison.Ordinal);
        Assert.Empty(harness.Server.Router.Fleet.Now.All);
    }

    [Theory]
    [InlineData("/workers", """{"url":5}""", "url")]
    [InlineData("/workers", "[]", "JSON object")]
    [InlineData("/add_worker?url=http://h:1&bootstrap_port=abc", "", "bootstrap_port")]
    [InlineData("/pd_role_switch", """{"worker_url":"w1","new_role":"decode","drain_timeout_secs":-1}""", "drain_timeout_secs")]
    [InlineData("/pd_role_switch", """{"worker_url":"w1","new_role":"decode","drain_timeout_secs":1e300}""", "drain_timeout_secs")]
    public async Task Nonsense_to_the_control_plane_is_400_in_the_callers_words(string path, string body, string word)
    {
        await using ScriptedWorker prefill = new(Ok);
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], []);

        using HttpResponseMessage answer = await harness.PostAsync(path, body);
        string? error = Json(await answer.Content.ReadAsStringAsync()).GetProperty("error").GetString();

        Assert.Equal(HttpStatusCode.BadRequest, answer.StatusCode);
        Assert.Contains(word, error, StringComparison.Ordinal);
        Assert.DoesNotContain("Baton.", error, StringComparison.Ordinal);
        Assert.Single(harness.Server.Router.Fleet.Now.All);
    }

    [Fact]
    public async Task A_worker_that_cannot_switch_roles_goes_on_as_before_and_one_that_failed_to_can_be_resumed()
    {
        await using ScriptedWorker prefill = new(e => e.RespondAsync(404, "{}"));
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [], new RouterOptions { HealthSuccessThreshold = 1 });
        Worker worker = harness.Server.Router.Fleet.Now.Prefill[0];
        const string body = """{"worker_url":"w1","new_role":"decode"}""";

        using HttpResponseMessage without = await harness.PostAsync("/pd_role_switch", body);
        WorkerStatus after404 = worker.Status;
        prefill.OnRequest = e => e.RespondAsync(500, "{}");
        using HttpResponseMessage failed = await harness.PostAsync("/pd_role_switch", body);
        WorkerStatus after500 = worker.Status;
        (await harness.PostAsync("/workers/w1/resume", "")).Dispose();

        Assert.Equal((HttpStatusCode.BadGateway, WorkerStatus.Ready), (without.StatusCode, after404));
        Assert.Equal((HttpStatusCode.BadGateway, WorkerStatus.Failed), (failed.StatusCode, after500));
        await RouterHarness.Until(() => worker.Status == WorkerStatus.Ready, "the resumed worker is ready");
    }

    [Fact]
    public async Task A_drained_worker_takes_nothing_new_until_it_is_resumed()
    {
        await using ScriptedWorker prefill = new(Ok), decode = new(Ok);
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode], new RouterOptions { HealthSuccessThreshold = 1 });
        string id = harness.Server.Router.Fleet.Now.Decode[0].Id;

        (await harness.PostAsync($"/workers/{id}/drain", "")).Dispose();
        HttpStatusCode drained = (await harness.PostAsync("/generate", """{"text":"a"}""")).StatusCode;
        (await harness.PostAsync($"/workers/{id}/resume", "")).Dispose();
        await RouterHarness.Until(() => harness.Server.Router.Fleet.Now.Decode[0].Status == WorkerStatus.Ready, "the resumed worker is ready");

        Assert.Equal((HttpStatusCode.ServiceUnavailable, HttpStatusCode.OK), (drained, (await harness.PostAsync("/generate", """{"text":"a"}""")).StatusCode));
    }

    [Fact]
    public async Task Keys_guard_both_planes_and_the_client_key_does_not_reach_the_workers()
    {
        await using ScriptedWorker prefill = new(Ok), decode = new(Ok);
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode], new RouterOptions { ApiKeys = ["team:secret"], AdminKey = "root" });

        HttpStatusCode none = (await harness.PostAsync("/generate", """{"text":"a"}""")).StatusCode;
        harness.Client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", "secret");
        HttpStatusCode right = (await harness.PostAsync("/generate", """{"text":"a"}""")).StatusCode;
        HttpStatusCode wrongPlane = (await harness.Client.GetAsync("/workers")).StatusCode;
        HttpStatusCode[] noOperator = [(await harness.Client.GetAsync("/routes/recent")).StatusCode, (await harness.PostAsync("/routes/explain", """{"text":"a"}""")).StatusCode];
        harness.Client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", "root");
        HttpStatusCode admin = (await harness.Client.GetAsync("/workers")).StatusCode;
        HttpStatusCode[] asOperator = [(await harness.Client.GetAsync("/routes/recent")).StatusCode, (await harness.PostAsync("/routes/explain", """{"text":"a"}""")).StatusCode];

        Assert.Equal([HttpStatusCode.Unauthorized, HttpStatusCode.Unauthorized], noOperator);
        Assert.Equal([HttpStatusCode.OK, HttpStatusCode.OK], asOperator);
        Assert.Equal((HttpStatusCode.Unauthorized, HttpStatusCode.OK, HttpStatusCode.Unauthorized, HttpStatusCode.OK), (none, right, wrongPlane, admin));
        Assert.DoesNotContain("authorization", Assert.Single(decode.Seen).Headers.Keys, StringComparer.OrdinalIgnoreCase);
        Assert.Equal(HttpStatusCode.OK, (await new HttpClient().GetAsync(new Uri(harness.Server.Url, "/health"))).StatusCode);
    }

    [Fact]
    public async Task The_workers_file_is_followed_and_a_bad_one_changes_nothing()
    {
        await using ScriptedWorker one = new(Ok), two = new(Ok);
        string file = Path.Combine(Path.GetTempPath(), $"baton-workers-{Guid.NewGuid():n}.json");
        try
        {
            await File.WriteAllTextAsync(file, $$"""[{"url":"{{one.Url}}","worker_type":"regular"}]""");
            await using RouterHarness harness = await RouterHarness.StartAsync([], [], new RouterOptions { WorkersFile = file });

            await File.WriteAllTextAsync(file, $$"""{"workers":[{"url":"{{two.Url}}","worker_type":"regular"}]}""");
            using HttpResponseMessage reloaded = await harness.PostAsync("/config/reload", "");
            await RouterHarness.Until(() => harness.Server.Router.Fleet.Now.All is [{ } only] && only.Url == two.Url, "the file's worker is the only one");
            await File.WriteAllTextAsync(file, """[{"url":"http://h:1","worker_type":"boss"}]""");
            using HttpResponseMessage refused = await harness.PostAsync("/config/reload", "");

            Assert.Equal((HttpStatusCode.OK, HttpStatusCode.BadRequest), (reloaded.StatusCode, refused.StatusCode));
            Assert.Equal(two.Url, Assert.Single(harness.Server.Router.Fleet.Now.All).Url);
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Fact]
    public async Task A_prefill_whose_bootstrap_server_is_dead_is_not_used()
    {
        await using ScriptedWorker prefill = new(Ok), decode = new(Ok);
        const int port = 1; // which the system hands out to nobody
        await using RouterHarness harness = await RouterHarness.StartAsync([], [decode]);
        harness.Server.Router.Fleet.Add(new WorkerSpec { Url = new Uri(prefill.Url), Role = WorkerRole.Prefill, BootstrapPort = port });

        // A machine that stands still makes the first probe fail for another reason.
        await RouterHarness.Until(() => harness.Server.Router.Fleet.Now.Prefill[0].Problem?.Contains($":{port}", StringComparison.Ordinal) == true, "the probe failed at the bootstrap server");

        Assert.Equal(WorkerStatus.Pending, harness.Server.Router.Fleet.Now.Prefill[0].Status);
    }

    [Fact]
    public async Task A_replaced_process_starts_with_closed_breakers()
    {
        bool broken = true;
        await using ScriptedWorker prefill = new(Ok), decode = new(e => broken ? e.RespondAsync(500, "{}") : Ok(e), """{"instance_id":"first"}""");
        RouterOptions options = new()
        {
            Retry = new RetryOptions { IsEnabled = false },
            HealthCheckInterval = TimeSpan.FromMilliseconds(50),
            ServerInfoInterval = TimeSpan.FromMilliseconds(50),
        };
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode], options);
        for (int i = 0; i < 10; i++) (await harness.PostAsync("/generate", """{"text":"a"}""")).Dispose();
        Worker worker = harness.Server.Router.Fleet.Now.Decode[0];
        Assert.Equal(BreakerState.Open, worker.Ranks[0].Breaker.State);

        broken = false;
        decode.ServerInfo = """{"instance_id":"second"}""";
        await RouterHarness.Until(() => worker.Restarts == 1, "the new instance was noticed");

        Assert.Equal(BreakerState.Closed, worker.Ranks[0].Breaker.State);
    }

    [Fact]
    public async Task A_worker_in_another_mode_than_it_was_given_as_stays_out()
    {
        await using ScriptedWorker prefill = new(Ok), wrong = new(Ok, """{"disaggregation_mode":"prefill"}""");
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], []);
        harness.Server.Router.Fleet.Add(new WorkerSpec { Url = new Uri(wrong.Url), Role = WorkerRole.Decode });

        await RouterHarness.Until(() => harness.Server.Router.Fleet.Now.Decode[0].Problem?.Contains("role_mismatch", StringComparison.Ordinal) == true, "the probe found another mode");

        Assert.Equal(WorkerStatus.Pending, harness.Server.Router.Fleet.Now.Decode[0].Status);
    }

    [Fact]
    public async Task Explaining_a_route_names_candidates_and_exclusions_and_sends_nothing()
    {
        await using ScriptedWorker prefill = new(Ok, """{"dp_size":2}"""), decode = new(Ok);
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode]);
        harness.Server.Router.Fleet.Add(new WorkerSpec { Url = new Uri("http://127.0.0.1:1"), Role = WorkerRole.Decode });

        using HttpResponseMessage answer = await harness.PostAsync("/routes/explain", """{"text":"a"}""");
        (await harness.PostAsync("/generate", """{"text":"a"}""")).Dispose();
        JsonElement recent = Json(await harness.Client.GetStringAsync("/routes/recent")).GetProperty("routes")[0];

        JsonElement explained = Json(await answer.Content.ReadAsStringAsync());
        Assert.Equal([$"{prefill.Url}@0", $"{prefill.Url}@1"], explained.GetProperty("prefill").GetProperty("candidates").EnumerateArray().Select(c => c.GetProperty("candidate").GetString()));
        Assert.Equal("http://127.0.0.1:1", Assert.Single(explained.GetProperty("decode").GetProperty("excluded").EnumerateArray()).GetProperty("candidate").GetString());
        Assert.Equal(explained.GetProperty("prefill").GetProperty("chosen").GetString(), recent.GetProperty("prefill").GetString());
        Assert.Equal("ok", recent.GetProperty("outcome").GetString());
        Assert.Equal(JsonValueKind.String, recent.GetProperty("room").ValueKind);
        Assert.Single(decode.Seen);
    }

    [Fact]
    public async Task Deep_readiness_sends_a_token_through_every_pair()
    {
        bool broken = false;
        await using ScriptedWorker prefill = new(Ok), good = new(Ok), sick = new(e => broken ? e.RespondAsync(500, "{}") : Ok(e));
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [good, sick]);
        HttpStatusCode first = (await harness.Client.GetAsync("/readiness?deep=1")).StatusCode;
        broken = true;
        await using RouterHarness other = await RouterHarness.StartAsync([prefill], [good, sick]);

        using HttpResponseMessage failing = await other.Client.GetAsync("/readiness?deep=1");

        Assert.Equal((HttpStatusCode.OK, HttpStatusCode.ServiceUnavailable), (first, failing.StatusCode));
        JsonElement[] pairs = [.. Json(await failing.Content.ReadAsStringAsync()).GetProperty("pairs").EnumerateArray()];
        Assert.Equal(2, pairs.Length);
        Assert.Single(pairs, p => !p.GetProperty("ok").GetBoolean() && p.GetProperty("decode").GetString() == sick.Url);
    }

    [Fact]
    public async Task External_routing_mode_takes_random_ranks_and_refuses_an_answer_that_names_another()
    {
        static Task Echo(ScriptedExchange e)
        {
            JsonElement body = Json(e.Text);
            return e.RespondAsync(200, $$$"""{"text":"a","meta_info":{"dp_rank":{{{body.GetProperty("routed_dp_rank")}}},"prefill_dp_rank":{{{body.GetProperty("disagg_prefill_dp_rank")}}}}}""");
        }
        await using ScriptedWorker prefill = new(Ok, """{"dp_size":4}"""), decode = new(Echo, """{"dp_size":3}""");
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode], new RouterOptions { TestExternalDpRouting = true, Retry = new RetryOptions { IsEnabled = false } });

        for (int i = 0; i < 60; i++) Assert.Equal(HttpStatusCode.OK, (await harness.PostAsync("/generate", """{"text":"a"}""")).StatusCode);
        decode.OnRequest = e => e.RespondAsync(200, """{"text":"a","meta_info":{"dp_rank":99}}""");
        using HttpResponseMessage whole = await harness.PostAsync("/generate", """{"text":"a"}""");
        decode.OnRequest = async e =>
        {
            await e.StartStreamAsync();
            await e.WriteChunkAsync("data: {\"meta_info\":{\"dp_rank\":99}}\n\ndata: [DONE]\n\n");
            await e.EndStreamAsync();
        };
        using HttpResponseMessage streamed = await harness.PostAsync("/generate", """{"text":"a","stream":true}""");
        static string WrongPrefill(ScriptedExchange e) => $$$"""{"text":"a","meta_info":{"dp_rank":{{{Json(e.Text).GetProperty("routed_dp_rank")}}},"prefill_dp_rank":99}}""";
        decode.OnRequest = e => e.RespondAsync(200, WrongPrefill(e));
        using HttpResponseMessage wholePrefill = await harness.PostAsync("/generate", """{"text":"a"}""");
        decode.OnRequest = async e =>
        {
            await e.StartStreamAsync();
            await e.WriteChunkAsync($"data: {WrongPrefill(e)}\n\ndata: [DONE]\n\n");
            await e.EndStreamAsync();
        };
        using HttpResponseMessage streamedPrefill = await harness.PostAsync("/generate", """{"text":"a","stream":true}""");
        string metrics = await harness.Client.GetStringAsync("/metrics");

        (int, int)[] ranks = [.. decode.Seen.Take(60).Select(e => (Json(e.Text).GetProperty("disagg_prefill_dp_rank").GetInt32(), Json(e.Text).GetProperty("routed_dp_rank").GetInt32()))];
        Assert.Equal((4, 3), (ranks.Select(r => r.Item1).Distinct().Count(), ranks.Select(r => r.Item2).Distinct().Count()));
        Assert.Equal((HttpStatusCode.InternalServerError, HttpStatusCode.InternalServerError), (whole.StatusCode, streamed.StatusCode));
        Assert.Contains("dp_rank_mismatch", await streamed.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        Assert.Equal((HttpStatusCode.InternalServerError, HttpStatusCode.InternalServerError), (wholePrefill.StatusCode, streamedPrefill.StatusCode));
        Assert.Contains("prefill_dp_rank is 99", await wholePrefill.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        Assert.Contains("baton_dp_rank_mismatch_total 4", metrics, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Shutting_down_refuses_new_requests_finishes_running_ones_and_cuts_what_outlives_the_grace()
    {
        TaskCompletionSource go = new(TaskCreationOptions.RunContinuationsAsynchronously);
        await using ScriptedWorker prefill = new(Ok), decode = new(async e =>
        {
            await e.StartStreamAsync();
            await e.WriteChunkAsync("data: {\"text\":\"one\"}\n\n");
            await go.Task;
        });
        RouterOptions options = new() { DrainSettle = TimeSpan.Zero, ShutdownGrace = TimeSpan.FromMilliseconds(300) };
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode], options);
        using HttpResponseMessage stream = await harness.PostAsync("/generate", """{"text":"a","stream":true}""", streaming: true);

        Task draining = harness.Server.DrainAsync();
        using HttpResponseMessage late = await harness.PostAsync("/generate", """{"text":"b"}""");
        HttpStatusCode ready = (await harness.Client.GetAsync("/readiness")).StatusCode;
        HttpStatusCode alive = (await harness.Client.GetAsync("/liveness")).StatusCode;
        await draining;
        string text = await stream.Content.ReadAsStringAsync();
        go.SetResult();

        Assert.Equal((HttpStatusCode.ServiceUnavailable, HttpStatusCode.ServiceUnavailable, HttpStatusCode.OK), (late.StatusCode, ready, alive));
        Assert.Contains("\"code\":\"draining\"", text, StringComparison.Ordinal);
        Assert.EndsWith("data: [DONE]\n\n", text, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("Bearer secret", true, null)]
    [InlineData("bearer  other ", true, "team")]
    [InlineData("Bearer secre", false, null)]
    [InlineData("secret", false, null)]
    [InlineData(null, false, null)]
    public void A_key_ring_admits_its_keys_and_names_their_tenant(string? header, bool admits, string? tenant)
    {
        KeyRing keys = new(["secret", "team:other"]);

        Assert.Equal((admits, tenant), (keys.Admits(header, out string? found), found));
    }
}
