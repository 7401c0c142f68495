using System.Text;
using System.Text.Json;
using Baton.Serving.Requests;

namespace Baton.Serving.OpenAi;

/// <summary>Reads the body of <c>/v1/completions</c>.</summary>
internal static class CompletionReader
{
    /// <summary>OpenAI's default for this endpoint.</summary>
    private const int DefaultMaxTokens = 16;

    /// <exception cref="BadRequestException">The first thing that is wrong.</exception>
    public static OpenAiCall Read(JsonElement body, CallContext context, string? headerRank)
    {
        JsonFields fields = Body.Fields(body);
        if (fields.Has("suffix")) throw fields.Bad("suffix", "is not served: no text can be put behind the answer");
        if (!fields.TryGet("prompt", out JsonElement prompt)) throw fields.Bad("prompt", "is missing");
        (List<int[]> prompts, _) = IsTokens(prompt)
            ? Body.TokenPrompts(fields, "prompt", prompt, context)
            : Body.TextPrompts(fields, "prompt", prompt, context);
        int? logprobs = fields.OptionalInteger("logprobs", 0, SamplingReader.MaxTopLogprobs);
        string? grammar = ResponseFormat.Read(fields, context);
        SamplingPlan plan = new SamplingReader(context.Text, context.Limits).ReadOpenAi(fields, DefaultMaxTokens, "max_tokens", grammar);
        return new OpenAiCall
        {
            Generation = OpenAiBody.Plan(fields, context, headerRank, prompts, plan, logprobs, "cmpl-"),
            Model = OpenAiBody.Model(fields, context),
            IncludeUsage = OpenAiBody.IncludeUsage(fields),
            Logprobs = logprobs,
            Echo = fields.Flag("echo") ? [.. prompts.Select(tokens => TextOf(tokens, context))] : null,
        };
    }

    private static bool IsTokens(JsonElement prompt) =>
        prompt.ValueKind == JsonValueKind.Array && prompt.GetArrayLength() > 0 && prompt[0].ValueKind is JsonValueKind.Number or JsonValueKind.Array;

    private static string TextOf(int[] tokens, CallContext context)
    {
        List<byte> bytes = [];
        foreach (int token in tokens) bytes.AddRange(context.Text.TokenBytes(token));
        return Encoding.UTF8.GetString([.. bytes]);
    }
}
