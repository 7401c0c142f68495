using Baton.Core.Ids;
using Baton.Core.Requests;
using Baton.Serving.Requests;

namespace Baton.Serving.OpenAi;

/// <summary>An OpenAI request: its sequences, and what its answer must show beside them.</summary>
internal sealed record OpenAiCall
{
    public required GenerationCall Generation { get; init; }
    /// <summary>As the client wrote it, or the worker's own name.</summary>
    public required string Model { get; init; }
    public bool IncludeUsage { get; init; }
    /// <summary>Alternatives to show beside each token; null shows no log probabilities.</summary>
    public int? Logprobs { get; init; }
    /// <summary>Completions: the prompts' texts to repeat before the answers, or null.</summary>
    public IReadOnlyList<string>? Echo { get; init; }
}

/// <summary>What both OpenAI endpoints read the same way.</summary>
internal static class OpenAiBody
{
    public static string Model(JsonFields fields, CallContext context) => fields.Text("model", 1024) ?? context.Text.ModelName;

    public static bool IncludeUsage(JsonFields fields)
    {
        if (!fields.TryGet("stream_options", out var options)) return false;
        if (options.ValueKind != System.Text.Json.JsonValueKind.Object) throw fields.Bad("stream_options", options, "must be an object");
        return new JsonFields(options, "stream_options.").Flag("include_usage");
    }

    /// <summary>Prompts times samples, with ranks, rooms and ids.</summary>
    public static GenerationCall Plan(
        JsonFields fields, CallContext context, string? headerRank, List<int[]> prompts, SamplingPlan plan, int? logprobs, string idPrefix)
    {
        int samples = plan.SamplesPerPrompt;
        Body.CheckSize(prompts.Count, samples, context, fields, "n");
        RendezvousReader rendezvous = new(context, fields, prompts.Count, samples, headerRank);
        string id = fields.TryGet("rid", out var rid) ? Body.RequestId(fields, "rid", rid, context.Limits) : idPrefix + context.NextRequestId();
        int priority = fields.Integer("priority", 0, int.MinValue);
        List<PlannedSequence> sequences = [];
        int count = prompts.Count * samples;
        for (int i = 0; i < count; i++)
        {
            sequences.Add(new PlannedSequence
            {
                Id = new RequestId(count == 1 ? id : $"{id}_{i}"),
                PromptTokens = prompts[i / samples],
                Sampling = WithLogprobs(plan.Sampling, logprobs) with { Seed = Body.SeedOf(plan, i % samples, context) },
                Output = plan.Output,
                Bootstrap = rendezvous.Bootstrap(i),
                RoutedDpRank = rendezvous.Routed(i),
                Priority = priority,
            });
        }
        return new GenerationCall
        {
            Sequences = sequences,
            IsStream = fields.Flag("stream"),
            IsList = count > 1,
            SamplesPerPrompt = samples,
            UsesDeprecatedRank = rendezvous.UsesDeprecatedRank,
            DeprecatedRankDiffers = rendezvous.DeprecatedRankDiffers,
        };
    }

    private static SamplingOptions WithLogprobs(SamplingOptions sampling, int? logprobs) =>
        logprobs is { } top ? sampling with { ReturnLogprob = true, TopLogprobs = top } : sampling;
}
