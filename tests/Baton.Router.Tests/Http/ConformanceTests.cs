using System.Net;
using System.Text;
using System.Text.Json;
using Baton.Core.Ids;
using Baton.Router.Trouble;
using Baton.Router.Workers;
using Baton.Testing.Http;

namespace Baton.Router.Tests.Http;

/// <summary>The conformance list of a PD router, against scripted workers over real sockets. The numbers are those of docs/router.md.</summary>
public sealed class ConformanceTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);
    private static readonly RouterOptions Once = new() { Retry = new RetryOptions { IsEnabled = false } };
    private static readonly RouterOptions Quick = new() { Retry = new RetryOptions { InitialBackoff = TimeSpan.FromMilliseconds(1) } };

    private static Task Ok(ScriptedExchange exchange) => exchange.RespondAsync(200, """{"text":"hello","meta_info":{}}""");

    private static JsonElement Json(string text) => JsonDocument.Parse(text).RootElement;

    private static async Task<JsonElement> ErrorOf(HttpResponseMessage answer) => Json(await answer.Content.ReadAsStringAsync()).GetProperty("error");

    [Fact]
    public async Task C02_a_batch_has_a_room_for_each_prompt()
    {
        await using ScriptedWorker prefill = new(Ok, """{"dp_size":4}"""), decode = new(Ok);
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode]);

        using HttpResponseMessage answer = await harness.PostAsync("/generate", """{"text":["a","b","c"]}""");

        JsonElement p = Json(Assert.Single(prefill.Seen).Text), d = Json(Assert.Single(decode.Seen).Text);
        long[] rooms = [.. p.GetProperty("bootstrap_room").EnumerateArray().Select(r => r.GetInt64())];
        Assert.Equal(3, rooms.Distinct().Count());
        Assert.All(rooms, r => Assert.Equal(p.GetProperty("routed_dp_rank").GetInt32(), r % 4));
        Assert.Equal(3, p.GetProperty("bootstrap_host").GetArrayLength());
        Assert.Equal(3, d.GetProperty("bootstrap_port").GetArrayLength());
        Assert.Equal(p.GetProperty("bootstrap_room").GetRawText(), d.GetProperty("bootstrap_room").GetRawText());
    }

    [Fact]
    public async Task C03_n_samples_are_n_requests_with_rooms_of_their_own_and_one_answer()
    {
        int served = 0;
        await using ScriptedWorker prefill = new(Ok), decode = new(e => e.RespondAsync(200,
            $$$"""{"id":"c{{{Interlocked.Increment(ref served)}}}","choices":[{"index":0,"message":{"content":"x"}}],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}"""));
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode]);

        using HttpResponseMessage answer = await harness.PostAsync("/v1/chat/completions", """{"messages":[],"n":4,"seed":100}""");

        JsonElement merged = Json(await answer.Content.ReadAsStringAsync());
        Assert.Equal([0, 1, 2, 3], merged.GetProperty("choices").EnumerateArray().Select(c => c.GetProperty("index").GetInt32()));
        Assert.Equal("""{"prompt_tokens":5,"completion_tokens":8,"total_tokens":13}""", merged.GetProperty("usage").GetRawText());
        JsonElement[] legs = [.. decode.Seen.Select(e => Json(e.Text))];
        Assert.Equal(4, legs.Select(l => l.GetProperty("bootstrap_room").GetInt64()).Distinct().Count());
        Assert.Equal([100, 101, 102, 103], legs.Select(l => l.GetProperty("seed").GetInt32()).Order());
        Assert.All(legs, l => Assert.Equal(1, l.GetProperty("n").GetInt32()));
    }

    [Fact]
    public async Task C03_streams_of_n_samples_are_woven_into_one_with_one_end()
    {
        await using ScriptedWorker prefill = new(Ok), decode = new(async e =>
        {
            await e.StartStreamAsync();
            await e.WriteChunkAsync("data: {\"id\":\"a\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}]}\n");
            await e.WriteChunkAsync("\ndata: {\"id\":\"a\",\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2,\"total_tokens\":7}}\n\ndata: [DONE]\n\n");
            await e.EndStreamAsync();
        });
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode]);

        using HttpResponseMessage answer = await harness.PostAsync("/v1/chat/completions", """{"messages":[],"n":3,"stream":true,"stream_options":{"include_usage":true}}""");

        string[] events = (await answer.Content.ReadAsStringAsync()).Split("\n\n", StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal("data: [DONE]", events[^1]);
        Assert.Equal(5, events.Length);
        JsonElement[] parsed = [.. events[..^1].Select(e => Json(e["data: ".Length..]))];
        Assert.Equal([0, 1, 2], parsed[..3].Select(e => e.GetProperty("choices")[0].GetProperty("index").GetInt32()).Order());
        Assert.Equal(6, parsed[3].GetProperty("usage").GetProperty("completion_tokens").GetInt32());
        Assert.Equal(11, parsed[3].GetProperty("usage").GetProperty("total_tokens").GetInt32());
    }

    [Fact]
    public async Task C05_rooms_beyond_2_to_the_53_arrive_whole()
    {
        await using ScriptedWorker prefill = new(Ok), decode = new(Ok);
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode], new RouterOptions { ExposeRoute = true });

        using HttpResponseMessage answer = await harness.PostAsync("/generate", """{"text":"a"}""");

        string room = Assert.Single(answer.Headers.GetValues("x-baton-room"));
        Assert.True(ulong.Parse(room) > 1UL << 53, "the seed of this test draws a large room");
        Assert.Equal(room, Json(Assert.Single(prefill.Seen).Text).GetProperty("bootstrap_room").GetRawText());
        Assert.Equal(room, Json(Assert.Single(decode.Seen).Text).GetProperty("bootstrap_room").GetRawText());
    }

    [Fact]
    public async Task C10_a_prefill_reset_closes_the_decode_leg_and_another_prefill_is_tried_with_a_new_room()
    {
        int resets = 0, hung = 0;
        await using ScriptedWorker bad = new(e =>
        {
            Interlocked.Increment(ref resets);
            e.Reset();
            return Task.CompletedTask;
        });
        await using ScriptedWorker good = new(Ok);
        TaskCompletionSource closed = new(TaskCreationOptions.RunContinuationsAsynchronously);
        await using ScriptedWorker decode = new(async e =>
        {
            if (Json(e.Text).GetProperty("bootstrap_port").GetInt32() == good.Port)
            {
                await Ok(e);
                return;
            }
            Interlocked.Increment(ref hung);
            await e.HangAsync();
            closed.TrySetResult();
        });
        await using RouterHarness harness = await RouterHarness.StartAsync([bad, good], [decode], Quick with { Policy = "round_robin" });

        using HttpResponseMessage first = await harness.PostAsync("/generate", """{"text":"a"}""");
        using HttpResponseMessage second = await harness.PostAsync("/generate", """{"text":"a"}""");

        Assert.Equal((HttpStatusCode.OK, HttpStatusCode.OK), (first.StatusCode, second.StatusCode));
        Assert.True(resets >= 1);
        if (hung > 0) await closed.Task.WaitAsync(Patience);
        Assert.Empty(bad.Seen.Select(Room).Intersect(good.Seen.Select(Room)));
        await RouterHarness.Until(() => harness.CreditsOut == 0, "every credit is back");

        static long Room(ScriptedExchange e) => Json(e.Text).GetProperty("bootstrap_room").GetInt64();
    }

    [Fact]
    public async Task C11_a_decode_503_is_retried_with_a_new_room()
    {
        int calls = 0;
        await using ScriptedWorker prefill = new(Ok, """{"pd_cancel_anytime":true}""");
        await using ScriptedWorker decode = new(e => Interlocked.Increment(ref calls) == 1 ? e.RespondAsync(503, """{"detail":"busy"}""") : Ok(e));
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode], Quick);

        using HttpResponseMessage answer = await harness.PostAsync("/generate", """{"text":"a"}""");

        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        Assert.Equal(2, decode.Seen.Select(e => Json(e.Text).GetProperty("bootstrap_room").GetInt64()).Distinct().Count());
    }

    [Fact]
    public async Task C12_after_the_first_byte_a_cut_is_an_error_event_and_never_a_retry()
    {
        await using ScriptedWorker prefill = new(Ok), decode = new(async e =>
        {
            await e.StartStreamAsync();
            await e.WriteChunkAsync("data: {\"text\":\"one\"}\n\n");
            e.Reset();
        });
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode], Quick);

        using HttpResponseMessage answer = await harness.PostAsync("/generate", """{"text":"a","stream":true}""", streaming: true);

        string[] events = (await answer.Content.ReadAsStringAsync()).Split("\n\n", StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal("data: {\"text\":\"one\"}", events[0]);
        Assert.Equal("decode_transport", Json(events[1]["data: ".Length..]).GetProperty("error").GetProperty("code").GetString());
        Assert.Equal("data: [DONE]", events[2]);
        Assert.Single(decode.Seen);
    }

    [Fact]
    public async Task C13_a_hundred_client_errors_leave_the_breakers_closed()
    {
        await using ScriptedWorker prefill = new(Ok), decode = new(e => e.RespondAsync(422, """{"error":{"message":"no"}}"""));
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode]);

        for (int i = 0; i < 100; i++)
        {
            using HttpResponseMessage answer = await harness.PostAsync("/generate", """{"text":"a"}""");
            Assert.Equal(422, (int)answer.StatusCode);
        }

        Assert.All(harness.Server.Router.Fleet.Now.All, w => Assert.Equal(BreakerState.Closed, w.Ranks[0].Breaker.State));
        Assert.Equal(100, decode.Seen.Count);
    }

    [Fact]
    public async Task C15_when_every_breaker_is_open_a_healthy_worker_is_tried_all_the_same()
    {
        bool broken = true;
        await using ScriptedWorker prefill = new(Ok), decode = new(e => broken ? e.RespondAsync(500, "{}") : Ok(e));
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode], Once);
        for (int i = 0; i < 10; i++) (await harness.PostAsync("/generate", """{"text":"a"}""")).Dispose();
        Assert.Equal(BreakerState.Open, harness.Server.Router.Fleet.Now.Decode[0].Ranks[0].Breaker.State);
        broken = false;

        using HttpResponseMessage answer = await harness.PostAsync("/generate", """{"text":"a"}""");

        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        Assert.True(harness.Server.Router.PanicChoices >= 1);
    }

    [Fact]
    public async Task C17_prompt_logprobs_are_merged_into_events_that_were_split_over_reads()
    {
        await using ScriptedWorker prefill = new(async e =>
        {
            await e.StartStreamAsync();
            await e.WriteChunkAsync("data: {\"index\":0,\"meta_info\":{\"input_token_logprobs\":[[-0.50,1,null],[-1,2,null]]}}\n\ndata: [DONE]\n\n");
            await e.EndStreamAsync();
        });
        await using ScriptedWorker decode = new(async e =>
        {
            await e.StartStreamAsync();
            const string one = "data: {\"text\":\"\u00e9\",\"meta_info\":{\"input_token_logprobs\":[[-2,3,null]],\"id\":\"x\"}}\n\n";
            foreach (string part in one.Chunk(7).Select(c => new string(c))) await e.WriteChunkAsync(part);
            await e.WriteChunkAsync("data: {\"text\":\"b\",\"meta_info\":{\"input_token_logprobs\":[]}}\n\ndata: [DONE]\n\n");
            await e.EndStreamAsync();
        });
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode]);

        using HttpResponseMessage answer = await harness.PostAsync("/generate", """{"text":"a","stream":true,"return_logprob":true}""");

        Assert.Equal(
            "data: {\"text\":\"\u00e9\",\"meta_info\":{\"input_token_logprobs\":[[-0.50,1,null],[-1,2,null],[-2,3,null]],\"id\":\"x\"}}\n\n"
            + "data: {\"text\":\"b\",\"meta_info\":{\"input_token_logprobs\":[[-0.50,1,null],[-1,2,null]]}}\n\ndata: [DONE]\n\n",
            await answer.Content.ReadAsStringAsync());
    }

    [Fact]
    public async Task C17_prompt_logprobs_of_a_batch_are_merged_index_by_index()
    {
        await using ScriptedWorker prefill = new(e => e.RespondAsync(200, """[{"meta_info":{"input_token_logprobs":[[-1,1]]}},{"meta_info":{"input_token_logprobs":[[-2,2]]}}]"""));
        await using ScriptedWorker decode = new(e => e.RespondAsync(200, """[{"text":"a","meta_info":{"input_token_logprobs":[]}}, {"text":"b","meta_info":{"input_token_logprobs":[[-9,9]]}}]"""));
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode]);

        using HttpResponseMessage answer = await harness.PostAsync("/generate", """{"text":["x","y"],"return_logprob":true}""");

        Assert.Equal(
            """[{"text":"a","meta_info":{"input_token_logprobs":[[-1,1]]}}, {"text":"b","meta_info":{"input_token_logprobs":[[-2,2],[-9,9]]}}]""",
            await answer.Content.ReadAsStringAsync());
    }

    [Fact]
    public async Task C18_done_inside_text_does_not_end_a_stream()
    {
        await using ScriptedWorker prefill = new(Ok), decode = new(async e =>
        {
            await e.StartStreamAsync();
            await e.WriteChunkAsync("data: {\"text\":\"say data: [DONE]\\n\\n now\"}\n\n");
            await e.WriteChunkAsync("data: {\"text\":\"more\"}\n\nda");
            await e.WriteChunkAsync("ta: [DONE]\n\n");
            await e.EndStreamAsync();
        });
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode]);

        using HttpResponseMessage answer = await harness.PostAsync("/generate", """{"text":"a","stream":true}""");

        string text = await answer.Content.ReadAsStringAsync();
        Assert.EndsWith("data: {\"text\":\"more\"}\n\ndata: [DONE]\n\n", text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task C20_a_client_that_leaves_cancels_both_legs_when_prefill_can_bear_it()
    {
        TaskCompletionSource prefillClosed = new(TaskCreationOptions.RunContinuationsAsynchronously), decodeClosed = new(TaskCreationOptions.RunContinuationsAsynchronously);
        await using ScriptedWorker prefill = new(e => HangThen(e, prefillClosed), """{"pd_cancel_anytime":true}""");
        await using ScriptedWorker decode = new(e => HangThen(e, decodeClosed));
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode]);
        using CancellationTokenSource leave = new();

        Task<HttpResponseMessage> asked = harness.PostAsync("/generate", """{"text":"a"}""", ct: leave.Token);
        await RouterHarness.Until(() => !prefill.Seen.IsEmpty && !decode.Seen.IsEmpty, "both legs arrived");
        await leave.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => asked);
        await Task.WhenAll(prefillClosed.Task, decodeClosed.Task).WaitAsync(Patience);
        await RouterHarness.Until(() => harness.CreditsOut == 0 && harness.Server.Admitted is (0, 0), "every credit is back");
    }

    [Fact]
    public async Task C20_a_prefill_that_cannot_bear_a_cut_is_left_to_finish()
    {
        TaskCompletionSource decodeClosed = new(TaskCreationOptions.RunContinuationsAsynchronously), go = new(TaskCreationOptions.RunContinuationsAsynchronously);
        await using ScriptedWorker prefill = new(async e =>
        {
            await go.Task;
            await Ok(e);
        });
        await using ScriptedWorker decode = new(e => HangThen(e, decodeClosed));
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode]);
        using CancellationTokenSource leave = new();

        Task<HttpResponseMessage> asked = harness.PostAsync("/generate", """{"text":"a"}""", ct: leave.Token);
        await RouterHarness.Until(() => !prefill.Seen.IsEmpty && !decode.Seen.IsEmpty, "both legs arrived");
        await leave.CancelAsync();
        await decodeClosed.Task.WaitAsync(Patience);
        await RouterHarness.Until(() => harness.CreditsOut == 1, "decode's credit is back and prefill's is not");
        bool prefillRuns = harness.Server.Router.Fleet.Now.Prefill[0].InFlight == 1;
        go.SetResult();

        Assert.True(prefillRuns);
        await RouterHarness.Until(() => harness.CreditsOut == 0, "prefill's credit is back too");
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => asked);
    }

    [Fact]
    public async Task C21_readiness_needs_one_of_each_role()
    {
        await using ScriptedWorker prefill = new(Ok), decode = new(Ok);
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode]);
        Assert.Equal(HttpStatusCode.OK, (await harness.Client.GetAsync("/readiness")).StatusCode);

        harness.Server.Router.Fleet.Now.Decode[0].Status = WorkerStatus.NotReady;
        using HttpResponseMessage answer = await harness.Client.GetAsync("/readiness");
        JsonElement body = Json(await answer.Content.ReadAsStringAsync());

        // The health check brings the worker back by itself; what counts is that the two agree.
        Assert.Equal(body.GetProperty("decode_ready").GetInt32() == 1, answer.IsSuccessStatusCode);
        Assert.Equal(HttpStatusCode.OK, (await harness.Client.GetAsync("/liveness")).StatusCode);
    }

    [Fact]
    public async Task C22_a_removed_worker_finishes_its_stream_first()
    {
        TaskCompletionSource go = new(TaskCreationOptions.RunContinuationsAsynchronously);
        await using ScriptedWorker prefill = new(Ok), decode = new(async e =>
        {
            await e.StartStreamAsync();
            await e.WriteChunkAsync("data: {\"text\":\"one\"}\n\n");
            await go.Task;
            await e.WriteChunkAsync("data: [DONE]\n\n");
            await e.EndStreamAsync();
        });
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode]);
        string id = harness.Server.Router.Fleet.Now.Decode[0].Id;
        using HttpResponseMessage stream = await harness.PostAsync("/generate", """{"text":"a","stream":true}""", streaming: true);

        using HttpResponseMessage removed = await harness.Client.DeleteAsync($"/workers/{id}");
        using HttpResponseMessage meanwhile = await harness.PostAsync("/generate", """{"text":"b"}""");
        string status = Json(await harness.Client.GetStringAsync($"/workers/{id}")).GetProperty("status").GetString()!;
        go.SetResult();
        string text = await stream.Content.ReadAsStringAsync();

        Assert.Equal((HttpStatusCode.Accepted, HttpStatusCode.ServiceUnavailable, "draining"), (removed.StatusCode, meanwhile.StatusCode, status));
        Assert.EndsWith("data: [DONE]\n\n", text, StringComparison.Ordinal);
        await RouterHarness.Until(() => harness.Server.Router.Fleet.Now.Decode.Count == 0, "the drained worker is gone");
    }

    [Fact]
    public async Task C23_a_role_switch_waits_until_the_worker_is_idle_and_a_refusal_puts_it_back()
    {
        int asked = 0;
        await using ScriptedWorker prefill = new(Ok);
        await using ScriptedWorker first = new(e => Interlocked.Increment(ref asked) == 1
            ? e.RespondAsync(400, """{"success":false,"message":"Server is not idle"}""") : e.RespondAsync(200, """{"success":true}"""));
        await using ScriptedWorker second = new(e => e.RespondAsync(400, """{"success":false,"message":"no","safe_to_restore":true}"""));
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [first, second]);

        using HttpResponseMessage switched = await harness.PostAsync("/pd_role_switch", $$"""{"worker_url":"{{first.Url}}","new_role":"prefill","bootstrap_port":{{first.Port}}}""");
        using HttpResponseMessage refused = await harness.PostAsync("/pd_role_switch", $$"""{"worker_url":"{{second.Url}}","new_role":"prefill"}""");

        Assert.Equal((HttpStatusCode.OK, HttpStatusCode.BadGateway), (switched.StatusCode, refused.StatusCode));
        Assert.Equal(2, asked);
        WorkerFleet.Snapshot fleet = harness.Server.Router.Fleet.Now;
        Assert.Contains(fleet.Prefill, w => w.Url == first.Url);
        Assert.Equal(WorkerStatus.Ready, Assert.Single(fleet.Decode).Status);
    }

    [Fact]
    public void C24_an_ipv6_prefill_keeps_its_brackets_in_bootstrap_host()
    {
        Worker worker = new("w1", new WorkerSpec { Url = WorkerSpec.ParseUrl("http://[::1]:30000"), Role = WorkerRole.Prefill });

        Assert.Equal(("[::1]", "http://[::1]:30000"), (worker.BootstrapHost, worker.Url));
    }

    [Fact]
    public async Task C25_ranks_never_appear_in_a_url()
    {
        await using ScriptedWorker prefill = new(Ok, """{"dp_size":2}"""), decode = new(Ok, """{"dp_size":2}""");
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode]);

        for (int i = 0; i < 4; i++) (await harness.PostAsync("/generate", """{"text":"a"}""")).Dispose();
        (await harness.Client.GetAsync("/health_generate")).Dispose();
        (await harness.PostAsync("/flush_cache?timeout=3", "")).Dispose();
        (await harness.Client.GetAsync("/v1/models")).Dispose();
        (await harness.Client.GetAsync("/engine_metrics")).Dispose();

        Assert.All(prefill.Lines.Concat(decode.Lines), line => Assert.DoesNotContain("@", line, StringComparison.Ordinal));
        Assert.All(prefill.Seen.Where(e => e.Method == "POST" && e.Body.Length > 0), e => Assert.DoesNotContain("@", Json(e.Text).GetProperty("bootstrap_host").GetString(), StringComparison.Ordinal));
        Assert.Throws<FormatException>(() => WorkerSpec.ParseUrl("http://host@3:8080"));
    }

    [Fact]
    public async Task C26_a_connection_that_went_stale_is_replaced_without_an_attempt_being_counted()
    {
        await using ScriptedWorker prefill = new(Ok), decode = new(Ok);
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode], Once);
        (await harness.PostAsync("/generate", """{"text":"a"}""")).Dispose();

        for (int i = 0; i < 5; i++)
        {
            // The next leg on each kept connection is met by a close before any answer, as an idle time-out on the worker does.
            prefill.CloseNextUnanswered = decode.CloseNextUnanswered = true;
            using HttpResponseMessage answer = await harness.PostAsync("/generate", """{"text":"a"}""");
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        }
    }

    [Theory]
    [InlineData(VerifyMode.Warn, HttpStatusCode.OK)]
    [InlineData(VerifyMode.Fail, HttpStatusCode.InternalServerError)]
    public async Task C27_an_answer_from_another_rank_is_counted_or_refused(VerifyMode mode, HttpStatusCode expected)
    {
        await using ScriptedWorker prefill = new(Ok), decode = new(e => e.RespondAsync(200, """{"text":"a","meta_info":{"dp_rank": 7}}"""), """{"dp_size":2}""");
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode], Once with { VerifyDpRank = mode });

        using HttpResponseMessage answer = await harness.PostAsync("/generate", """{"text":"a"}""");
        string metrics = await harness.Client.GetStringAsync("/metrics");

        Assert.Equal(expected, answer.StatusCode);
        if (mode == VerifyMode.Fail) Assert.Equal("dp_rank_mismatch", (await ErrorOf(answer)).GetProperty("code").GetString());
        Assert.Contains("baton_dp_rank_mismatch_total 1", metrics, StringComparison.Ordinal);
    }

    [Fact]
    public async Task C28_a_merged_answer_has_its_own_length()
    {
        await using ScriptedWorker prefill = new(e => e.RespondAsync(200, """{"meta_info":{"input_token_logprobs":[[-1,1]]}}"""));
        await using ScriptedWorker decode = new(e => e.RespondAsync(200, """{"meta_info":{"input_token_logprobs":[]}}""", ("X-Worker", "d"), ("Connection", "keep-alive")));
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode]);

        using HttpResponseMessage answer = await harness.PostAsync("/generate", """{"text":"a","return_logprob":true}""");
        byte[] body = await answer.Content.ReadAsByteArrayAsync();

        Assert.Equal("""{"meta_info":{"input_token_logprobs":[[-1,1]]}}""", Encoding.UTF8.GetString(body));
        Assert.Equal(body.Length, answer.Content.Headers.ContentLength);
        Assert.Equal("d", Assert.Single(answer.Headers.GetValues("X-Worker")));
    }

    [Fact]
    public async Task C29_flush_cache_passes_its_timeout_on_to_every_worker()
    {
        await using ScriptedWorker prefill = new(Ok), decode = new(Ok);
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode]);

        (await harness.PostAsync("/flush_cache?timeout=12.5", "")).Dispose();

        Assert.Equal("/flush_cache?timeout=12.5", Assert.Single(prefill.Seen).Target);
        Assert.Equal("/flush_cache?timeout=12.5", Assert.Single(decode.Seen).Target);
    }

    private static async Task HangThen(ScriptedExchange exchange, TaskCompletionSource closed)
    {
        await exchange.HangAsync();
        closed.TrySetResult();
    }
}
