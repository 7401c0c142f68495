using System.Net;
using System.Text.Json;
using Baton.Bench.Conformance;
using Baton.Router.Trouble;

namespace Baton.Router.Tests.Http;

/// <summary>Streams that end otherwise than they should.</summary>
public sealed class StreamEndTests
{
    private static Task Ok(ScriptedExchange exchange) => exchange.RespondAsync(200, """{"text":"hello","meta_info":{"input_token_logprobs":[]}}""");

    private static async Task StreamAsync(ScriptedExchange exchange, params string[] events)
    {
        await exchange.StartStreamAsync();
        foreach (string one in events) await exchange.WriteChunkAsync($"data: {one}\n\n");
        await exchange.EndStreamAsync();
    }

    [Fact]
    public async Task A_stream_without_its_terminal_event_ends_as_it_came_and_counts_against_decode()
    {
        await using ScriptedWorker prefill = new(Ok), decode = new(e => StreamAsync(e, """{"text":"one"}"""));
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode], new RouterOptions { Breaker = new BreakerOptions { FailureThreshold = 1 } });

        using HttpResponseMessage answer = await harness.PostAsync("/generate", """{"text":"a","stream":true}""");

        Assert.Equal("data: {\"text\":\"one\"}\n\n", await answer.Content.ReadAsStringAsync());
        await RouterHarness.Until(() => harness.CreditsOut == 0, "every credit is back");
        Assert.Equal(BreakerState.Open, harness.Server.Router.Fleet.Now.Decode[0].Ranks[0].Breaker.State);
        Assert.Equal(BreakerState.Closed, harness.Server.Router.Fleet.Now.Prefill[0].Ranks[0].Breaker.State);
        Assert.Contains("stream_truncated", await harness.Client.GetStringAsync("/routes/recent"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_stream_that_ends_before_its_first_byte_is_tried_again()
    {
        int calls = 0;
        await using ScriptedWorker prefill = new(Ok), decode = new(e => Interlocked.Increment(ref calls) == 1 ? StreamAsync(e) : StreamAsync(e, "1", "[DONE]"));
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode], new RouterOptions { Retry = new RetryOptions { InitialBackoff = TimeSpan.FromMilliseconds(1) } });

        using HttpResponseMessage answer = await harness.PostAsync("/generate", """{"text":"a","stream":true}""");

        Assert.Equal("data: 1\n\ndata: [DONE]\n\n", await answer.Content.ReadAsStringAsync());
    }

    [Fact]
    public async Task A_sample_that_is_cut_short_does_not_pass_for_a_whole_answer()
    {
        int calls = 0;
        await using ScriptedWorker prefill = new(Ok), decode = new(e => Interlocked.Increment(ref calls) == 1
            ? StreamAsync(e, """{"choices":[{"index":0,"text":"one"}]}""") : StreamAsync(e, """{"choices":[{"index":0,"text":"one"}]}""", "[DONE]"));
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode]);

        using HttpResponseMessage answer = await harness.PostAsync("/v1/completions", """{"prompt":"a","stream":true,"n":2}""");

        Assert.Contains("stream_truncated", await answer.Content.ReadAsStringAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_sample_that_fails_while_another_waits_for_a_slow_client_ends_the_answer_with_its_error()
    {
        const int FloodEvents = 4000;
        string flood = $$"""{"choices":[{"index":0,"text":"{{new string('x', 32_000)}}"}]}""";
        int calls = 0, written = 0;
        TaskCompletionSource reset = new(TaskCreationOptions.RunContinuationsAsynchronously), begun = new(TaskCreationOptions.RunContinuationsAsynchronously);
        await using ScriptedWorker prefill = new(Ok), decode = new(async e =>
        {
            await e.StartStreamAsync();
            if (Interlocked.Increment(ref calls) == 1)
            {
                // Not before the other sample's event is out: it would have to wait behind the flood, and nobody would read on in its leg.
                await begun.Task;
                // Far more than the buffers of all sockets on the way hold.
                for (int i = 0; i < FloodEvents; i++, Interlocked.Increment(ref written)) await e.WriteChunkAsync($"data: {flood}\n\n");
                return;
            }
            await e.WriteChunkAsync($"data: {flood}\n\n");
            int before = -1;
            while (before != Volatile.Read(ref written) || before == 0)
            {
                before = Volatile.Read(ref written);
                await Task.Delay(300);
            }
            e.Reset();
            reset.SetResult();
        });
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode]);

        using HttpRequestMessage request = new(HttpMethod.Post, "/v1/completions") { Content = new StringContent("""{"prompt":"a","stream":true,"n":2}""") };
        using HttpResponseMessage answer = await harness.Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        using StreamReader events = new(await answer.Content.ReadAsStreamAsync());
        string first = await events.ReadLineAsync() ?? "";
        begun.SetResult();
        await reset.Task.WaitAsync(RouterHarness.Patience);
        await RouterHarness.Until(() => harness.Server.Router.Fleet.Now.Decode[0].InFlight < 2, "a sample has failed");
        string text = await events.ReadToEndAsync();

        Assert.StartsWith("data: ", first, StringComparison.Ordinal);
        Assert.InRange(written, 1, FloodEvents - 1);
        Assert.Contains("\"leg\":\"decode\"", text, StringComparison.Ordinal);
        Assert.EndsWith("data: [DONE]\n\n", text, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_prefill_that_fails_while_decodes_answer_waits_to_be_merged_is_the_answer(bool stream)
    {
        TaskCompletionSource answered = new(TaskCreationOptions.RunContinuationsAsynchronously);
        await using ScriptedWorker prefill = new(async e =>
        {
            await answered.Task;
            await e.RespondAsync(422, """{"error":{"message":"no"}}""");
        });
        await using ScriptedWorker decode = new(async e =>
        {
            if (stream) await StreamAsync(e, """{"meta_info":{"input_token_logprobs":[]}}""", "[DONE]");
            else await Ok(e);
            answered.SetResult();
        });
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode]);

        using HttpResponseMessage answer = await harness.PostAsync("/generate", $$"""{"text":"a","return_logprob":true,"stream":{{(stream ? "true" : "false")}}}""");

        Assert.Equal(HttpStatusCode.UnprocessableEntity, answer.StatusCode);
        Assert.Equal("prefill_error", JsonDocument.Parse(await answer.Content.ReadAsStringAsync()).RootElement.GetProperty("error").GetProperty("code").GetString());
    }

    [Fact]
    public async Task An_echoed_prompt_gets_its_log_probabilities_from_prefill()
    {
        await using ScriptedWorker prefill = new(e => e.RespondAsync(200, """{"choices":[{"index":0,"logprobs":{"tokens":["a","b"],"token_logprobs":[null,-2]}}]}"""));
        await using ScriptedWorker decode = new(e => e.RespondAsync(200, """{"choices":[{"index":0,"logprobs":{"tokens":["b","c"],"token_logprobs":[-2,-3]}}]}"""));
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode]);

        using HttpResponseMessage answer = await harness.PostAsync("/v1/completions", """{"prompt":"a","echo":true,"logprobs":1}""");

        Assert.Equal("""{"choices":[{"index":0,"logprobs":{"tokens":["a","b","c"],"token_logprobs":[null,-2,-3]}}]}""", await answer.Content.ReadAsStringAsync());
    }
}
