using System.ComponentModel.DataAnnotations;

namespace Baton.Core.Engine.Simulated;

/// <summary>What a simulated engine pretends to be.</summary>
public sealed record SimulatedEngineOptions
{
    [Range(2, 1 << 24)]
    public int VocabSize { get; init; } = 32000;
    [Range(2, 1 << 24)]
    public int ContextTokens { get; init; } = 8192;
    [Range(2, 1 << 28)]
    public int CellCount { get; init; } = 65536;
    [Range(1, 1 << 16)]
    public int MaxSequences { get; init; } = 32;
    [Range(1, 1 << 24)]
    public int MaxBatchTokens { get; init; } = 512;
    public CostModel Cost { get; init; } = new();
    /// <summary>Divides every cost.</summary>
    public double SpeedUp { get; init; } = 1;
    /// <summary>Chance that a token is <see cref="EndToken"/>, the model's end of generation. 0: answers end by their length.</summary>
    [Range(0.0, 1.0)]
    public double EndProbability { get; init; }
    /// <summary>Drawn by that chance and never otherwise.</summary>
    public int EndToken { get; init; }
    /// <summary>Two engines with the same seed and vocabulary are the same model.</summary>
    public ulong ModelSeed { get; init; } = 1;
}
