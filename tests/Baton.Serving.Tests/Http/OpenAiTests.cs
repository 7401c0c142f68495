using System.Text.Json.Nodes;

namespace Baton.Serving.Tests.Http;

public sealed class OpenAiTests : IAsyncLifetime
{
    private const string Chat = """{"messages":[{"role":"user","content":"hi"}],"max_tokens":5,"seed":3}""";

    private TestWorker _worker = null!;

    public async ValueTask InitializeAsync() => _worker = await TestWorker.StartAsync();

    public ValueTask DisposeAsync() => _worker.DisposeAsync();

    private static string With(string body, string more) => body[..^1] + "," + more + "}";

    [Fact]
    public async Task A_chat_answer_has_OpenAIs_shape()
    {
        JsonNode answer = (await _worker.PostAsync("/v1/chat/completions", With(Chat, "\"model\":\"mine\""))).Json;

        Assert.Equal("chat.completion", (string)answer["object"]!);
        Assert.StartsWith("chatcmpl-", (string)answer["id"]!, StringComparison.Ordinal);
        Assert.Equal("mine", (string)answer["model"]!);
        JsonNode choice = Assert.Single(answer["choices"]!.AsArray())!;
        Assert.Equal("assistant", (string)choice["message"]!["role"]!);
        Assert.Equal("length", (string)choice["finish_reason"]!);
        Assert.Equal(5, (int)answer["usage"]!["completion_tokens"]!);
        Assert.Equal((int)answer["usage"]!["prompt_tokens"]! + 5, (int)answer["usage"]!["total_tokens"]!);
    }

    [Fact]
    public async Task A_streamed_chat_adds_up_to_the_whole_one()
    {
        JsonNode whole = (await _worker.PostAsync("/v1/chat/completions", Chat)).Json;

        IReadOnlyList<JsonNode> events = (await _worker.PostAsync("/v1/chat/completions", With(Chat, "\"stream\":true,\"stream_options\":{\"include_usage\":true}"))).Events;

        Assert.All(events, one => Assert.Equal("chat.completion.chunk", (string)one["object"]!));
        Assert.Equal("assistant", (string)events[0]["choices"]![0]!["delta"]!["role"]!);
        string text = string.Concat(events.SelectMany(one => one["choices"]!.AsArray()).Select(choice => (string?)choice!["delta"]!["content"]));
        Assert.Equal((string)whole["choices"]![0]!["message"]!["content"]!, text);
        Assert.Equal("length", (string)events[^2]["choices"]![0]!["finish_reason"]!);
        Assert.Empty(events[^1]["choices"]!.AsArray());
        Assert.Equal(5, (int)events[^1]["usage"]!["completion_tokens"]!);
    }

    [Fact]
    public async Task N_choices_have_their_indexes_streamed_and_whole()
    {
        JsonNode whole = (await _worker.PostAsync("/v1/chat/completions", With(Chat, "\"n\":3"))).Json;
        IReadOnlyList<JsonNode> events = (await _worker.PostAsync("/v1/chat/completions", With(Chat, "\"n\":3,\"stream\":true"))).Events;

        Assert.Equal([0, 1, 2], whole["choices"]!.AsArray().Select(choice => (int)choice!["index"]!));
        for (int index = 0; index < 3; index++)
        {
            string text = string.Concat(events.Select(one => one["choices"]![0]!).Where(choice => (int)choice["index"]! == index).Select(choice => (string?)choice["delta"]!["content"]));
            Assert.Equal((string)whole["choices"]![index]!["message"]!["content"]!, text);
        }
        Assert.Equal(15, (int)whole["usage"]!["completion_tokens"]!);
    }

    [Fact]
    public async Task Chat_logprobs_come_with_bytes_and_alternatives()
    {
        JsonNode answer = (await _worker.PostAsync("/v1/chat/completions", With(Chat, "\"logprobs\":true,\"top_logprobs\":2"))).Json;

        JsonArray content = answer["choices"]![0]!["logprobs"]!["content"]!.AsArray();
        Assert.Equal(5, content.Count);
        Assert.All(content, token => Assert.NotNull(token!["bytes"]));
        Assert.All(content, token => Assert.True((double)token!["logprob"]! <= 0));
    }

    [Fact]
    public async Task A_completion_echoes_its_prompt_and_has_its_own_shape()
    {
        JsonNode answer = (await _worker.PostAsync("/v1/completions", """{"prompt":["ab","c"],"max_tokens":2,"echo":true,"logprobs":1}""")).Json;

        Assert.Equal("text_completion", (string)answer["object"]!);
        JsonArray choices = answer["choices"]!.AsArray();
        Assert.Equal(2, choices.Count);
        Assert.StartsWith("ab", (string)choices[0]!["text"]!, StringComparison.Ordinal);
        Assert.StartsWith("c", (string)choices[1]!["text"]!, StringComparison.Ordinal);
        Assert.Equal(2, choices[0]!["logprobs"]!["tokens"]!.AsArray().Count);
        Assert.Equal(2, (int)choices[0]!["logprobs"]!["text_offset"]![0]!);
        Assert.Equal(3, (int)answer["usage"]!["prompt_tokens"]!);
    }

    [Fact]
    public async Task A_streamed_completion_adds_up_to_the_whole_one()
    {
        const string Body = """{"prompt":"ab","max_tokens":4,"seed":1}""";
        string whole = (string)(await _worker.PostAsync("/v1/completions", Body)).Json["choices"]![0]!["text"]!;

        IReadOnlyList<JsonNode> events = (await _worker.PostAsync("/v1/completions", With(Body, "\"stream\":true"))).Events;

        Assert.Equal(whole, string.Concat(events.Select(one => (string)one["choices"]![0]!["text"]!)));
        Assert.Equal("length", (string)events[^1]["choices"]![0]!["finish_reason"]!);
    }

    [Fact]
    public async Task Models_lists_the_one_model()
    {
        JsonNode model = (await _worker.GetAsync("/v1/models")).Json["data"]![0]!;

        Assert.Equal("baton-simulated", (string)model["id"]!);
        Assert.Equal(4096, (int)model["max_model_len"]!);
    }
}
