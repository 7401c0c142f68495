using System.Text.Json;

namespace Baton.Bench.Conformance;

/// <summary>Answers that the router makes out of several: samples, and log probabilities that only prefill has.</summary>
internal static class SampleChecks
{
    public static IEnumerable<ConformanceCheck> All =>
    [
        new("03", "n = 4", "four requests with rooms of their own; one answer with choices 0 to 3 and their tokens added up", SamplesAsync),
        new("03s", "n = 3, streamed", "one stream with every sample's events and one end", StreamedSamplesAsync),
        new("03e", "n = 2, streamed, and one sample ends with an error event", "the stream tells the error, and has one end", FailedSampleAsync),
        new("17", "prompt log probabilities in a stream", "prefill's in front of decode's in every event, wherever the reads were cut", StreamedLogprobsAsync),
        new("17b", "prompt log probabilities of a batch", "merged index by index", BatchLogprobsAsync),
        new("18", "the text data: [DONE] inside an answer", "passed on as text; the stream goes on", DoneInTextAsync),
        new("28", "an answer that the router rewrites", "a content-length of its own, or none", OwnLengthAsync),
    ];

    private static async Task<string> SamplesAsync(ConformanceStage stage)
    {
        int served = 0;
        stage.OnDecode(e => e.RespondAsync(200,
            $$$"""{"id":"c{{{Interlocked.Increment(ref served)}}}","choices":[{"index":0,"message":{"content":"x"}}],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}"""));
        JsonElement merged = ConformanceStage.Json(await stage.AskAsync("/v1/chat/completions", """{"messages":[{"role":"user","content":"a"}],"n":4,"seed":100}"""));
        JsonElement[] legs = [.. stage.DecodeLegs.Select(e => ConformanceStage.Json(e.Text))];
        ConformanceStage.Expect(legs.Length == 4, $"{legs.Length} decode legs");
        ConformanceStage.Expect(legs.Select(l => l.GetProperty("bootstrap_room").GetInt64()).Distinct().Count() == 4, "samples share a room");
        string seeds = string.Join(", ", legs.Select(l => l.GetProperty("seed").GetInt32()).Order());
        ConformanceStage.Expect(seeds == "100, 101, 102, 103", $"seeds {seeds}");
        string indexes = string.Join(", ", merged.GetProperty("choices").EnumerateArray().Select(c => c.GetProperty("index").GetInt32()));
        ConformanceStage.Expect(indexes == "0, 1, 2, 3", $"choices {indexes}");
        string usage = merged.GetProperty("usage").GetRawText();
        ConformanceStage.Expect(usage == """{"prompt_tokens":5,"completion_tokens":8,"total_tokens":13}""", usage);
        return "four rooms, one answer";
    }

    private static async Task<string> StreamedSamplesAsync(ConformanceStage stage)
    {
        stage.OnDecode(async e =>
        {
            await e.StartStreamAsync();
            await e.WriteChunkAsync("data: {\"id\":\"a\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}]}\n");
            await e.WriteChunkAsync("\ndata: {\"id\":\"a\",\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2,\"total_tokens\":7}}\n\ndata: [DONE]\n\n");
            await e.EndStreamAsync();
        });
        string text = await stage.AskAsync("/v1/chat/completions", """{"messages":[{"role":"user","content":"a"}],"n":3,"stream":true,"stream_options":{"include_usage":true}}""");
        string[] events = text.Split("\n\n", StringSplitOptions.RemoveEmptyEntries);
        ConformanceStage.Expect(events.Length == 5 && events[^1] == "data: [DONE]", text);
        JsonElement[] parsed = [.. events[..^1].Select(e => ConformanceStage.Json(e["data: ".Length..]))];
        string indexes = string.Join(", ", parsed[..3].Select(e => e.GetProperty("choices")[0].GetProperty("index").GetInt32()).Order());
        ConformanceStage.Expect(indexes == "0, 1, 2", $"choices {indexes}");
        JsonElement usage = parsed[3].GetProperty("usage");
        ConformanceStage.Expect((usage.GetProperty("completion_tokens").GetInt32(), usage.GetProperty("total_tokens").GetInt32()) == (6, 11), usage.GetRawText());
        return "three samples, one end";
    }

    private static async Task<string> FailedSampleAsync(ConformanceStage stage)
    {
        int served = 0;
        stage.OnDecode(e => Interlocked.Increment(ref served) == 1
            ? ConformanceStage.StreamAsync(e, """{"id":"a","choices":[{"index":0,"delta":{"content":"x"}}]}""", """{"error":{"message":"the rank is lost","type":"server_error","code":500}}""", "[DONE]")
            : ConformanceStage.StreamAsync(e, """{"id":"b","choices":[{"index":0,"delta":{"content":"x"}}]}""", "[DONE]"));
        string text = await stage.AskAsync("/v1/chat/completions", """{"messages":[{"role":"user","content":"a"}],"n":2,"stream":true}""");
        ConformanceStage.Expect(text.Contains("\"error\"", StringComparison.Ordinal) && text.Contains("the rank is lost", StringComparison.Ordinal), $"no error in: {text}");
        ConformanceStage.Expect(text.EndsWith("data: [DONE]\n\n", StringComparison.Ordinal) && text.Split("[DONE]").Length == 2, $"not one end: {text}");
        return "the error, then the end";
    }

    private static async Task<string> StreamedLogprobsAsync(ConformanceStage stage)
    {
        stage.OnPrefill(e => ConformanceStage.StreamAsync(e, """{"index":0,"meta_info":{"input_token_logprobs":[[-0.50,1,null],[-1,2,null]]}}""", "[DONE]"));
        stage.OnDecode(async e =>
        {
            await e.StartStreamAsync();
            const string one = "data: {\"text\":\"\u00e9\",\"meta_info\":{\"input_token_logprobs\":[[-2,3,null]],\"id\":\"x\"}}\n\n";
            foreach (string part in one.Chunk(7).Select(c => new string(c))) await e.WriteChunkAsync(part);
            await e.WriteChunkAsync("data: {\"text\":\"b\",\"meta_info\":{\"input_token_logprobs\":[]}}\n\ndata: [DONE]\n\n");
            await e.EndStreamAsync();
        });
        string text = await stage.AskAsync("/generate", """{"text":"a","stream":true,"return_logprob":true}""");
        string[] expected = ["[[-0.50,1,null],[-1,2,null],[-2,3,null]]", "[[-0.50,1,null],[-1,2,null]]"];
        string[] events = text.Split("\n\n", StringSplitOptions.RemoveEmptyEntries);
        ConformanceStage.Expect(events.Length == 3 && events[^1] == "data: [DONE]", text);
        for (int i = 0; i < 2; i++)
        {
            JsonElement merged = ConformanceStage.Json(events[i]["data: ".Length..]);
            string list = JsonSerializer.Serialize(merged.GetProperty("meta_info").GetProperty("input_token_logprobs"));
            ConformanceStage.Expect(list == expected[i], $"event {i}: {list}");
        }
        ConformanceStage.Expect(ConformanceStage.Json(events[0]["data: ".Length..]).GetProperty("text").GetString() == "\u00e9", $"the text of event 0: {events[0]}");
        return "merged in both events";
    }

    private static async Task<string> BatchLogprobsAsync(ConformanceStage stage)
    {
        stage.OnPrefill(e => e.RespondAsync(200, """[{"meta_info":{"input_token_logprobs":[[-1,1]]}},{"meta_info":{"input_token_logprobs":[[-2,2]]}}]"""));
        stage.OnDecode(e => e.RespondAsync(200, """[{"text":"a","meta_info":{"input_token_logprobs":[]}}, {"text":"b","meta_info":{"input_token_logprobs":[[-9,9]]}}]"""));
        JsonElement answer = ConformanceStage.Json(await stage.AskAsync("/generate", """{"text":["x","y"],"return_logprob":true}"""));
        string lists = string.Join(' ', answer.EnumerateArray().Select(i => JsonSerializer.Serialize(i.GetProperty("meta_info").GetProperty("input_token_logprobs"))));
        ConformanceStage.Expect(lists == "[[-1,1]] [[-2,2],[-9,9]]", lists);
        return lists;
    }

    private static async Task<string> DoneInTextAsync(ConformanceStage stage)
    {
        const string whole = "data: {\"text\":\"data: [DONE]\\n\\n\"}\n\ndata: {\"text\":\" data: [DONE]\"}\n\n: data: [DONE]\n\ndata: {\"text\":\"last\"}\n\ndata: [DONE]\n\n";
        stage.OnDecode(async e =>
        {
            await e.StartStreamAsync();
            foreach (string part in whole.Chunk(11).Select(c => new string(c))) await e.WriteChunkAsync(part);
            await e.EndStreamAsync();
        });
        string text = await stage.AskAsync("/generate", """{"text":"a","stream":true}""");
        ConformanceStage.Expect(text == whole, text);
        return "the whole stream";
    }

    private static async Task<string> OwnLengthAsync(ConformanceStage stage)
    {
        stage.OnPrefill(e => e.RespondAsync(200, """{"meta_info":{"input_token_logprobs":[[-1,1]]}}"""));
        stage.OnDecode(e => e.RespondAsync(200, """{"meta_info":{"input_token_logprobs":[]}}""", ("X-Worker", "d")));
        using HttpResponseMessage answer = await stage.PostAsync("/generate", """{"text":"a","return_logprob":true}""");
        byte[] body = await answer.Content.ReadAsByteArrayAsync();
        string list = JsonSerializer.Serialize(ConformanceStage.Json(System.Text.Encoding.UTF8.GetString(body)).GetProperty("meta_info").GetProperty("input_token_logprobs"));
        ConformanceStage.Expect(list == "[[-1,1]]", list);
        ConformanceStage.Expect(answer.Content.Headers.ContentLength is null || answer.Content.Headers.ContentLength == body.Length, $"content-length {answer.Content.Headers.ContentLength} for {body.Length} bytes");
        ConformanceStage.Expect(answer.Headers.TryGetValues("X-Worker", out _), "decode's header X-Worker is lost");
        return $"content-length {(answer.Content.Headers.ContentLength is { } length ? length.ToString() : "absent")} for {body.Length} bytes";
    }
}
