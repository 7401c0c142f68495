namespace Baton.Core.Kv;

/// <summary>Which positions of one prompt have arrived: each of [0, n) exactly once, in order, before the first decode step.</summary>
/// <remarks>
/// Order is part of the contract: llama.cpp accepts gaps and duplicates in silence, and chunks imported out of order give logits
/// that differ by 4e-2, so a chunk that does not continue the last one is refused.
/// </remarks>
public struct KvCoverage(int tokenCount)
{
    public int TokenCount { get; } = tokenCount;

    /// <summary>Positions [0, CoveredCount) are there.</summary>
    public int CoveredCount { get; private set; }

    public readonly bool IsComplete => CoveredCount == TokenCount;

    /// <summary>Accepts the range if it continues exactly where the last one ended and stays inside the prompt.</summary>
    public bool TryAdd(KvRange range)
    {
        if (range.Start != CoveredCount || range.End <= range.Start || range.End > TokenCount) return false;
        CoveredCount = range.End;
        return true;
    }
}
