using System.Buffers;

namespace Baton.Router.KvEvents;

/// <summary>Reads msgpack forward, value by value: integers, text and arrays as such, and steps over everything else.</summary>
/// <remarks>Nothing is rented for a count before that many bytes are there, and nesting costs no stack.</remarks>
/// <exception cref="KvEventException">The bytes end too early, or are of another type than was asked for.</exception>
internal ref struct MsgpackReader(ReadOnlySequence<byte> bytes)
{
    private const byte Nil = 0xC0;
    private SequenceReader<byte> _reader = new(bytes);

    public readonly bool IsAtEnd => _reader.End;

    /// <summary>The number of elements, each of which is at least one of the bytes that follow.</summary>
    public int ReadArray()
    {
        byte code = ReadByte();
        long count = code switch
        {
            >= 0x90 and <= 0x9F => code & 0x0F,
            0xDC => ReadNumber(2),
            0xDD => ReadNumber(4),
            _ => throw Unexpected(code, "an array"),
        };
        if (count > _reader.Remaining) throw new KvEventException($"An array of {count} elements in {_reader.Remaining} bytes.");
        return (int)count;
    }

    public bool TryReadNil()
    {
        if (!_reader.IsNext(Nil)) return false;
        _reader.Advance(1);
        return true;
    }

    /// <summary>An integer of any width; from 2^63 on it wraps, as two's complement does.</summary>
    public long ReadInteger()
    {
        byte code = ReadByte();
        return code switch
        {
            <= 0x7F => code,
            >= 0xE0 => (sbyte)code,
            0xCC => ReadNumber(1),
            0xCD => ReadNumber(2),
            0xCE => ReadNumber(4),
            0xCF or 0xD3 => ReadNumber(8),
            0xD0 => (sbyte)ReadNumber(1),
            0xD1 => (short)ReadNumber(2),
            0xD2 => (int)ReadNumber(4),
            _ => throw Unexpected(code, "an integer"),
        };
    }

    /// <summary>A short text, of which as much as fits is written to <paramref name="buffer"/>; a longer one equals none that is looked for.</summary>
    /// <returns>Bytes written.</returns>
    public int ReadText(scoped Span<byte> buffer)
    {
        byte code = ReadByte();
        long length = code switch
        {
            >= 0xA0 and <= 0xBF => code & 0x1F,
            0xD9 => ReadNumber(1),
            0xDA => ReadNumber(2),
            0xDB => ReadNumber(4),
            _ => throw Unexpected(code, "text"),
        };
        if (length > _reader.Remaining) throw Short();
        int kept = (int)Math.Min(length, buffer.Length);
        _reader.TryCopyTo(buffer[..kept]);
        _reader.Advance(length);
        return kept;
    }

    /// <summary>Steps over one value with all that is in it.</summary>
    public void Skip()
    {
        for (long left = 1; left > 0; left--) left += SkipOne();
    }

    /// <returns>Values inside this one, still to be stepped over.</returns>
    private long SkipOne()
    {
        byte code = ReadByte();
        (long bytes, long inside) = code switch
        {
            <= 0x7F or >= 0xE0 or Nil or 0xC2 or 0xC3 => (0L, 0L),
            <= 0x8F => (0L, 2L * (code & 0x0F)),
            <= 0x9F => (0L, code & 0x0F),
            <= 0xBF => (code & 0x1F, 0L),
            0xC4 or 0xD9 => (ReadNumber(1), 0L),
            0xC5 or 0xDA => (ReadNumber(2), 0L),
            0xC6 or 0xDB => (ReadNumber(4), 0L),
            // Extensions have a byte for their type in front of their bytes.
            0xC7 => (1 + ReadNumber(1), 0L),
            0xC8 => (1 + ReadNumber(2), 0L),
            0xC9 => (1 + ReadNumber(4), 0L),
            0xCA => (4L, 0L),
            0xCB => (8L, 0L),
            0xCC or 0xD0 => (1L, 0L),
            0xCD or 0xD1 => (2L, 0L),
            0xCE or 0xD2 => (4L, 0L),
            0xCF or 0xD3 => (8L, 0L),
            >= 0xD4 and <= 0xD8 => (1L + (1L << (code - 0xD4)), 0L),
            0xDC => (0L, ReadNumber(2)),
            0xDD => (0L, ReadNumber(4)),
            0xDE => (0L, 2 * ReadNumber(2)),
            0xDF => (0L, 2 * ReadNumber(4)),
            _ => throw Unexpected(code, "a value"),
        };
        if (bytes + inside > _reader.Remaining) throw Short();
        _reader.Advance(bytes);
        return inside;
    }

    private byte ReadByte() => _reader.TryRead(out byte value) ? value : throw Short();

    private long ReadNumber(int bytes)
    {
        if (_reader.Remaining < bytes) throw Short();
        long value = 0;
        for (int i = 0; i < bytes; i++) value = value << 8 | ReadByte();
        return value;
    }

    private static KvEventException Unexpected(byte code, string wanted) => new($"msgpack type 0x{code:x2} where {wanted} is expected.");

    private static KvEventException Short() => new("The batch ends in the middle of a value.");
}
