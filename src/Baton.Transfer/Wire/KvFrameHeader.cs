using System.Buffers;
using System.Buffers.Binary;
using Baton.Core.Ids;

namespace Baton.Transfer.Wire;

/// <summary>The fixed 32 bytes in front of every frame, little endian. The table is in docs/wire-protocol.md.</summary>
/// <param name="PayloadBytes">Bytes that follow the header. Checked against the type's cap before it leaves this file.</param>
/// <param name="Crc">CRC-32C over the first 28 bytes of the header and the payload.</param>
public readonly record struct KvFrameHeader(KvFrameType Type, BootstrapRoom Room, uint Claim, uint Number, int PayloadBytes, uint Crc)
{
    public const int Size = 32;

    /// <summary>Protocol version. Another major is another magic; a newer minor only adds frames that may be skipped.</summary>
    public const ushort Major = 1;
    public const ushort Minor = 0;

    /// <summary>Cap on the payload of every frame but a chunk: also the most that is buffered for a peer that proved nothing yet.</summary>
    public const int MaxControlBytes = 16 * 1024;

    internal const int CrcOffset = 28;
    private const uint Magic = 0x31564B42; // "BKV1" in the order of the bytes

    /// <summary>Reads a header off the front of <paramref name="unread"/> without taking it, or says no when fewer than 32 bytes are there.</summary>
    /// <param name="maxChunkBytes">Cap on a chunk's payload, its 8 bytes of range included.</param>
    /// <exception cref="KvProtocolException">Wrong magic, reserved bits, an unknown type that may not be skipped, a room over 63 bits, or a length over its cap.</exception>
    public static bool TryPeek(in ReadOnlySequence<byte> unread, long maxChunkBytes, out KvFrameHeader header)
    {
        header = default;
        if (unread.Length < Size) return false;
        if (unread.FirstSpan.Length >= Size)
        {
            header = Parse(unread.FirstSpan, maxChunkBytes);
            return true;
        }
        Span<byte> copy = stackalloc byte[Size];
        unread.Slice(0, Size).CopyTo(copy);
        header = Parse(copy, maxChunkBytes);
        return true;
    }

    /// <summary>Writes everything but the CRC, which covers these bytes and is set by <see cref="WriteCrc"/>.</summary>
    internal void Write(Span<byte> to)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(to, Magic);
        to[4] = (byte)Type;
        to[5] = 0;
        to[6] = 0;
        to[7] = 0;
        BinaryPrimitives.WriteUInt64LittleEndian(to[8..], Room.Value);
        BinaryPrimitives.WriteUInt32LittleEndian(to[16..], Claim);
        BinaryPrimitives.WriteUInt32LittleEndian(to[20..], Number);
        BinaryPrimitives.WriteInt32LittleEndian(to[24..], PayloadBytes);
    }

    internal static void WriteCrc(Span<byte> header, uint crc) => BinaryPrimitives.WriteUInt32LittleEndian(header[CrcOffset..], crc);

    private static KvFrameHeader Parse(ReadOnlySpan<byte> from, long maxChunkBytes)
    {
        uint magic = BinaryPrimitives.ReadUInt32LittleEndian(from);
        if (magic != Magic) throw new KvProtocolException($"A frame begins with 0x{magic:x8} and not with 0x{Magic:x8} (BKV1): the peer speaks another protocol or version.");

        KvFrameType type = (KvFrameType)from[4];
        if ((from[5] | from[6] | from[7]) != 0) throw new KvProtocolException($"A {type} frame has reserved header bits set.");
        if (!type.IsKnown && !type.IsSkippable) throw new KvProtocolException($"Frame type {(int)type} is unknown and may not be skipped.");

        ulong room = BinaryPrimitives.ReadUInt64LittleEndian(from[8..]);
        if (!BootstrapRoom.IsValid(room)) throw new KvProtocolException($"A {type} frame names room {room}, above the largest one, {BootstrapRoom.MaxValue}.");

        uint payloadBytes = BinaryPrimitives.ReadUInt32LittleEndian(from[24..]);
        long cap = type == KvFrameType.Chunk ? maxChunkBytes : MaxControlBytes;
        if (payloadBytes > cap) throw new KvProtocolException($"A {type} frame announces {payloadBytes} bytes; at most {cap} were agreed.");

        return new KvFrameHeader(
            type, new BootstrapRoom(room), BinaryPrimitives.ReadUInt32LittleEndian(from[16..]), BinaryPrimitives.ReadUInt32LittleEndian(from[20..]),
            (int)payloadBytes, BinaryPrimitives.ReadUInt32LittleEndian(from[CrcOffset..]));
    }
}
