using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.InteropServices;
using Baton.Core.Kv;

namespace Baton.Transfer.Wire;

/// <summary>Finds NaN and infinity in a chunk before the engine's library can see it: it spreads them, in some modes to other sequences.</summary>
/// <remarks>Large finite values can still overflow inside the model; the engine checks its logits for that. Little-endian machines only, as ggml's files.</remarks>
public static class KvFiniteCheck
{
    private const ushort HalfExponent = 0x7C00;
    private const ushort BrainExponent = 0x7F80;
    private const uint SingleExponent = 0x7F800000;

    /// <summary>How elements of a ggml type can be not finite: by exponent bits of every element, or by the F16 numbers that begin each block.</summary>
    private readonly record struct Shape(int BlockBytes, int HalvesInFront);

    /// <summary>The type's layout is known here, so its chunks can be checked. Others are refused at start-up.</summary>
    public static bool Knows(int ggmlType) => ggmlType is 0 or 1 or 30 || BlockShape(ggmlType) is not null;

    /// <summary>True when every number of a chunk of <paramref name="tokenCount"/> tokens is finite.</summary>
    public static bool IsFinite(ReadOnlySpan<byte> payload, KvLayout layout, int tokenCount)
    {
        long keyBytes = 0;
        for (int layer = 0; layer < layout.LayerCount; layer++) keyBytes += (long)layout.KeyRowBytes[layer] * tokenCount;
        return IsFinite(payload[..(int)keyBytes], layout.KeyType) && IsFinite(payload[(int)keyBytes..], layout.ValueType);
    }

    /// <summary>True when every number of a run of whole elements or blocks of one type is finite.</summary>
    public static bool IsFinite(ReadOnlySpan<byte> elements, int ggmlType) => ggmlType switch
    {
        0 => !HasAllBits(MemoryMarshal.Cast<byte, uint>(elements), SingleExponent),
        1 => !HasAllBits(MemoryMarshal.Cast<byte, ushort>(elements), HalfExponent),
        30 => !HasAllBits(MemoryMarshal.Cast<byte, ushort>(elements), BrainExponent),
        _ => BlockShape(ggmlType) is { } shape && HasFiniteScales(elements, shape),
    };

    private static Shape? BlockShape(int ggmlType) => ggmlType switch
    {
        2 => new Shape(18, 1),  // Q4_0: scale, 16 bytes
        3 => new Shape(20, 2),  // Q4_1: scale, minimum, 16 bytes
        6 => new Shape(22, 1),  // Q5_0: scale, 4 + 16 bytes
        7 => new Shape(24, 2),  // Q5_1: scale, minimum, 4 + 16 bytes
        8 => new Shape(34, 1),  // Q8_0: scale, 32 bytes
        20 => new Shape(18, 1), // IQ4_NL: scale, 16 bytes
        _ => null,
    };

    private static bool HasFiniteScales(ReadOnlySpan<byte> blocks, Shape shape)
    {
        for (int at = 0; at < blocks.Length; at += shape.BlockBytes)
        {
            for (int half = 0; half < shape.HalvesInFront; half++)
            {
                if ((BinaryPrimitives.ReadUInt16LittleEndian(blocks[(at + (2 * half))..]) & HalfExponent) == HalfExponent) return false;
            }
        }
        return true;
    }

    /// <summary>True when some value has all bits of <paramref name="mask"/> set. Four vectors a turn, one test a turn.</summary>
    private static bool HasAllBits<T>(ReadOnlySpan<T> values, T mask) where T : unmanaged, IBinaryInteger<T>
    {
        ReadOnlySpan<Vector<T>> vectors = MemoryMarshal.Cast<T, Vector<T>>(values);
        Vector<T> wanted = new(mask);
        int at = 0;
        for (; at + 4 <= vectors.Length; at += 4)
        {
            ReadOnlySpan<Vector<T>> four = vectors.Slice(at, 4);
            Vector<T> any = Vector.Equals(four[0] & wanted, wanted) | Vector.Equals(four[1] & wanted, wanted)
                | Vector.Equals(four[2] & wanted, wanted) | Vector.Equals(four[3] & wanted, wanted);
            if (any != Vector<T>.Zero) return true;
        }
        foreach (T value in values[(at * Vector<T>.Count)..])
        {
            if ((value & mask) == mask) return true;
        }
        return false;
    }
}
