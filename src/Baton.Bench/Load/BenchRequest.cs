namespace Baton.Bench.Load;

/// <summary>One request of a dataset. Exactly one of <see cref="Text"/> and <see cref="TokenIds"/> is set.</summary>
public sealed record BenchRequest
{
    public string? Text { get; init; }
    public int[]? TokenIds { get; init; }
    /// <summary>Start of <see cref="Text"/> that other requests have too, where the dataset means it so.</summary>
    public string? SharedPrefix { get; init; }
    /// <summary>Length that the dataset meant. Texts are sized by an estimate, so the server's own count replaces it where it is reported.</summary>
    public required int PromptTokens { get; init; }
    public required int OutputTokens { get; init; }
    /// <summary>When a trace wants it sent, from the start of the trace; null for the other datasets.</summary>
    public TimeSpan? At { get; init; }
}
