using System.Text.Json;

namespace Baton.Serving.Requests;

/// <summary>What the readers of the three endpoints share.</summary>
internal static class Body
{
    public static readonly JsonElement Empty = JsonDocument.Parse("{}").RootElement;

    public static JsonFields Fields(JsonElement body) => body.ValueKind == JsonValueKind.Object
        ? new JsonFields(body)
        : throw new BadRequestException(null, $"The body must be a JSON object, and is a JSON {body.ValueKind.ToString().ToLowerInvariant()}.");

    public static void CheckSize(int prompts, int samples, CallContext context, JsonFields fields, string field)
    {
        if ((long)prompts * samples > context.Limits.MaxSequencesPerCall)
            throw fields.Bad(field, $"{prompts} prompts with {samples} samples each are more than the {context.Limits.MaxSequencesPerCall} sequences that one request may have");
    }

    public static (List<int[]> Prompts, bool IsBatch) TextPrompts(JsonFields fields, string name, JsonElement value, CallContext context)
    {
        List<int[]> prompts = [];
        CheckCount(fields, name, value, context);
        foreach ((string element, JsonElement one) in fields.Elements(name))
        {
            if (one.ValueKind != JsonValueKind.String) throw fields.Bad(element, one, "must be a string");
            prompts.Add(Tokenize(fields, element, fields.StringOf(element, one), context));
        }
        return (prompts, value.ValueKind == JsonValueKind.Array);
    }

    /// <summary>A list of ids, or a list of such lists.</summary>
    public static (List<int[]> Prompts, bool IsBatch) TokenPrompts(JsonFields fields, string name, JsonElement value, CallContext context)
    {
        if (value.ValueKind != JsonValueKind.Array) throw fields.Bad(name, value, "must be a list of token ids, or a list of such lists");
        if (value.GetArrayLength() == 0) throw fields.Bad(name, "must not be empty");
        if (value[0].ValueKind != JsonValueKind.Array) return ([Tokens(fields, name, value, context)], false);
        CheckCount(fields, name, value, context);
        List<int[]> prompts = [];
        foreach ((string element, JsonElement one) in fields.Elements(name))
        {
            if (one.ValueKind != JsonValueKind.Array) throw fields.Bad(element, one, "must be a list of token ids");
            prompts.Add(Tokens(fields, element, one, context));
        }
        return (prompts, true);
    }

    public static string RequestId(JsonFields fields, string name, JsonElement value, RequestLimits limits)
    {
        if (value.ValueKind != JsonValueKind.String) throw fields.Bad(name, value, "must be a string");
        string id = fields.StringOf(name, value);
        return id.Length is > 0 && id.Length <= limits.MaxRidLength && !id.Any(char.IsControl)
            ? id : throw fields.Bad(name, value, $"must have 1 to {limits.MaxRidLength} characters and no control characters");
    }

    /// <summary>The client's own seed counts up over the samples, so they differ and can be repeated.</summary>
    public static ulong SeedOf(SamplingPlan plan, int sample, CallContext context) =>
        plan.HasSeed ? unchecked(plan.Sampling.Seed + (ulong)sample) : context.NextRandom();

    private static int[] Tokenize(JsonFields fields, string name, string text, CallContext context)
    {
        // Text of the native and the completion API is the whole prompt, so control tokens in it are meant.
        int[] tokens = context.Text.Tokenize(text, parseSpecial: true);
        return tokens.Length > 0 ? tokens : throw fields.Bad(name, "must not be empty");
    }

    private static int[] Tokens(JsonFields fields, string name, JsonElement value, CallContext context)
    {
        int[] tokens = new int[value.GetArrayLength()];
        if (tokens.Length == 0) throw fields.Bad(name, "must not be empty");
        int at = 0;
        foreach (JsonElement element in value.EnumerateArray())
        {
            tokens[at] = element.ValueKind == JsonValueKind.Number && element.TryGetInt32(out int id) && id >= 0 && id < context.Text.VocabSize
                ? id : throw fields.Bad($"{name}[{at}]", element, $"must be a token id in [0, {context.Text.VocabSize})");
            at++;
        }
        return tokens;
    }

    private static void CheckCount(JsonFields fields, string name, JsonElement value, CallContext context)
    {
        if (value.ValueKind != JsonValueKind.Array) return;
        int count = value.GetArrayLength();
        if (count == 0) throw fields.Bad(name, "must not be empty");
        if (count > context.Limits.MaxSequencesPerCall) throw fields.Bad(name, $"has {count} prompts; one request may have {context.Limits.MaxSequencesPerCall}");
    }
}
