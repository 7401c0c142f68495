using System.Text;
using System.Text.Json;
using Baton.Router.Bodies;
using Baton.Router.Trouble;

namespace Baton.Router.Tests.Forwarding;

/// <summary><c>--stream-continuation</c>: decode dies after its first byte.</summary>
public sealed class StreamContinuationTests
{
    private static readonly RouterOptions On = new() { StreamContinuation = true, Retry = new RetryOptions { InitialBackoff = TimeSpan.FromMilliseconds(1) } };

    /// <summary>Sends a body to decode workers that answer in turn.</summary>
    private static async Task<(string Text, string[] Legs)> RunAsync(string json, DataEndpoint endpoint, RouterOptions options, params FakeResponse[] answers)
    {
        int next = 0;
        using ForwarderHarness harness = new(options, _ => answers[Math.Min(Interlocked.Increment(ref next), answers.Length) - 1], decodes: 2);
        await harness.FinishAsync(harness.ForwardAsync(json, endpoint), within: TimeSpan.FromSeconds(1));
        Assert.Equal(0, harness.CreditsOut);
        string[] workers = [.. harness.Transport.DecodeLegs.Select(l => l.Worker)];
        if (workers.Length == 2) Assert.NotEqual(workers[0], workers[1]);
        return (harness.Reply.Text, [.. harness.Transport.DecodeLegs.Select(l => l.Body)]);
    }

    private static JsonElement[] Events(string text) =>
        [.. text.Split("\n\n", StringSplitOptions.RemoveEmptyEntries).Where(e => e != "data: [DONE]").Select(e => JsonDocument.Parse(e["data: ".Length..]).RootElement)];

    private static string Delta(string id, string text, string more = "") => $$"""{"id":"{{id}}","created":{{id.Length}},"choices":[{"index":0,"text":"{{text}}"{{more}}}]}""";

    private static string Native(string id, string text, string ids, int prompt, int tokens, string finish = "null") =>
        $$"""{"text":"{{text}}","output_ids":[{{ids}}],"meta_info":{"id":"{{id}}","finish_reason":{{finish}},"prompt_tokens":{{prompt}},"completion_tokens":{{tokens}}""" + "}}";

    [Fact]
    public async Task A_completion_goes_on_with_the_prompt_and_what_was_said()
    {
        (string text, string[] legs) = await RunAsync("""{"prompt":"Once \"upon","max_tokens":10,"min_tokens":4,"stream":true,"n":1,"stream_options":{"include_usage":true}}""", DataEndpoint.Completions, On,
            new FakeResponse().Events(Delta("aa", " a"), Delta("aa", " \\u00e9t\\\"")).Say("data: {\"id\":\"aa\",\"choices\":[{\"ind").Break(),
            new FakeResponse().Events(Delta("bbb", " x"), Delta("bbb", "", ",\"finish_reason\":\"stop\""), """{"id":"bbb","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}}""", "[DONE]").End());

        JsonElement[] events = Events(text);
        Assert.Equal(" a \u00e9t\" x", string.Concat(events.Where(e => e.GetProperty("choices").GetArrayLength() > 0).Select(e => e.GetProperty("choices")[0].GetProperty("text").GetString())));
        Assert.All(events, e => Assert.Equal("aa", e.GetProperty("id").GetString()));
        Assert.Equal([2, 2, 2, 2], events[..4].Select(e => e.GetProperty("created").GetInt32()));
        Assert.Equal("""{"prompt_tokens":7,"completion_tokens":5,"total_tokens":12}""", events[^1].GetProperty("usage").GetRawText());
        Assert.EndsWith("data: [DONE]\n\n", text, StringComparison.Ordinal);
        Assert.Equal(2, text.Split("[DONE]").Length);
        JsonElement second = JsonDocument.Parse(legs[1]).RootElement;
        Assert.Equal("Once \"upon a \u00e9t\"", second.GetProperty("prompt").GetString());
        Assert.Equal((8, 2), (second.GetProperty("max_tokens").GetInt32(), second.GetProperty("min_tokens").GetInt32()));
        Assert.NotEqual(JsonDocument.Parse(legs[0]).RootElement.GetProperty("bootstrap_room").GetInt64(), second.GetProperty("bootstrap_room").GetInt64());
    }

    [Fact]
    public async Task A_native_stream_keeps_its_text_so_far_its_ids_and_its_counts()
    {
        (string text, string[] legs) = await RunAsync("""{"text":"p","sampling_params":{"max_new_tokens":8},"stream":true}""", DataEndpoint.Generate, On,
            new FakeResponse().Events(Native("r1", "a", "5", 3, 1), Native("r1", "ab", "5,6", 3, 2)).Break(),
            new FakeResponse().Events(Native("r2", "c", "7", 5, 1), Native("r2", "cd", "7,8", 5, 2, """{"type":"length","length":2}"""), "[DONE]").End());

        Assert.Equal(
            [Native("r1", "a", "5", 3, 1), Native("r1", "ab", "5,6", 3, 2), Native("r1", "abc", "5,6,7", 3, 3), Native("r1", "abcd", "5,6,7,8", 3, 4, """{"type":"length","length":4}""")],
            Events(text).Select(e => e.GetRawText()));
        JsonElement second = JsonDocument.Parse(legs[1]).RootElement;
        Assert.Equal(("pab", 6), (second.GetProperty("text").GetString(), second.GetProperty("sampling_params").GetProperty("max_new_tokens").GetInt32()));
    }

    [Fact]
    public async Task A_native_stream_of_increments_stays_one()
    {
        (string text, string[] legs) = await RunAsync("""{"text":"p","sampling_params":{"max_new_tokens":8},"stream":true}""", DataEndpoint.Generate, On,
            new FakeResponse().Events(Native("r1", "a", "5", 3, 1), Native("r1", "a", "5", 3, 2)).Break(),
            new FakeResponse().Events(Native("r2", "c", "7", 5, 1), "[DONE]").End());

        Assert.Equal([Native("r1", "a", "5", 3, 1), Native("r1", "a", "5", 3, 2), Native("r1", "c", "7", 3, 3)], Events(text).Select(e => e.GetRawText()));
        Assert.Equal("paa", JsonDocument.Parse(legs[1]).RootElement.GetProperty("text").GetString());
    }

    [Theory]
    [InlineData("""{"stream_output":true}""", "c")]
    [InlineData("""{"incremental_streaming_output":true}""", "c")]
    [InlineData("""{"stream_output":false}""", "ac")]
    public async Task After_a_single_event_the_workers_own_word_tells_increments_from_texts_so_far(string info, string second)
    {
        Queue<FakeResponse> answers = new([new FakeResponse().Events(Native("r1", "a", "5", 3, 1)).Break(), new FakeResponse().Events(Native("r2", "c", "7", 4, 1), "[DONE]").End()]);
        using ForwarderHarness harness = new(On, _ => answers.Dequeue(), decodes: 2, info);

        await harness.FinishAsync(harness.ForwardAsync("""{"text":"p","stream":true}"""), within: TimeSpan.FromSeconds(1));

        Assert.Equal(["a", second], Events(harness.Reply.Text).Select(e => e.GetProperty("text").GetString()));
    }

    [Fact]
    public async Task The_worker_that_died_is_not_asked_for_the_rest_although_the_policy_would_take_it()
    {
        Queue<FakeResponse> answers = new([new FakeResponse().Events(Delta("a", "1")).Break(), new FakeResponse().Events(Delta("b", "2"), "[DONE]").End()]);
        using ForwarderHarness harness = new(On with { Policy = "consistent_hash" }, _ => answers.Dequeue(), decodes: 2);

        await harness.FinishAsync(harness.ForwardAsync("""{"prompt":"p","stream":true}""", DataEndpoint.Completions, key: "k"), within: TimeSpan.FromSeconds(1));

        Assert.Equal(2, harness.Transport.DecodeLegs.Select(l => l.Worker).Distinct().Count());
    }

    [Theory]
    [InlineData(1, 2)]
    [InlineData(5, 1)]
    public async Task An_answer_too_long_to_remember_ends_where_its_worker_does(int megabytes, int legs)
    {
        string[] said = [.. Enumerable.Repeat(Delta("a", new string('x', 1 << 20)), megabytes)];

        (string text, string[] sent) = await RunAsync("""{"prompt":"p","stream":true}""", DataEndpoint.Completions, On,
            new FakeResponse().Events(said).Break(), new FakeResponse().Events(Delta("b", "2"), "[DONE]").End());

        Assert.Equal(legs, sent.Length);
        Assert.EndsWith("data: [DONE]\n\n", text, StringComparison.Ordinal);
        Assert.Equal(legs == 1, text.Contains("\"error\"", StringComparison.Ordinal));
    }

    [Fact]
    public async Task It_goes_on_more_than_once_and_also_where_a_stream_just_ended()
    {
        (string text, string[] legs) = await RunAsync("""{"prompt":"p","stream":true}""", DataEndpoint.Completions, On,
            new FakeResponse().Events(Delta("a", "1")).Break(), new FakeResponse().Events(Delta("b", "2")).End(), new FakeResponse(503).Say("{}").End(), new FakeResponse().Events(Delta("c", "3"), "[DONE]").End());

        Assert.Equal("123", string.Concat(Events(text).Select(e => e.GetProperty("choices")[0].GetProperty("text").GetString())));
        Assert.Equal(["p", "p1", "p12", "p12"], legs.Select(l => JsonDocument.Parse(l).RootElement.GetProperty("prompt").GetString()));
        // The worker's default of 16 is what the client asked for by saying nothing.
        Assert.Equal([null, 15, 14, 14], legs.Select(l => JsonDocument.Parse(l).RootElement.TryGetProperty("max_tokens", out JsonElement most) ? most.GetInt32() : (int?)null));
    }

    [Fact]
    public async Task When_nobody_can_go_on_the_stream_ends_with_one_error()
    {
        (string text, _) = await RunAsync("""{"prompt":"p","stream":true}""", DataEndpoint.Completions, On,
            new FakeResponse().Events(Delta("a", "1")).Break(), new FakeResponse(400).Say("""{"error":{"message":"prompt too long"}}""").End());

        Assert.StartsWith("data: {\"id\":\"a\"", text, StringComparison.Ordinal);
        Assert.Contains("decode_transport", text, StringComparison.Ordinal);
        Assert.Contains("It could not be continued: ", text, StringComparison.Ordinal);
        Assert.Contains("prompt too long", text, StringComparison.Ordinal);
        Assert.Equal(2, text.Split("\"error\"").Length);
        Assert.EndsWith("}\n\ndata: [DONE]\n\n", text, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{"prompt":"p","stream":true,"max_tokens":1}""", DataEndpoint.Completions)]
    [InlineData("""{"prompt":"p","stream":true,"tools":[1]}""", DataEndpoint.Completions)]
    [InlineData("""{"prompt":"p","stream":true,"response_format":{"type":"json_object"}}""", DataEndpoint.Completions)]
    [InlineData("""{"prompt":"p","stream":true,"logprobs":1}""", DataEndpoint.Completions)]
    [InlineData("""{"prompt":"p","stream":true,"echo":true}""", DataEndpoint.Completions)]
    [InlineData("""{"prompt":[1,2],"stream":true}""", DataEndpoint.Completions)]
    [InlineData("""{"text":"p","stream":true,"sampling_params":{"regex":"a"}}""", DataEndpoint.Generate)]
    [InlineData("""{"text":"p","stream":true,"image_data":"u"}""", DataEndpoint.Generate)]
    [InlineData("""{"messages":[{"role":"user","content":"p"}],"stream":true}""", DataEndpoint.Chat)]
    public async Task What_cannot_be_continued_is_cut_as_without_the_option(string body, DataEndpoint endpoint)
    {
        FakeResponse[] Dying() => [new FakeResponse().Events(Delta("a", "1")).Break(), new FakeResponse().Events("[DONE]").End()];
        (string plain, _) = await RunAsync(body, endpoint, On with { StreamContinuation = false }, Dying());

        (string text, string[] legs) = await RunAsync(body, endpoint, On, Dying());

        Assert.Single(legs);
        Assert.Equal(plain.Split("\"room\"")[0], text.Split("\"room\"")[0]);
        Assert.EndsWith("}\n\ndata: [DONE]\n\n", text, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{"prompt":"p","stream":true,"echo":false,"logprobs":null,"tools":null}""", DataEndpoint.Completions, """{"max_tokens":13,"prompt":"psaid","stream":true,"echo":false,"logprobs":null,"tools":null}""")]
    [InlineData("""{"text":"p","stream":true}""", DataEndpoint.Generate, """{"sampling_params":{"max_new_tokens":125},"text":"psaid","stream":true}""")]
    [InlineData("""{"text":"p","stream":true,"sampling_params":null}""", DataEndpoint.Generate, """{"text":"psaid","stream":true,"sampling_params":{"max_new_tokens":125}}""")]
    [InlineData("""{"sampling_params": {},"text":"p","stream":true}""", DataEndpoint.Generate, """{"sampling_params": {"max_new_tokens":125},"text":"psaid","stream":true}""")]
    [InlineData("""{"sampling_params": {"n":1,"min_new_tokens":2},"text":"p","stream":true}""", DataEndpoint.Generate, """{"sampling_params": {"max_new_tokens":125,"n":1,"min_new_tokens":0},"text":"psaid","stream":true}""")]
    public void The_rest_is_asked_for_by_the_same_body(string body, DataEndpoint endpoint, string rest)
    {
        ContinuableBody? continuable = ContinuableBody.Of(ClientBodyReader.Read(Encoding.UTF8.GetBytes(body), endpoint));

        Assert.Equal(rest, Encoding.UTF8.GetString(continuable!.Rest("said"u8, 3)!.Utf8.Span));
    }

    [Fact]
    public async Task A_client_that_leaves_ends_a_stream_that_could_go_on()
    {
        using CancellationTokenSource gone = new();
        FakeResponse decode = new();
        using ForwarderHarness harness = new(On, _ => decode);
        Task forwarded = harness.ForwardAsync("""{"prompt":"p","stream":true}""", DataEndpoint.Completions, clientGone: gone.Token);
        decode.Events(Delta("a", "1"));
        await Http.RouterHarness.Until(() => harness.Reply.Text.Length > 0, "the first event went out");

        await gone.CancelAsync();
        await forwarded.WaitAsync(TimeSpan.FromSeconds(30));

        Assert.Single(harness.Transport.DecodeLegs);
        Assert.Equal(0, harness.CreditsOut);
    }
}
