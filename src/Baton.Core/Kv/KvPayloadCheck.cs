using System.Numerics;
using System.Runtime.InteropServices;

namespace Baton.Core.Kv;

/// <summary>Looks for NaN and infinity in KV cells that came from somewhere else: one of them makes every later logit of its sequence NaN.</summary>
/// <remarks>Safe from any thread, so a receiver checks on its own thread before a rank sees the chunk; the engine checks again, since it must.</remarks>
public static class KvPayloadCheck
{
    private const int F32 = 0, F16 = 1, Q4 = 2, Q8 = 8;

    /// <param name="payload">A chunk as <see cref="KvLayout"/> lays it out.</param>
    /// <param name="tokenCount">Tokens of the chunk; the payload's length is checked against it.</param>
    /// <returns>False when the length is wrong or a value is not finite. Types whose scale this class does not know are refused too.</returns>
    public static bool IsFinite(ReadOnlySpan<byte> payload, KvLayout layout, int tokenCount)
    {
        if (tokenCount < 0 || payload.Length != layout.PayloadBytes(tokenCount)) return false;
        int keyBytes = checked(layout.KeyRowBytes.Sum() * tokenCount);
        return IsFinite(payload[..keyBytes], layout.KeyType) && IsFinite(payload[keyBytes..], layout.ValueType);
    }

    /// <summary>Bytes of the smallest piece that can be checked on its own.</summary>
    internal static int UnitBytes(int type) => type switch
    {
        F16 => sizeof(ushort),
        F32 => sizeof(uint),
        Q4 => 2 + 16,
        Q8 => 2 + 32,
        _ => 1,
    };

    internal static bool IsFinite(ReadOnlySpan<byte> cells, int type) => type switch
    {
        F16 => AreHalvesFinite(MemoryMarshal.Cast<byte, ushort>(cells)),
        F32 => AreFloatsFinite(MemoryMarshal.Cast<byte, uint>(cells)),
        // A block is one F16 scale, then 32 values of 4 or 8 bits. Any row is a whole number of blocks, so blocks follow each other.
        Q4 => AreScalesFinite(cells, 2 + 16),
        Q8 => AreScalesFinite(cells, 2 + 32),
        _ => false,
    };

    private static bool AreHalvesFinite(ReadOnlySpan<ushort> values)
    {
        // All exponent bits set is NaN or infinity: with the sign shifted out, such a value is at least 0xF800.
        Vector<ushort> worst = Vector<ushort>.Zero;
        int at = 0;
        for (; at <= values.Length - Vector<ushort>.Count; at += Vector<ushort>.Count)
            worst = Vector.Max(worst, Vector.ShiftLeft(new Vector<ushort>(values[at..]), 1));
        if (Vector.GreaterThanOrEqualAny(worst, new Vector<ushort>(0xF800))) return false;
        for (; at < values.Length; at++)
            if ((values[at] & 0x7C00) == 0x7C00) return false;
        return true;
    }

    private static bool AreFloatsFinite(ReadOnlySpan<uint> values)
    {
        Vector<uint> worst = Vector<uint>.Zero;
        int at = 0;
        for (; at <= values.Length - Vector<uint>.Count; at += Vector<uint>.Count)
            worst = Vector.Max(worst, Vector.ShiftLeft(new Vector<uint>(values[at..]), 1));
        if (Vector.GreaterThanOrEqualAny(worst, new Vector<uint>(0xFF000000))) return false;
        for (; at < values.Length; at++)
            if ((values[at] & 0x7F800000) == 0x7F800000) return false;
        return true;
    }

    private static bool AreScalesFinite(ReadOnlySpan<byte> blocks, int blockBytes)
    {
        if (blocks.Length % blockBytes != 0) return false;
        for (int at = 0; at < blocks.Length; at += blockBytes)
            if ((blocks[at + 1] & 0x7C) == 0x7C) return false;
        return true;
    }
}
