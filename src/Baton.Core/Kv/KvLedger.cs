using System.Diagnostics;
using Baton.Core.Ids;

namespace Baton.Core.Kv;

/// <summary>Who owns how many of one rank's KV cells. The scheduler reserves here before the engine sees a token.</summary>
/// <remarks>
/// llama.cpp's unified cache places tokens in any free cell, so the count is what matters and fragmentation is not. With this
/// ledger in front, <c>llama_decode</c> never answers "no KV room". Owned by the rank's thread.
/// </remarks>
public sealed class KvLedger
{
    private readonly int[] _held;

    /// <param name="cellCount">Cells of the engine's context, as granted (sizes are padded).</param>
    /// <param name="maxSequences">Sequence slots; ids are below this.</param>
    public KvLedger(int cellCount, int maxSequences)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(cellCount);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(maxSequences);
        CellCount = cellCount;
        FreeCount = cellCount;
        _held = new int[maxSequences];
    }

    public int CellCount { get; }

    public int FreeCount { get; private set; }

    public int UsedCount => CellCount - FreeCount;

    public int HeldBy(SequenceId owner) => _held[owner.Value];

    /// <summary>Gives <paramref name="count"/> more cells to <paramref name="owner"/>, or changes nothing and says no.</summary>
    public bool TryReserve(SequenceId owner, int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        if (count > FreeCount) return false;
        FreeCount -= count;
        _held[owner.Value] += count;
        return true;
    }

    /// <summary>Takes back everything that <paramref name="owner"/> holds.</summary>
    /// <returns>How many cells came back.</returns>
    public int ReleaseAll(SequenceId owner)
    {
        int count = _held[owner.Value];
        _held[owner.Value] = 0;
        FreeCount += count;
        if (FreeCount > CellCount) throw new UnreachableException($"{owner} returned {count} cells and the ledger now has {FreeCount} of {CellCount}.");
        return count;
    }
}
