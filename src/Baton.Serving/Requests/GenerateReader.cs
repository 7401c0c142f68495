using System.Text.Json;
using Baton.Core.Ids;
using Baton.Core.Requests;

namespace Baton.Serving.Requests;

/// <summary>Reads the body of SGLang's native <c>/generate</c>.</summary>
internal static class GenerateReader
{
    /// <summary>SGLang fields that would change the answer and that no Baton worker can honour.</summary>
    private static readonly string[] Unsupported =
    [
        "input_embeds", "image_data", "video_data", "audio_data", "lora_path", "session_params", "custom_logit_processor", "token_ids_logprob",
    ];

    /// <param name="headerRank">Value of the X-Data-Parallel-Rank header.</param>
    /// <exception cref="BadRequestException">The first thing that is wrong.</exception>
    public static GenerationCall Read(JsonElement body, CallContext context, string? headerRank)
    {
        JsonFields fields = Body.Fields(body);
        foreach (string name in Unsupported)
        {
            if (fields.Has(name)) throw fields.Bad(name, "is not served by Baton; leave it out");
        }
        if (fields.Flag("return_hidden_states")) throw fields.Bad("return_hidden_states", "is not served by Baton; leave it out");

        (List<int[]> prompts, bool isBatch) = Prompts(fields, context);
        List<SamplingPlan> plans = Plans(fields, context, prompts.Count);
        int samples = plans[0].SamplesPerPrompt;
        Body.CheckSize(prompts.Count, samples, context, fields, "n");
        RendezvousReader rendezvous = new(context, fields, prompts.Count, samples, headerRank);
        string[] rids = RequestIds(fields, context, prompts.Count, samples, isBatch);
        int priority = fields.Integer("priority", 0, int.MinValue);

        List<PlannedSequence> sequences = [];
        for (int i = 0; i < prompts.Count * samples; i++)
        {
            int prompt = i / samples;
            SamplingPlan plan = plans[prompt];
            sequences.Add(new PlannedSequence
            {
                Id = new RequestId(rids[i]),
                PromptTokens = prompts[prompt],
                Sampling = WithLogprobs(fields, plan.Sampling, prompt, prompts.Count, prompts[prompt].Length) with
                {
                    Seed = Body.SeedOf(plan, i % samples, context),
                },
                Output = plan.Output with { TextInLogprobs = fields.Flag("return_text_in_logprobs") },
                Bootstrap = rendezvous.Bootstrap(i),
                RoutedDpRank = rendezvous.Routed(i),
                Priority = priority,
            });
        }
        return new GenerationCall
        {
            Sequences = sequences,
            IsStream = fields.Flag("stream"),
            IsList = isBatch || samples > 1,
            SamplesPerPrompt = samples,
            UsesDeprecatedRank = rendezvous.UsesDeprecatedRank,
            DeprecatedRankDiffers = rendezvous.DeprecatedRankDiffers,
        };
    }

    private static (List<int[]> Prompts, bool IsBatch) Prompts(JsonFields fields, CallContext context)
    {
        bool hasText = fields.TryGet("text", out JsonElement text), hasIds = fields.TryGet("input_ids", out JsonElement ids);
        if (hasText == hasIds) throw new BadRequestException(hasText ? "text" : "input_ids", "Give exactly one of text and input_ids.");
        return hasText ? Body.TextPrompts(fields, "text", text, context) : Body.TokenPrompts(fields, "input_ids", ids, context);
    }

    /// <summary>One set for all prompts, or a list with one for each.</summary>
    private static List<SamplingPlan> Plans(JsonFields fields, CallContext context, int prompts)
    {
        SamplingReader reader = new(context.Text, context.Limits);
        List<SamplingPlan> plans = [];
        foreach ((string name, JsonElement value) in fields.Elements("sampling_params"))
        {
            if (value.ValueKind != JsonValueKind.Object) throw fields.Bad(name, value, "must be an object");
            plans.Add(reader.ReadNative(new JsonFields(value, name + ".")));
            if (plans.Count > prompts) break;
        }
        if (plans.Count == 0) plans.Add(reader.ReadNative(new JsonFields(Body.Empty, "sampling_params.")));
        if (plans.Count == 1)
        {
            while (plans.Count < prompts) plans.Add(plans[0]);
        }
        if (plans.Count != prompts) throw fields.Bad("sampling_params", $"must be one object, or a list of {prompts}");
        if (plans.Exists(plan => plan.SamplesPerPrompt != plans[0].SamplesPerPrompt)) throw fields.Bad("sampling_params", "n must be the same for all prompts");
        return plans;
    }

    private static SamplingOptions WithLogprobs(JsonFields fields, SamplingOptions sampling, int prompt, int prompts, int promptTokens)
    {
        if (!One(fields, "return_logprob", prompt, prompts, (name, value) => value.ValueKind switch
        {
            JsonValueKind.True => 1,
            JsonValueKind.False => 0,
            _ => throw fields.Bad(name, value, "must be true or false"),
        }, 0).Equals(1))
        {
            return sampling;
        }
        int start = One(fields, "logprob_start_len", prompt, prompts, (name, value) => fields.IntegerOf(name, value, -1, int.MaxValue), -1);
        if (start >= promptTokens) throw fields.Bad("logprob_start_len", $"must be below the prompt's {promptTokens} tokens, and is {start}");
        return sampling with
        {
            ReturnLogprob = true,
            TopLogprobs = One(fields, "top_logprobs_num", prompt, prompts, (name, value) => fields.IntegerOf(name, value, 0, SamplingReader.MaxTopLogprobs), 0),
            InputLogprobStart = start,
        };
    }

    /// <summary>A scalar for all prompts, or a list's element for this one.</summary>
    private static int One(JsonFields fields, string name, int prompt, int prompts, Func<string, JsonElement, int> read, int otherwise)
    {
        if (!fields.TryGet(name, out JsonElement value)) return otherwise;
        if (value.ValueKind != JsonValueKind.Array) return read(name, value);
        if (value.GetArrayLength() != prompts) throw fields.Bad(name, $"has {value.GetArrayLength()} elements for {prompts} prompts");
        return read($"{name}[{prompt}]", value[prompt]);
    }

    private static string[] RequestIds(JsonFields fields, CallContext context, int prompts, int samples, bool isBatch)
    {
        int count = prompts * samples;
        string[] ids = new string[count];
        if (!fields.TryGet("rid", out JsonElement value))
        {
            for (int i = 0; i < count; i++) ids[i] = context.NextRequestId();
            return ids;
        }
        List<string> given = [];
        foreach ((string name, JsonElement element) in fields.Elements("rid")) given.Add(Body.RequestId(fields, name, element, context.Limits));
        bool isScalar = value.ValueKind != JsonValueKind.Array;
        if (!isScalar && given.Count != prompts) throw fields.Bad("rid", $"has {given.Count} ids for {prompts} prompts");
        for (int i = 0; i < count; i++)
        {
            string id = isScalar ? given[0] : given[i / samples];
            // SGLang's suffix for a batch; samples of one prompt need it too.
            if (isScalar && (isBatch || samples > 1)) id += $"_{i}";
            else if (samples > 1) id += $"_{i % samples}";
            ids[i] = id;
        }
        return ids.Distinct(StringComparer.Ordinal).Count() == count ? ids : throw fields.Bad("rid", "holds the same id twice");
    }
}
