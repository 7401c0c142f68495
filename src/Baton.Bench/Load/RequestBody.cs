using System.Text.Json;
using System.Text.Json.Nodes;

namespace Baton.Bench.Load;

/// <summary>Writes request bodies once, before the clock starts, so that sending costs no serialisation.</summary>
/// <param name="extra">Merged into the top level of each body, and wins over what is there (<c>--extra-request-body</c>).</param>
public sealed class RequestBodyWriter(BenchBackend backend, string model, bool stream, bool ignoreEos, JsonObject? extra)
{
    public double Temperature { get; init; }
    /// <summary>Left out of the body at 1.</summary>
    public double TopP { get; init; } = 1;

    /// <param name="outputTokens">Overrides the request's own output length; the warm-up is shorter.</param>
    public byte[] Write(BenchRequest request, int? outputTokens = null)
    {
        int wanted = outputTokens ?? request.OutputTokens;
        JsonObject body = backend.Api switch
        {
            BenchApi.Native => Native(request, wanted),
            BenchApi.Completions => OpenAi("prompt", Prompt(request), wanted),
            _ => OpenAi("messages", new JsonArray(new JsonObject { ["role"] = "user", ["content"] = Prompt(request) }), wanted),
        };
        if (extra is not null)
        {
            foreach ((string key, JsonNode? value) in extra) body[key] = value?.DeepClone();
        }
        return JsonSerializer.SerializeToUtf8Bytes(body, BenchJson.Default.JsonObject);
    }

    private JsonObject Native(BenchRequest request, int outputTokens)
    {
        JsonObject sampling = new() { ["temperature"] = Temperature, ["max_new_tokens"] = outputTokens, ["ignore_eos"] = ignoreEos };
        if (TopP < 1) sampling["top_p"] = TopP;
        return new JsonObject
        {
            [request.Text is null ? "input_ids" : "text"] = Prompt(request),
            ["sampling_params"] = sampling,
            ["stream"] = stream,
        };
    }

    private JsonObject OpenAi(string promptKey, JsonNode prompt, int outputTokens)
    {
        JsonObject body = new()
        {
            ["model"] = model,
            [promptKey] = prompt,
            ["temperature"] = Temperature,
            ["max_tokens"] = outputTokens,
            ["ignore_eos"] = ignoreEos,
            ["stream"] = stream,
        };
        if (TopP < 1) body["top_p"] = TopP;
        // Token counts come from the server: bench has no tokenizer of its own.
        if (stream) body["stream_options"] = new JsonObject { ["include_usage"] = true };
        return body;
    }

    private static JsonNode Prompt(BenchRequest request) =>
        request.Text is { } text ? JsonValue.Create(text) : new JsonArray([.. request.TokenIds!.Select(id => (JsonNode)id)]);
}
