using System.Buffers;
using System.Buffers.Binary;

namespace Baton.Router.KvEvents;

/// <summary>One frame of ZMTP 3.0, ZeroMQ's protocol on TCP: flags, length, body.</summary>
/// <param name="IsCommand">It steers the connection; otherwise it is a part of a message.</param>
/// <param name="HasMore">Another part of the same message follows.</param>
/// <param name="Body">Borrowed from the buffer that it was read from.</param>
internal readonly record struct ZmtpFrame(bool IsCommand, bool HasMore, ReadOnlySequence<byte> Body)
{
    private const byte More = 1, Long = 2, Command = 4;
    private const int ShortHeaderBytes = 2, LongHeaderBytes = 9;

    /// <summary>Takes one frame off the front of <paramref name="input"/>, or leaves it alone when it is not all there.</summary>
    /// <param name="maxBodyBytes">A longer one is refused as soon as its length is read, before anything waits for it.</param>
    /// <exception cref="KvEventException">Unknown flags, a command in several parts, or a body that is too long.</exception>
    public static bool TryRead(ref ReadOnlySequence<byte> input, int maxBodyBytes, out ZmtpFrame frame)
    {
        frame = default;
        SequenceReader<byte> reader = new(input);
        if (!reader.TryRead(out byte flags)) return false;
        if (flags > (More | Long | Command) || (flags & (More | Command)) == (More | Command)) throw new KvEventException($"The frame's flags are {flags}, which ZMTP 3 does not know.");
        ulong length;
        if ((flags & Long) != 0)
        {
            if (!reader.TryReadBigEndian(out long bits)) return false;
            length = (ulong)bits;
        }
        else
        {
            if (!reader.TryRead(out byte small)) return false;
            length = small;
        }
        if (length > (ulong)maxBodyBytes) throw new KvEventException($"A frame of {length} bytes: at most {maxBodyBytes} are expected here.");
        if ((ulong)reader.Remaining < length) return false;
        frame = new ZmtpFrame((flags & Command) != 0, (flags & More) != 0, input.Slice(reader.Position, (long)length));
        input = input.Slice(frame.Body.End);
        return true;
    }

    /// <summary>The bytes of a frame in one part.</summary>
    public static byte[] Write(bool isCommand, ReadOnlySpan<byte> body)
    {
        byte flags = isCommand ? Command : (byte)0;
        if (body.Length <= byte.MaxValue)
        {
            byte[] small = new byte[ShortHeaderBytes + body.Length];
            (small[0], small[1]) = (flags, (byte)body.Length);
            body.CopyTo(small.AsSpan(ShortHeaderBytes));
            return small;
        }
        byte[] large = new byte[LongHeaderBytes + body.Length];
        large[0] = (byte)(flags | Long);
        BinaryPrimitives.WriteUInt64BigEndian(large.AsSpan(1), (ulong)body.Length);
        body.CopyTo(large.AsSpan(LongHeaderBytes));
        return large;
    }
}
