using System.Text.Json.Nodes;

namespace Baton.Serving.Tests.Http;

public sealed class GenerateTests
{
    private const string SixTokens = """{"text":"Hello","sampling_params":{"max_new_tokens":6,"temperature":0},"return_logprob":true,"top_logprobs_num":2}""";

    [Fact]
    public async Task An_answer_has_text_ids_and_meta_info()
    {
        await using TestWorker worker = await TestWorker.StartAsync();

        Reply reply = await worker.PostAsync("/generate", SixTokens);

        Assert.Equal(200, reply.Status);
        JsonNode meta = reply.Json["meta_info"]!;
        Assert.Equal(6, reply.Json["output_ids"]!.AsArray().Count);
        Assert.Equal("length", (string)meta["finish_reason"]!["type"]!);
        Assert.Equal(6, (int)meta["finish_reason"]!["length"]!);
        Assert.Equal(5, (int)meta["prompt_tokens"]!);
        Assert.Equal(6, (int)meta["completion_tokens"]!);
        Assert.Equal(0, (int)meta["dp_rank"]!);
        Assert.Equal(6, meta["output_token_logprobs"]!.AsArray().Count);
        Assert.All(meta["output_token_logprobs"]!.AsArray(), triple => Assert.Equal(3, triple!.AsArray().Count));
    }

    [Fact]
    public async Task A_stream_is_cumulative_and_ends_as_the_whole_answer()
    {
        await using TestWorker worker = await TestWorker.StartAsync();
        JsonNode whole = (await worker.PostAsync("/generate", SixTokens)).Json;

        Reply reply = await worker.PostAsync("/generate", SixTokens.Replace("{\"text\"", "{\"stream\":true,\"text\"", StringComparison.Ordinal));

        IReadOnlyList<JsonNode> events = reply.Events;
        string before = "";
        foreach (JsonNode one in events)
        {
            Assert.StartsWith(before, (string)one["text"]!, StringComparison.Ordinal);
            before = (string)one["text"]!;
        }
        Assert.Equal((string)whole["text"]!, before);
        Assert.Equal(whole["output_ids"]!.ToJsonString(), events[^1]["output_ids"]!.ToJsonString());
        Assert.Null(events[0]["meta_info"]!["finish_reason"]);
        Assert.Equal("length", (string)events[^1]["meta_info"]!["finish_reason"]!["type"]!);
    }

    [Fact]
    public async Task A_batch_answers_in_the_order_of_its_prompts()
    {
        await using TestWorker worker = await TestWorker.StartAsync();

        Reply reply = await worker.PostAsync("/generate", """{"input_ids":[[1,2,3],[4,5]],"rid":["a","b"],"sampling_params":{"max_new_tokens":2,"n":2}}""");

        JsonArray answers = reply.Json.AsArray();
        Assert.Equal(["a_0", "a_1", "b_0", "b_1"], answers.Select(one => (string)one!["meta_info"]!["id"]!));
        Assert.Equal([3, 3, 2, 2], answers.Select(one => (int)one!["meta_info"]!["prompt_tokens"]!));
    }

    [Fact]
    public async Task The_same_seed_gives_the_same_tokens_and_samples_of_one_prompt_differ()
    {
        await using TestWorker worker = await TestWorker.StartAsync();
        const string Body = """{"text":"x","sampling_params":{"max_new_tokens":16,"sampling_seed":5,"n":2}}""";

        JsonArray first = (await worker.PostAsync("/generate", Body)).Json.AsArray();
        JsonArray second = (await worker.PostAsync("/generate", Body)).Json.AsArray();

        Assert.Equal(first[0]!["output_ids"]!.ToJsonString(), second[0]!["output_ids"]!.ToJsonString());
        Assert.Equal(first[1]!["output_ids"]!.ToJsonString(), second[1]!["output_ids"]!.ToJsonString());
        Assert.NotEqual(first[0]!["output_ids"]!.ToJsonString(), first[1]!["output_ids"]!.ToJsonString());
    }
}
