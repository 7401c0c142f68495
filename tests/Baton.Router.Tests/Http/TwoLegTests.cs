using System.Net;
using System.Text.Json;
using Baton.Bench.Conformance;
using Baton.Router.Workers;

namespace Baton.Router.Tests.Http;

public sealed class TwoLegTests
{
    private static Task Ok(ScriptedExchange exchange) => exchange.RespondAsync(200, "{\"text\":\"hello\"}");

    [Fact]
    public async Task Both_legs_carry_the_same_triple_and_their_own_ranks()
    {
        await using ScriptedWorker prefill = new(Ok, """{"dp_size":3}""");
        await using ScriptedWorker decode = new(Ok, """{"dp_size":2}""");
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode]);

        using HttpResponseMessage answer = await harness.PostAsync("/generate", """{"text":"hi","unknown":[1, 2.50],"bootstrap_room":7}""");
        await RouterHarness.Until(() => !prefill.Seen.IsEmpty, "prefill's leg arrived");

        Assert.Equal("{\"text\":\"hello\"}", await answer.Content.ReadAsStringAsync());
        JsonElement p = JsonDocument.Parse(Assert.Single(prefill.Seen).Text).RootElement;
        JsonElement d = JsonDocument.Parse(Assert.Single(decode.Seen).Text).RootElement;
        foreach (string key in new[] { "bootstrap_host", "bootstrap_port", "bootstrap_room" }) Assert.Equal(p.GetProperty(key).GetRawText(), d.GetProperty(key).GetRawText());
        Assert.Equal("127.0.0.1", p.GetProperty("bootstrap_host").GetString());
        int rank = p.GetProperty("routed_dp_rank").GetInt32();
        Assert.Equal(rank, p.GetProperty("bootstrap_room").GetInt64() % 3);
        Assert.Equal(rank, d.GetProperty("disagg_prefill_dp_rank").GetInt32());
        Assert.False(p.TryGetProperty("disagg_prefill_dp_rank", out _));
        Assert.InRange(d.GetProperty("routed_dp_rank").GetInt32(), 0, 1);
        Assert.Contains("\"unknown\":[1, 2.50]", prefill.Seen.First().Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_prefill_failure_ends_the_decode_leg_and_is_the_answer()
    {
        TaskCompletionSource decodeClosed = new(TaskCreationOptions.RunContinuationsAsynchronously);
        TaskCompletionSource decodeCame = new(TaskCreationOptions.RunContinuationsAsynchronously);
        await using ScriptedWorker prefill = new(async e =>
        {
            // Before that the router could end decode's leg while it still waits for a connection, and decode would never hear of it.
            await decodeCame.Task;
            await e.RespondAsync(400, """{"error":{"message":"prompt is bad"}}""");
        });
        await using ScriptedWorker decode = new(async e =>
        {
            decodeCame.SetResult();
            await e.HangAsync();
            decodeClosed.SetResult();
        });
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode]);

        using HttpResponseMessage answer = await harness.PostAsync("/generate", """{"text":"hi"}""");

        Assert.Equal(HttpStatusCode.BadRequest, answer.StatusCode);
        JsonElement error = JsonDocument.Parse(await answer.Content.ReadAsStringAsync()).RootElement.GetProperty("error");
        Assert.Equal("prefill_bad_request", error.GetProperty("code").GetString());
        Assert.Contains("prompt is bad", error.GetProperty("message").GetString(), StringComparison.Ordinal);
        await decodeClosed.Task.WaitAsync(RouterHarness.Patience);
        await RouterHarness.Until(() => harness.CreditsOut == 0, "every credit is back");
    }

    [Fact]
    public async Task A_prompt_counts_as_computed_when_decode_answers_although_prefills_leg_ends_later()
    {
        TaskCompletionSource go = new(TaskCreationOptions.RunContinuationsAsynchronously);
        await using ScriptedWorker prefill = new(async e =>
        {
            await go.Task;
            await Ok(e);
        });
        await using ScriptedWorker decode = new(Ok);
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode]);
        Worker worker = harness.Server.Router.Fleet.Now.Prefill[0];

        using HttpResponseMessage answer = await harness.PostAsync("/generate", """{"input_ids":[1,2,3]}""");
        (int requests, long promptTokens) = (worker.InFlight, worker.Rank(0).PromptTokens);
        go.SetResult();

        Assert.Equal((1, 0), (requests, promptTokens));
        await RouterHarness.Until(() => harness.CreditsOut == 0, "prefill's credit is back too");
        Assert.Equal(0, worker.Rank(0).PromptTokens);
    }

    [Fact]
    public async Task Decode_streams_to_the_client_while_prefill_still_runs()
    {
        TaskCompletionSource clientSaw = new(TaskCreationOptions.RunContinuationsAsynchronously);
        await using ScriptedWorker prefill = new(async e =>
        {
            await clientSaw.Task;
            await e.RespondAsync(200, "{}");
        });
        await using ScriptedWorker decode = new(async e =>
        {
            await e.StartStreamAsync();
            await e.WriteChunkAsync("data: {\"text\":\"one\"}\n\n");
            await clientSaw.Task;
            await e.WriteChunkAsync("data: [DONE]\n\n");
            await e.EndStreamAsync();
        });
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode]);

        using HttpResponseMessage answer = await harness.PostAsync("/generate", """{"text":"hi","stream":true}""", streaming: true);
        using StreamReader reader = new(await answer.Content.ReadAsStreamAsync());
        string? first = await reader.ReadLineAsync().WaitAsync(RouterHarness.Patience);
        clientSaw.SetResult();
        string rest = await reader.ReadToEndAsync();

        Assert.Equal("data: {\"text\":\"one\"}", first);
        Assert.Equal("\ndata: [DONE]\n\n", rest);
        Assert.Equal("text/event-stream", answer.Content.Headers.ContentType?.ToString());
    }

    [Fact]
    public async Task A_unified_worker_gets_the_body_without_pairing_fields()
    {
        await using ScriptedWorker unified = new(Ok);
        await using RouterHarness harness = await RouterHarness.StartAsync([], [], unified: [unified]);

        using HttpResponseMessage answer = await harness.PostAsync("/v1/completions", """{"prompt":"hi","data_parallel_rank":3}""");

        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        Assert.Equal("""{"prompt":"hi"}""", Assert.Single(unified.Seen).Text);
    }
}
