namespace Baton.Router.Bodies;

/// <summary>The endpoints whose bodies the router reads; each has its own idea of what a prompt and a batch are.</summary>
public enum DataEndpoint
{
    /// <summary><c>POST /generate</c>: SGLang's native form.</summary>
    Generate,
    /// <summary><c>POST /v1/completions</c>.</summary>
    Completions,
    /// <summary><c>POST /v1/chat/completions</c>.</summary>
    Chat,
}

public static class DataEndpoints
{
    extension(DataEndpoint endpoint)
    {
        public string Path => endpoint switch
        {
            DataEndpoint.Completions => "/v1/completions",
            DataEndpoint.Chat => "/v1/chat/completions",
            _ => "/generate",
        };
    }
}

/// <summary>What the router has to know of a body to route it. Read in one forward pass; everything else in the body stays bytes.</summary>
public sealed record RequestFacts
{
    public required DataEndpoint Endpoint { get; init; }
    /// <summary>The body's <c>model</c>, or null when it names none.</summary>
    public string? Model { get; init; }
    public bool Stream { get; init; }
    /// <summary>Prompts in the body: 1 for a plain request, the list's length for a batch.</summary>
    public int BatchSize { get; init; } = 1;
    /// <summary>True when the prompt is a list, also a list of one: the bootstrap fields become lists then.</summary>
    public bool IsBatch { get; init; }
    /// <summary>Samples per prompt (<c>n</c>).</summary>
    public int SampleCount { get; init; } = 1;
    /// <summary><c>best_of</c>; 1 when absent.</summary>
    public int BestOf { get; init; } = 1;
    /// <summary>The answer must carry log probabilities of prompt tokens, which only prefill has.</summary>
    public bool NeedsInputLogprobs { get; init; }
    /// <summary><c>return_routed_experts</c> was asked for.</summary>
    public bool NeedsRoutedExperts { get; init; }
    /// <summary>Prompt tokens over the whole batch: exact for token ids, UTF-8 bytes / 4 for text.</summary>
    public int PromptTokens { get; init; }
    /// <summary>Characters of prompt text (escaped JSON counts as written); 0 for token ids.</summary>
    public int PromptChars { get; init; }
    /// <summary>The body's <c>rid</c> when it is one string.</summary>
    public string? RequestId { get; init; }
    /// <summary>The body's <c>user</c>.</summary>
    public string? User { get; init; }
    /// <summary>The body's <c>priority</c>; higher goes first.</summary>
    public int Priority { get; init; }
    /// <summary>A seed given by the client (<c>seed</c>, or <c>sampling_params.sampling_seed</c> on the native endpoint).</summary>
    public long? Seed { get; init; }
    /// <summary><c>stream_options.include_usage</c>.</summary>
    public bool IncludeUsage { get; init; }
    /// <summary>Bootstrap or rank keys that the client sent and the router overwrites.</summary>
    public int DroppedKeys { get; init; }

    /// <summary>Sequences that the request becomes: each needs a room of its own.</summary>
    public int SequenceCount => BatchSize * SampleCount;
}
