using System.Buffers.Binary;
using System.Text;
using System.Text.Unicode;

namespace Baton.Transfer.Wire;

/// <summary>Takes little-endian fields off a payload, each inside its bounds.</summary>
/// <param name="what">Named in the message when something is wrong.</param>
internal ref struct KvFieldReader(ReadOnlySpan<byte> payload, KvFrameType what)
{
    private ReadOnlySpan<byte> _rest = payload;

    public byte Byte() => Take(1)[0];

    public bool Flag(string field) => Byte() switch
    {
        0 => false,
        1 => true,
        byte other => throw new KvProtocolException($"{field} of a {what} frame is {other} and not 0 or 1."),
    };

    public ushort UInt16(int max, string field)
    {
        ushort value = BinaryPrimitives.ReadUInt16LittleEndian(Take(2));
        return value <= max ? value : throw OutOfRange(field, value, 0, max);
    }

    public int Int32(int min, int max, string field)
    {
        int value = BinaryPrimitives.ReadInt32LittleEndian(Take(4));
        return value >= min && value <= max ? value : throw OutOfRange(field, value, min, max);
    }

    public long Int64(long min, long max, string field)
    {
        long value = BinaryPrimitives.ReadInt64LittleEndian(Take(8));
        return value >= min && value <= max ? value : throw OutOfRange(field, value, min, max);
    }

    public ulong UInt64() => BinaryPrimitives.ReadUInt64LittleEndian(Take(8));

    public float Single() => BinaryPrimitives.ReadSingleLittleEndian(Take(4));

    public ReadOnlySpan<byte> Bytes(int count) => Take(count);

    public string Text(int maxBytes)
    {
        int count = UInt16(maxBytes, "text length");
        ReadOnlySpan<byte> bytes = Take(count);
        return Utf8.IsValid(bytes) ? Encoding.UTF8.GetString(bytes) : throw new KvProtocolException($"A text in a {what} frame is not UTF-8.");
    }

    public readonly void ExpectEnd()
    {
        if (!_rest.IsEmpty) throw new KvProtocolException($"A {what} frame has {_rest.Length} bytes too many.");
    }

    private ReadOnlySpan<byte> Take(int count)
    {
        if (count > _rest.Length) throw new KvProtocolException($"A {what} frame ends {count - _rest.Length} bytes too early.");
        ReadOnlySpan<byte> taken = _rest[..count];
        _rest = _rest[count..];
        return taken;
    }

    private readonly KvProtocolException OutOfRange(string field, long value, long min, long max) =>
        new($"{field} of a {what} frame is {value}, outside [{min},{max}].");
}

/// <summary>Puts little-endian fields into a span that is long enough by the caps of the format.</summary>
internal ref struct KvFieldWriter(Span<byte> to)
{
    private readonly Span<byte> _to = to;

    public int Count { get; private set; }

    public void Byte(byte value) => Next(1)[0] = value;

    public void Flag(bool value) => Byte(value ? (byte)1 : (byte)0);

    public void UInt16(ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(Next(2), value);

    public void Int32(int value) => BinaryPrimitives.WriteInt32LittleEndian(Next(4), value);

    public void Int64(long value) => BinaryPrimitives.WriteInt64LittleEndian(Next(8), value);

    public void UInt64(ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(Next(8), value);

    public void Single(float value) => BinaryPrimitives.WriteSingleLittleEndian(Next(4), value);

    public void Bytes(ReadOnlySpan<byte> bytes) => bytes.CopyTo(Next(bytes.Length));

    /// <summary>Length and UTF-8; what goes over the cap is cut at a character.</summary>
    public void Text(string text, int maxBytes)
    {
        Span<byte> length = Next(2);
        Utf8.FromUtf16(text, _to.Slice(Count, Math.Min(maxBytes, _to.Length - Count)), out _, out int written);
        BinaryPrimitives.WriteUInt16LittleEndian(length, (ushort)written);
        Count += written;
    }

    private Span<byte> Next(int count)
    {
        Span<byte> next = _to.Slice(Count, count);
        Count += count;
        return next;
    }
}
