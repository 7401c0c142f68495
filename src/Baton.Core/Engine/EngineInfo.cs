using Baton.Core.Kv;

namespace Baton.Core.Engine;

/// <summary>What one engine context can do, as granted by the library and not as asked for.</summary>
public sealed record EngineInfo
{
    public required string ModelName { get; init; }
    /// <summary>Hash over the model file's content or the simulated model's parameters, in hex. Equal on both sides of a hand-over.</summary>
    public required string ModelFingerprint { get; init; }
    /// <summary>Text of everything else that must be equal: library version, flash attention, unified KV, cache types.</summary>
    public required string EngineOptions { get; init; }
    /// <summary>Longest sequence, prompt plus output.</summary>
    public required int ContextTokens { get; init; }
    /// <summary>KV cells of this rank, over all its sequences.</summary>
    public required int CellCount { get; init; }
    /// <summary>Sequence slots that the scheduler may use; the engine keeps its scratch ids above them.</summary>
    public required int MaxSequences { get; init; }
    /// <summary>Tokens that one <see cref="IEngine.Execute"/> may compute (n_batch = n_ubatch).</summary>
    public required int MaxBatchTokens { get; init; }
    public required int VocabSize { get; init; }
    public required KvLayout Kv { get; init; }
}
