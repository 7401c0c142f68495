namespace Baton.Core.Requests;

/// <summary>How the tokens of one sequence are drawn and when it ends. Validated and complete: the seed is always set.</summary>
/// <remarks>
/// Order of the steps, as in SGLang: bias and penalties on the raw logits, temperature, top-k, top-p, min-p, draw.
/// The draw for the token at position p uses random bits that depend on (<see cref="Seed"/>, p) alone, so the same request gives
/// the same tokens unified, disaggregated, or resumed, and no generator state has to be handed over.
/// </remarks>
public sealed record SamplingOptions
{
    public static readonly SamplingOptions Greedy = new() { Temperature = 0 };

    /// <summary>0 is greedy: the largest logit wins, the lowest id on a tie.</summary>
    public float Temperature { get; init; } = 1;
    /// <summary>Keep the k largest; -1 or 0 keeps all.</summary>
    public int TopK { get; init; } = -1;
    public float TopP { get; init; } = 1;
    public float MinP { get; init; }
    /// <summary>Over prompt and output; 1 is off.</summary>
    public float RepetitionPenalty { get; init; } = 1;
    /// <summary>Over the output only; 0 is off.</summary>
    public float FrequencyPenalty { get; init; }
    /// <summary>Over the output only; 0 is off.</summary>
    public float PresencePenalty { get; init; }
    public ulong Seed { get; init; }
    /// <summary>Token id to added logit, or null.</summary>
    public IReadOnlyDictionary<int, float>? LogitBias { get; init; }
    /// <summary>GBNF text that was accepted by the engine's own parser, or null.</summary>
    public string? Grammar { get; init; }
    public int MaxNewTokens { get; init; } = 128;
    /// <summary>End-of-generation and stop tokens cannot be drawn before so many tokens exist.</summary>
    public int MinNewTokens { get; init; }
    public bool IgnoreEos { get; init; }
    /// <summary>Tokens that end the sequence besides the model's own end-of-generation tokens. Empty when none.</summary>
    public IReadOnlyList<int> StopTokenIds { get; init; } = [];
    /// <summary>Report the log probability of each output token.</summary>
    public bool ReturnLogprob { get; init; }
    /// <summary>How many alternatives to report beside each output token; 0 to 128 (SGLang's metadata buffer holds 128).</summary>
    public int TopLogprobs { get; init; }
    /// <summary>First prompt position whose log probability is reported, or -1 for none.</summary>
    public int InputLogprobStart { get; init; } = -1;
}
