using System.Numerics;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Baton.Transfer.Wire;

/// <summary>CRC-32C (Castagnoli), the checksum of iSCSI and ext4, over spans of any length. "123456789" gives 0xE3069283.</summary>
/// <remarks>
/// Where the CPU multiplies polynomials 64 bytes at a time, the message is folded onto its next 256 bytes again and again, which goes at
/// the memory's speed. Elsewhere the CPU's CRC instruction takes 8 bytes every 3 cycles when each waits for the last, so three independent
/// stretches run side by side and are joined by shifting the first two over the zeros that would follow them.
/// </remarks>
public static class Crc32C
{
    /// <summary>Bytes of one of the three stretches: long enough to hide the joining, short enough that three stay in the first-level cache.</summary>
    private const int StretchBytes = 4096;

    /// <summary>How far one turn of folding carries the message: four vectors.</summary>
    private const int FoldBytes = 256;

    /// <summary>Below this the end of the folding, 32 steps of the CRC instruction, costs more than the folding saves.</summary>
    private const int MinFoldedBytes = 4 * FoldBytes;

    /// <summary>x^(2048+32) and x^(2048-32) modulo the polynomial, bit-reversed and shifted by one: what 128 bits become 2048 bits further on.</summary>
    private const ulong FoldLow = 0xDCB17AA4, FoldHigh = 0xB9E02B86;

    /// <summary>Row k, column b: the register b &lt;&lt; 8k after <see cref="StretchBytes"/> zero bytes. The CRC register is linear, so four look-ups shift any register.</summary>
    private static readonly uint[] ShiftTable = BuildShiftTable();

    /// <summary>The checksum of a whole message.</summary>
    public static uint Of(ReadOnlySpan<byte> bytes) => ~Append(uint.MaxValue, bytes);

    /// <summary>Carries a register on over more bytes. It starts as all ones, and its complement is the checksum.</summary>
    public static uint Append(uint register, ReadOnlySpan<byte> bytes)
    {
        if (Pclmulqdq.V512.IsSupported && bytes.Length >= MinFoldedBytes)
        {
            int folded = bytes.Length / FoldBytes * FoldBytes;
            return AppendOne(AppendFolded(register, bytes[..folded]), bytes[folded..]);
        }
        return AppendStretches(register, bytes);
    }

    /// <summary>The way without folding. Internal, so that tests reach it on every machine.</summary>
    internal static uint AppendStretches(uint register, ReadOnlySpan<byte> bytes)
    {
        while (bytes.Length >= 3 * StretchBytes)
        {
            register = AppendThree(register, bytes[..(3 * StretchBytes)]);
            bytes = bytes[(3 * StretchBytes)..];
        }
        return AppendOne(register, bytes);
    }

    private static uint AppendFolded(uint register, ReadOnlySpan<byte> bytes)
    {
        ReadOnlySpan<Vector512<ulong>> message = MemoryMarshal.Cast<byte, Vector512<ulong>>(bytes);
        Vector512<ulong> factors = Vector512.Create(Vector128.Create(FoldLow, FoldHigh));
        Vector512<ulong> a = message[0] ^ Vector512.CreateScalar((ulong)register), b = message[1], c = message[2], d = message[3];
        for (message = message[4..]; message.Length >= 4; message = message[4..])
        {
            a = Fold(a, factors) ^ message[0];
            b = Fold(b, factors) ^ message[1];
            c = Fold(c, factors) ^ message[2];
            d = Fold(d, factors) ^ message[3];
        }
        Span<byte> rest = stackalloc byte[FoldBytes]; // these 256 bytes have the same remainder as the whole message
        a.AsByte().CopyTo(rest);
        b.AsByte().CopyTo(rest[64..]);
        c.AsByte().CopyTo(rest[128..]);
        d.AsByte().CopyTo(rest[192..]);
        return AppendOne(0, rest);
    }

    private static Vector512<ulong> Fold(Vector512<ulong> value, Vector512<ulong> factors) =>
        Pclmulqdq.V512.CarrylessMultiply(value, factors, 0x00) ^ Pclmulqdq.V512.CarrylessMultiply(value, factors, 0x11);

    private static uint AppendThree(uint register, ReadOnlySpan<byte> bytes)
    {
        ReadOnlySpan<ulong> first = MemoryMarshal.Cast<byte, ulong>(bytes[..StretchBytes]);
        ReadOnlySpan<ulong> second = MemoryMarshal.Cast<byte, ulong>(bytes.Slice(StretchBytes, StretchBytes))[..first.Length];
        ReadOnlySpan<ulong> third = MemoryMarshal.Cast<byte, ulong>(bytes.Slice(2 * StretchBytes, StretchBytes))[..first.Length];
        uint a = register, b = 0, c = 0;
        for (int i = 0; i < first.Length; i++)
        {
            a = BitOperations.Crc32C(a, first[i]);
            b = BitOperations.Crc32C(b, second[i]);
            c = BitOperations.Crc32C(c, third[i]);
        }
        return Shift(Shift(a) ^ b) ^ c;
    }

    private static uint AppendOne(uint register, ReadOnlySpan<byte> bytes)
    {
        ReadOnlySpan<ulong> words = MemoryMarshal.Cast<byte, ulong>(bytes);
        foreach (ulong word in words) register = BitOperations.Crc32C(register, word);
        foreach (byte rest in bytes[(words.Length * sizeof(ulong))..]) register = BitOperations.Crc32C(register, rest);
        return register;
    }

    private static uint Shift(uint register) =>
        ShiftTable[register & 0xFF] ^ ShiftTable[256 + ((register >> 8) & 0xFF)] ^ ShiftTable[512 + ((register >> 16) & 0xFF)] ^ ShiftTable[768 + (register >> 24)];

    private static uint[] BuildShiftTable()
    {
        uint[] table = new uint[4 * 256];
        for (int bit = 0; bit < 32; bit++)
        {
            uint shifted = 1u << bit;
            for (int i = 0; i < StretchBytes; i += sizeof(ulong)) shifted = BitOperations.Crc32C(shifted, 0ul);

            int row = bit / 8 * 256, mask = 1 << (bit % 8);
            for (int value = mask; value < 256; value++)
                if ((value & mask) != 0) table[row + value] ^= shifted;
        }
        return table;
    }
}
