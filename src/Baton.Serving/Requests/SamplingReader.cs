using System.Globalization;
using System.Text.Json;
using Baton.Core.Requests;
using Baton.Core.Text;

namespace Baton.Serving.Requests;

/// <summary>What sampling parameters say: how to draw, how to show, and how many samples of each prompt.</summary>
internal sealed record SamplingPlan(SamplingOptions Sampling, OutputOptions Output, int SamplesPerPrompt, bool HasSeed);

/// <summary>Reads SGLang's <c>sampling_params</c>, and the parts of them that the OpenAI bodies share.</summary>
internal sealed class SamplingReader(ITextModel text, RequestLimits limits)
{
    public const int MaxTopLogprobs = 128;
    private const double MaxNativeBias = 1e6;

    /// <summary>What SGLang can and we cannot: named, so that nobody waits for an effect that never comes.</summary>
    private static readonly (string Field, string Why)[] Missing =
    [
        ("json_schema", "a JSON schema is not there yet; use ebnf with a GBNF grammar, or response_format json_object on the chat endpoint"),
        ("regex", "a regular expression is not there yet; use ebnf with a GBNF grammar"),
        ("structural_tag", "structural tags are not there"),
        ("stop_regex", "stop expressions are not there; use stop with plain strings"),
    ];

    /// <summary>Native: everything under <c>sampling_params</c>.</summary>
    public SamplingPlan ReadNative(JsonFields fields)
    {
        foreach ((string field, string why) in Missing)
        {
            if (fields.Has(field)) throw fields.Bad(field, why);
        }
        int maxNewTokens = fields.Integer("max_new_tokens", new SamplingOptions().MaxNewTokens, 0, limits.MaxNewTokens);
        (ulong seed, bool hasSeed) = Seed(fields, fields.Has("sampling_seed") ? "sampling_seed" : "seed");
        SamplingOptions sampling = Shared(fields) with
        {
            MaxNewTokens = maxNewTokens,
            MinNewTokens = fields.Integer("min_new_tokens", 0, 0, maxNewTokens),
            LogitBias = LogitBias(fields, MaxNativeBias),
            Grammar = Grammar(fields, "ebnf"),
            Seed = seed,
        };
        return new SamplingPlan(sampling, Output(fields, sampling), fields.Integer("n", 1, 1, limits.MaxSequencesPerCall), hasSeed);
    }

    /// <summary>OpenAI: the fields that stand in the body itself, SGLang's extensions among them.</summary>
    public SamplingPlan ReadOpenAi(JsonFields fields, int defaultMaxTokens, string maxTokensField, string? grammar)
    {
        foreach ((string field, string why) in Missing)
        {
            if (fields.Has(field)) throw fields.Bad(field, why);
        }
        int maxNewTokens = fields.Integer(maxTokensField, defaultMaxTokens, 0, limits.MaxNewTokens);
        string minField = fields.Has("min_new_tokens") ? "min_new_tokens" : "min_tokens";
        (ulong seed, bool hasSeed) = Seed(fields, "seed");
        SamplingOptions sampling = Shared(fields) with
        {
            MaxNewTokens = maxNewTokens,
            MinNewTokens = fields.Integer(minField, 0, 0, maxNewTokens),
            LogitBias = LogitBias(fields, 100),
            Grammar = grammar ?? Grammar(fields, "ebnf"),
            Seed = seed,
        };
        int samples = fields.Integer("n", 1, 1, limits.MaxSequencesPerCall);
        if (fields.OptionalInteger("best_of", 1) is { } best && best != samples) throw fields.Bad("best_of", "is only served when it equals n");
        return new SamplingPlan(sampling, Output(fields, sampling), samples, hasSeed);
    }

    private SamplingOptions Shared(JsonFields fields) => new()
    {
        Temperature = fields.Number("temperature", 1, 0, 100),
        TopP = fields.Number("top_p", 1, 0, 1, isMinAllowed: false),
        TopK = fields.Integer("top_k", -1, -1),
        MinP = fields.Number("min_p", 0, 0, 1),
        FrequencyPenalty = fields.Number("frequency_penalty", 0, -2, 2),
        PresencePenalty = fields.Number("presence_penalty", 0, -2, 2),
        RepetitionPenalty = fields.Number("repetition_penalty", 1, 0, 2, isMinAllowed: false),
        IgnoreEos = fields.Flag("ignore_eos"),
        StopTokenIds = StopTokenIds(fields),
    };

    private OutputOptions Output(JsonFields fields, SamplingOptions sampling) => new()
    {
        StopStrings = StopStrings(fields),
        SkipSpecialTokens = fields.Flag("skip_special_tokens", otherwise: true),
        KeepStop = fields.Flag("no_stop_trim"),
        IgnoreEos = sampling.IgnoreEos,
    };

    private List<string> StopStrings(JsonFields fields)
    {
        List<string> stops = [];
        foreach ((string name, JsonElement value) in fields.Elements("stop"))
        {
            if (value.ValueKind != JsonValueKind.String) throw fields.Bad(name, value, "must be a string or a list of strings");
            string stop = fields.StringOf(name, value);
            if (stop.Length == 0 || stop.Length > limits.MaxStopStringLength)
                throw fields.Bad(name, value, $"must have 1 to {limits.MaxStopStringLength} characters");
            stops.Add(stop);
            if (stops.Count > limits.MaxStopStrings) throw fields.Bad("stop", $"must have at most {limits.MaxStopStrings} strings");
        }
        return stops;
    }

    private List<int> StopTokenIds(JsonFields fields)
    {
        List<int> ids = [];
        foreach ((string name, JsonElement value) in fields.Elements("stop_token_ids"))
        {
            ids.Add(fields.IntegerOf(name, value, 0, text.VocabSize - 1));
            if (ids.Count > limits.MaxStopTokenIds) throw fields.Bad("stop_token_ids", $"must have at most {limits.MaxStopTokenIds} ids");
        }
        return ids;
    }

    private static (ulong Seed, bool IsGiven) Seed(JsonFields fields, string name)
    {
        if (!fields.TryGet(name, out JsonElement value)) return (0, false);
        if (JsonFields.TryInteger(value, out long seed)) return (unchecked((ulong)seed), true);
        if (value.ValueKind == JsonValueKind.Number && value.TryGetUInt64(out ulong large)) return (large, true);
        throw fields.Bad(name, value, "must be a 64-bit integer");
    }

    private Dictionary<int, float>? LogitBias(JsonFields fields, double largest)
    {
        if (!fields.TryGet("logit_bias", out JsonElement value)) return null;
        if (value.ValueKind != JsonValueKind.Object) throw fields.Bad("logit_bias", value, "must be an object of token id to bias");
        Dictionary<int, float> biases = [];
        JsonFields entries = new(value, fields.PathOf("logit_bias."));
        foreach (JsonProperty entry in value.EnumerateObject())
        {
            if (!int.TryParse(entry.Name, NumberStyles.None, CultureInfo.InvariantCulture, out int id) || id >= text.VocabSize)
                throw entries.Bad(entry.Name, $"the key must be a token id in [0, {text.VocabSize})");
            biases[id] = entries.Number(entry.Name, 0, -largest, largest);
            if (biases.Count > limits.MaxLogitBiases) throw fields.Bad("logit_bias", $"must have at most {limits.MaxLogitBiases} entries");
        }
        return biases.Count == 0 ? null : biases;
    }

    private string? Grammar(JsonFields fields, string name)
    {
        if (fields.Text(name) is not { } grammar) return null;
        return text.FindGrammarProblem(grammar) is { } problem ? throw fields.Bad(name, $"cannot be used: {problem}") : grammar;
    }
}
