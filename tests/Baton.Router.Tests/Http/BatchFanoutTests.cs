using System.Net;
using System.Text.Json;
using Baton.Bench.Conformance;
using Baton.Router.Tests.Forwarding;
using Baton.Router.Trouble;

namespace Baton.Router.Tests.Http;

/// <summary><c>--batch-fanout</c>: a batch as requests of one prompt.</summary>
public sealed class BatchFanoutTests
{
    private static readonly RouterOptions Four = new() { BatchFanout = 4, Retry = new RetryOptions { InitialBackoff = TimeSpan.FromMilliseconds(1) } };

    private static Task Ok(ScriptedExchange exchange) => exchange.RespondAsync(200, "{}");

    private static JsonElement Json(ScriptedExchange exchange) => JsonDocument.Parse(exchange.Text).RootElement;

    /// <summary>Says the prompt back, as each endpoint would.</summary>
    private static async Task EchoAsync(ScriptedExchange exchange)
    {
        JsonElement body = Json(exchange);
        bool native = exchange.Target == "/generate";
        string text = body.GetProperty(native ? "text" : "prompt").GetString()!;
        int samples = native && body.TryGetProperty("sampling_params", out JsonElement p) && p.TryGetProperty("n", out JsonElement n) ? n.GetInt32() : 1;
        Assert.Equal(1, samples);
        if (!body.TryGetProperty("stream", out JsonElement stream) || !stream.GetBoolean())
        {
            await exchange.RespondAsync(200, native ? $$$"""{"text":"{{{text}}}!","meta_info":{"id":"x"} }"""
                : $$$"""{"id":"c-{{{text}}}","choices":[{"index":0,"text":"{{{text}}}!"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5,"prompt_tokens_details":{"cached_tokens":1} } }""");
            return;
        }
        await exchange.StartStreamAsync();
        foreach (string part in new[] { "!", "?" })
            await exchange.WriteChunkAsync(native ? $$"""data: {"text":"{{text}}{{part}}"}""" + "\n\n" : $$"""data: {"id":"c-{{text}}","choices":[{"index":0,"text":"{{text}}{{part}}"}]}""" + "\n\n");
        if (!native) await exchange.WriteChunkAsync("data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5}}\n\n");
        await exchange.WriteChunkAsync("data: [DONE]\n\n");
        await exchange.EndStreamAsync();
    }

    private static JsonElement[] Events(string text) =>
        [.. text.Split("\n\n", StringSplitOptions.RemoveEmptyEntries).Where(e => e != "data: [DONE]").Select(e => JsonDocument.Parse(e["data: ".Length..]).RootElement)];

    [Fact]
    public async Task A_native_batch_spreads_over_the_pool_and_comes_back_as_one_array_in_order()
    {
        await using ScriptedWorker p1 = new(Ok), p2 = new(Ok), d1 = new(EchoAsync), d2 = new(EchoAsync);
        await using RouterHarness harness = await RouterHarness.StartAsync([p1, p2], [d1, d2], Four);

        using HttpResponseMessage answer = await harness.PostAsync("/generate", """{"text":["a","b","c","d","e","f"],"bootstrap_room":[1,2,3,4,5,6]}""");
        await RouterHarness.Until(() => p1.Seen.Count + p2.Seen.Count == 6, "every prefill leg arrived");

        Assert.Equal("""["a!","b!","c!","d!","e!","f!"]""", JsonSerializer.Serialize(JsonDocument.Parse(await answer.Content.ReadAsStringAsync()).RootElement.EnumerateArray().Select(e => e.GetProperty("text").GetString())));
        JsonElement[] legs = [.. d1.Seen.Concat(d2.Seen).Select(Json)];
        Assert.Equal(6, legs.Select(l => l.GetProperty("bootstrap_room").GetInt64()).Distinct().Count());
        Assert.All([p1, p2, d1, d2], w => Assert.NotEmpty(w.Seen));
        await RouterHarness.Until(() => harness.CreditsOut == 0, "every credit is back");
    }

    [Fact]
    public async Task Completions_keep_their_order_and_the_tokens_of_all_prompts_are_added_up()
    {
        await using ScriptedWorker prefill = new(Ok), decode = new(EchoAsync);
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode], Four);

        using HttpResponseMessage answer = await harness.PostAsync("/v1/completions", """{"prompt":["a","b","c"],"n":2}""");

        JsonElement whole = JsonDocument.Parse(await answer.Content.ReadAsStringAsync()).RootElement;
        Assert.Equal("0a! 1a! 2b! 3b! 4c! 5c!", string.Join(' ', whole.GetProperty("choices").EnumerateArray().Select(c => $"{c.GetProperty("index")}{c.GetProperty("text")}")));
        // A prompt of two samples counts once.
        Assert.Equal("""{"prompt_tokens":9,"completion_tokens":12,"total_tokens":21,"prompt_tokens_details":{"cached_tokens":3} }""", whole.GetProperty("usage").GetRawText());
    }

    [Theory]
    [InlineData("/generate", """{"text":["a","b","c"],"stream":true}""")]
    [InlineData("/v1/completions", """{"prompt":["a","b","c"],"stream":true,"stream_options":{"include_usage":true}}""")]
    public async Task A_streamed_batch_is_one_stream_whose_events_name_their_prompts(string path, string body)
    {
        await using ScriptedWorker prefill = new(Ok), decode = new(EchoAsync);
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode], Four);

        using HttpResponseMessage answer = await harness.PostAsync(path, body);
        string text = await answer.Content.ReadAsStringAsync();

        JsonElement[] events = Events(text);
        bool native = path == "/generate";
        IEnumerable<string> pieces = events.Where(e => native || e.GetProperty("choices").GetArrayLength() > 0)
            .Select(e => native ? e : e.GetProperty("choices")[0]).Select(e => $"{e.GetProperty("index")}{e.GetProperty("text")}");
        Assert.Equal(["0a!", "0a?", "1b!", "1b?", "2c!", "2c?"], pieces.Order(StringComparer.Ordinal));
        Assert.EndsWith("data: [DONE]\n\n", text, StringComparison.Ordinal);
        Assert.Equal(2, text.Split("[DONE]").Length);
        if (!native) Assert.Equal((9, 6, 15), (Usage("prompt_tokens"), Usage("completion_tokens"), Usage("total_tokens")));
        int Usage(string name) => events[^1].GetProperty("usage").GetProperty(name).GetInt32();
    }

    [Fact]
    public async Task No_more_prompts_run_at_once_than_was_asked_for()
    {
        Queue<FakeResponse> open = new();
        using ForwarderHarness harness = new(Four with { BatchFanout = 2 }, _ =>
        {
            open.Enqueue(new FakeResponse());
            return open.Last();
        });
        Task forwarded = harness.ForwardAsync("""{"text":["a","b","c","d","e"]}""");
        List<int> running = [];

        for (int ended = 0; ended < 5; ended++)
        {
            // Legs are sent while the call that leads to them runs: nothing is waited for in between.
            await RouterHarness.Until(() => harness.Transport.DecodeLegs.Count >= Math.Min(5, ended + 2), "the next prompt was sent");
            running.Add(harness.Transport.DecodeLegs.Count - ended);
            open.Dequeue().Say("{}").End();
        }
        await forwarded.WaitAsync(TimeSpan.FromSeconds(30));

        Assert.Equal([2, 2, 2, 2, 1], running);
        Assert.Equal("[{},{},{},{},{}]", harness.Reply.Text);
    }

    [Fact]
    public async Task A_prompt_whose_decode_fails_is_tried_again_alone()
    {
        int failed = 0;
        await using ScriptedWorker prefill = new(Ok), decode = new(e => e.Text.Contains("\"b\"", StringComparison.Ordinal) && Interlocked.Increment(ref failed) == 1 ? e.RespondAsync(503, "{}") : EchoAsync(e));
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode], Four);

        using HttpResponseMessage answer = await harness.PostAsync("/generate", """{"text":["a","b","c"]}""");

        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        Assert.Equal(4, decode.Seen.Count);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_prompt_that_fails_for_good_fails_the_batch_and_is_named(bool stream)
    {
        await using ScriptedWorker prefill = new(Ok), decode = new(e => e.Text.Contains("\"b\"", StringComparison.Ordinal) ? e.RespondAsync(400, """{"error":{"message":"too odd"}}""") : e.HangAsync());
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode], Four);

        using HttpResponseMessage answer = await harness.PostAsync("/generate", $$"""{"text":["a","b","c"],"stream":{{(stream ? "true" : "false")}}}""");

        Assert.Equal(HttpStatusCode.BadRequest, answer.StatusCode);
        JsonElement error = JsonDocument.Parse(await answer.Content.ReadAsStringAsync()).RootElement.GetProperty("error");
        Assert.StartsWith("Prompt 2 of 3: ", error.GetProperty("message").GetString(), StringComparison.Ordinal);
        await RouterHarness.Until(() => harness.CreditsOut == 0, "the other prompts ended too");
    }

    [Fact]
    public async Task A_workers_own_error_event_is_not_lost_between_the_parts()
    {
        await using ScriptedWorker prefill = new(Ok), decode = new(async e =>
        {
            await e.StartStreamAsync();
            await e.WriteChunkAsync("data: {\"text\":\"x\"}\n\n");
            if (e.Text.Contains("\"b\"", StringComparison.Ordinal)) await e.WriteChunkAsync("data: {\"error\":{\"message\":\"rank lost\",\"code\":\"link_lost\"}}\n\n");
            await e.WriteChunkAsync("data: [DONE]\n\n");
            await e.EndStreamAsync();
        });
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode], Four);

        using HttpResponseMessage answer = await harness.PostAsync("/generate", """{"text":["a","b"],"stream":true}""");

        string text = await answer.Content.ReadAsStringAsync();
        Assert.Contains("Prompt 2 of 2: the decode worker ended its stream with an error: rank lost", text, StringComparison.Ordinal);
        Assert.EndsWith("data: [DONE]\n\n", text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_list_of_another_length_than_the_batch_is_a_400()
    {
        await using ScriptedWorker prefill = new(Ok), decode = new(EchoAsync);
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode], Four);

        using HttpResponseMessage answer = await harness.PostAsync("/generate", """{"text":["a","b"],"rid":["x"]}""");

        Assert.Equal(HttpStatusCode.BadRequest, answer.StatusCode);
        Assert.Contains("rid has 1 elements for 2 prompts", await answer.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        Assert.Empty(decode.Seen);
    }
}
