using System.ComponentModel.DataAnnotations;

namespace Baton.LlamaCpp.Engine;

/// <summary>One rank's context. Everything that two workers must agree on for a hand-over comes back in <c>EngineInfo.EngineOptions</c>.</summary>
public sealed record LlamaEngineOptions
{
    /// <summary>Sequence ids of llama.cpp; two of them are the engine's own.</summary>
    public const int MaxSequenceIds = 256;

    /// <summary>Longest sequence; null is what the model was trained for, but at most 8192.</summary>
    [Range(1, int.MaxValue)]
    public int? ContextTokens { get; init; }

    /// <summary>KV cells over all sequences; null is <see cref="ContextTokens"/>, but at least 8192. The library rounds up to a multiple of 256.</summary>
    [Range(1, int.MaxValue)]
    public int? CellCount { get; init; }

    /// <summary>Sequences at once.</summary>
    [Range(1, MaxSequenceIds - 2)]
    public int MaxSequences { get; init; } = 64;

    /// <summary>Tokens that one step may compute.</summary>
    [Range(1, 65536)]
    public int MaxBatchTokens { get; init; } = 512;

    /// <summary>Compute threads. llama.cpp's workers spin: the sum over all ranks and workers of a machine must stay below its free cores, or a step takes a hundred times as long.</summary>
    [Range(1, 512)]
    public int Threads { get; init; } = 1;

    /// <summary>Type of the KV cells.</summary>
    public KvCellType CellType { get; init; } = KvCellType.F16;
}

/// <summary>Types that K and V may have. The numbers are ggml's.</summary>
public enum KvCellType
{
    F32 = 0,
    F16 = 1,
    Q8 = 8,
}
