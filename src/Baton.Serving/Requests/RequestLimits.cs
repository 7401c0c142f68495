namespace Baton.Serving.Requests;

/// <summary>How much one HTTP request may ask for.</summary>
public sealed record RequestLimits
{
    /// <summary>Prompts times samples of one request.</summary>
    public int MaxSequencesPerCall { get; init; } = 256;
    /// <summary>The longest answer that may be asked for; the context cuts it further.</summary>
    public int MaxNewTokens { get; init; } = 1_000_000;
    public int MaxStopStrings { get; init; } = 16;
    public int MaxStopStringLength { get; init; } = 1024;
    public int MaxStopTokenIds { get; init; } = 256;
    public int MaxLogitBiases { get; init; } = 1024;
    public int MaxRidLength { get; init; } = 128;
    public int MaxMessages { get; init; } = 4096;
    /// <summary>Bytes of a request body.</summary>
    public long MaxBodyBytes { get; init; } = 32L * 1024 * 1024;
}
