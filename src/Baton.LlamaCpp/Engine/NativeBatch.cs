using System.Runtime.InteropServices;
using Baton.LlamaCpp.Native;

namespace Baton.LlamaCpp.Engine;

/// <summary>The arrays of one <c>llama_batch</c>, allocated once. The ids are checked by whoever adds.</summary>
internal sealed unsafe class NativeBatch : IDisposable
{
    private readonly int _capacity;
    private readonly int* _tokens;
    private readonly int* _positions;
    private readonly int* _sequenceCounts;
    private readonly int* _sequenceIds;
    private readonly int** _sequences;
    private readonly sbyte* _logits;

    internal NativeBatch(int capacity)
    {
        _capacity = capacity;
        nuint count = (nuint)capacity;
        _tokens = (int*)NativeMemory.AllocZeroed(count, sizeof(int));
        _positions = (int*)NativeMemory.AllocZeroed(count, sizeof(int));
        _sequenceCounts = (int*)NativeMemory.AllocZeroed(count, sizeof(int));
        _sequenceIds = (int*)NativeMemory.AllocZeroed(count, sizeof(int));
        _sequences = (int**)NativeMemory.AllocZeroed(count, (nuint)sizeof(int*));
        _logits = (sbyte*)NativeMemory.AllocZeroed(count, sizeof(sbyte));
        for (int index = 0; index < capacity; index++)
        {
            _sequences[index] = _sequenceIds + index;
            _sequenceCounts[index] = 1;
        }
    }

    internal int Count { get; private set; }

    internal int FreeCount => _capacity - Count;

    internal void Clear() => Count = 0;

    /// <returns>The row: the index that logits are asked by.</returns>
    internal int Add(int token, int position, int sequence, bool wantsLogits)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(Count, _capacity);
        _tokens[Count] = token;
        _positions[Count] = position;
        _sequenceIds[Count] = sequence;
        _logits[Count] = wantsLogits ? (sbyte)1 : (sbyte)0;
        return Count++;
    }

    internal LlamaBatch AsNative() => new()
    {
        TokenCount = Count,
        Tokens = _tokens,
        Positions = _positions,
        SequenceCounts = _sequenceCounts,
        Sequences = _sequences,
        Logits = _logits,
    };

    /// <summary>Once: the engine's own Dispose guards it.</summary>
    public void Dispose()
    {
        NativeMemory.Free(_tokens);
        NativeMemory.Free(_positions);
        NativeMemory.Free(_sequenceCounts);
        NativeMemory.Free(_sequenceIds);
        NativeMemory.Free(_sequences);
        NativeMemory.Free(_logits);
    }
}
