using System.Net.Http.Json;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Baton.EndToEnd.Tests.Clients;

/// <summary>A client of <c>POST /generate</c>, streamed and not.</summary>
internal sealed class GenerateClient(Uri server) : IDisposable
{
    private readonly HttpClient _http = new() { BaseAddress = server, Timeout = TimeSpan.FromSeconds(120) };

    public HttpClient Http => _http;

    public void Dispose() => _http.Dispose();

    public async Task<Generation> GenerateAsync(GenerateRequest request, CancellationToken ct = default)
    {
        using HttpResponseMessage response = await _http.PostAsJsonAsync("generate", Body(request, stream: false), ct);
        string body = await response.Content.ReadAsStringAsync(ct);
        Assert.True(response.IsSuccessStatusCode, $"/generate answered {(int)response.StatusCode}: {body}");
        return Read(JsonNode.Parse(body)!);
    }

    /// <summary>One HTTP request with several prompts.</summary>
    public async Task<Generation[]> GenerateBatchAsync(IReadOnlyList<GenerateRequest> requests, CancellationToken ct = default)
    {
        JsonObject body = Body(requests[0], stream: false);
        if (requests[0].Text is null) body["input_ids"] = new JsonArray([.. requests.Select(request => Ids(request.InputIds))]);
        else body["text"] = new JsonArray([.. requests.Select(request => JsonValue.Create(request.Text))]);
        using HttpResponseMessage response = await _http.PostAsJsonAsync("generate", body, ct);
        string text = await response.Content.ReadAsStringAsync(ct);
        Assert.True(response.IsSuccessStatusCode, $"/generate with {requests.Count} prompts answered {(int)response.StatusCode}: {text}");
        return [.. JsonNode.Parse(text)!.AsArray().Select(one => Read(one!))];
    }

    /// <summary>Reads the events of a stream: each carries the whole text so far, and the last one is the result.</summary>
    public async Task<Generation> GenerateStreamedAsync(GenerateRequest request, CancellationToken ct = default)
    {
        using HttpRequestMessage message = new(HttpMethod.Post, "generate") { Content = JsonContent.Create(Body(request, stream: true)) };
        using HttpResponseMessage response = await _http.SendAsync(message, HttpCompletionOption.ResponseHeadersRead, ct);
        Assert.True(response.IsSuccessStatusCode, $"/generate answered {(int)response.StatusCode} to a stream request.");

        using StreamReader reader = new(await response.Content.ReadAsStreamAsync(ct));
        Generation? last = null;
        bool isDone = false;
        while (await reader.ReadLineAsync(ct) is { } line)
        {
            if (!line.StartsWith("data: ", StringComparison.Ordinal)) continue;
            Assert.False(isDone, $"An event came after [DONE]: {line}");
            isDone = line == "data: [DONE]";
            if (isDone) continue;
            Generation next = Read(JsonNode.Parse(line["data: ".Length..])!);
            Assert.StartsWith(last?.Text ?? "", next.Text, StringComparison.Ordinal);
            last = next;
        }

        Assert.True(isDone, "The stream ended without [DONE].");
        return last ?? throw new InvalidOperationException("The stream carried no event.");
    }

    /// <summary>Starts a streamed request and breaks the connection after some events.</summary>
    public async Task StreamAndLeaveAsync(GenerateRequest request, int events, CancellationToken ct = default)
    {
        using HttpRequestMessage message = new(HttpMethod.Post, "generate") { Content = JsonContent.Create(Body(request, stream: true)) };
        using HttpResponseMessage response = await _http.SendAsync(message, HttpCompletionOption.ResponseHeadersRead, ct);
        using StreamReader reader = new(await response.Content.ReadAsStreamAsync(ct));
        for (int seen = 0; seen < events && await reader.ReadLineAsync(ct) is { } line;)
            if (line.StartsWith("data: ", StringComparison.Ordinal)) seen++;
    }

    private static JsonObject Body(GenerateRequest request, bool stream)
    {
        JsonObject sampling = new()
        {
            ["max_new_tokens"] = request.MaxNewTokens,
            ["temperature"] = request.Temperature,
            ["top_p"] = request.TopP,
            ["ignore_eos"] = request.IgnoreEos,
        };
        if (request.Seed is { } seed) sampling["sampling_seed"] = seed;
        JsonObject body = new() { ["sampling_params"] = sampling, ["stream"] = stream };
        if (request.Text is { } text) body["text"] = text;
        else body["input_ids"] = Ids(request.InputIds);
        if (request.WithLogprobs)
        {
            body["return_logprob"] = true;
            body["top_logprobs_num"] = 2;
        }
        return body;
    }

    private static JsonArray Ids(IReadOnlyList<int> ids) => new([.. ids.Select(id => JsonValue.Create(id))]);

    private static Generation Read(JsonNode answer)
    {
        JsonNode meta = answer["meta_info"] ?? throw new JsonException($"No meta_info in {answer.ToJsonString()}");
        return new Generation
        {
            Text = (string)answer["text"]!,
            TokenIds = [.. answer["output_ids"]!.AsArray().Select(id => (int)id!)],
            Tokens = ReadTokens(meta),
            PromptTokens = (int)meta["prompt_tokens"]!,
            FinishType = (string?)meta["finish_reason"]?["type"] ?? "",
            DpRank = (int?)meta["dp_rank"] ?? -1,
            PrefillDpRank = (int?)meta["prefill_dp_rank"] ?? -1,
        };
    }

    private static DrawnToken[] ReadTokens(JsonNode meta)
    {
        if (meta["output_token_logprobs"] is not JsonArray drawn) return [];
        JsonArray? tops = meta["output_top_logprobs"] as JsonArray;
        return [.. drawn.Select((one, i) => new DrawnToken((int)one![1]!, (double)one[0]!, Gap(tops?[i])))];
    }

    private static double Gap(JsonNode? alternatives) =>
        alternatives is JsonArray { Count: >= 2 } both ? (double)both[0]![0]! - (double)both[1]![0]! : double.NaN;
}
