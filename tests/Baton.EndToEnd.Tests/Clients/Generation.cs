namespace Baton.EndToEnd.Tests.Clients;

/// <summary>One output token with the two likeliest alternatives at its place.</summary>
/// <param name="TopGap">Log probability of the likeliest minus that of the second; near zero is a tie.</param>
internal readonly record struct DrawnToken(int Id, double Logprob, double TopGap);

/// <summary>What a server answered to one prompt.</summary>
internal sealed record Generation
{
    public required string Text { get; init; }
    public required IReadOnlyList<int> TokenIds { get; init; }
    /// <summary>Empty unless log probabilities were asked for.</summary>
    public required IReadOnlyList<DrawnToken> Tokens { get; init; }
    public required int PromptTokens { get; init; }
    public required string FinishType { get; init; }
    /// <summary>The rank that generated the answer.</summary>
    public required int DpRank { get; init; }
    /// <summary>The rank that computed the prompt elsewhere, or -1.</summary>
    public required int PrefillDpRank { get; init; }
}

/// <summary>One request of the native API: either tokens or text.</summary>
internal sealed record GenerateRequest
{
    /// <summary>Empty when <see cref="Text"/> is the prompt.</summary>
    public IReadOnlyList<int> InputIds { get; init; } = [];
    public string? Text { get; init; }
    public int MaxNewTokens { get; init; } = 16;
    public double Temperature { get; init; }
    public double TopP { get; init; } = 1;
    public long? Seed { get; init; }
    public bool WithLogprobs { get; init; }
    /// <summary>True: the answer has <see cref="MaxNewTokens"/> tokens whatever the model says.</summary>
    public bool IgnoreEos { get; init; } = true;
}
