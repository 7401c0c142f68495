namespace Baton.Router.Answers;

/// <summary>Cuts a stream of bytes into whole server-sent events, however the reads fell.</summary>
/// <param name="maxEventBytes">An event that grows beyond this is not an answer but a fault.</param>
public sealed class SseSplitter(int maxEventBytes = SseSplitter.DefaultMaxEventBytes)
{
    public const int DefaultMaxEventBytes = 16 * 1024 * 1024;

    private byte[] _pending = new byte[4096];
    private int _start, _end, _scanned;

    /// <summary>Bytes of an event that has not ended yet.</summary>
    public int PendingBytes => _end - _start;

    /// <exception cref="InvalidDataException">One event is longer than the limit.</exception>
    public void Add(ReadOnlySpan<byte> bytes)
    {
        if (PendingBytes + bytes.Length > maxEventBytes)
            throw new InvalidDataException($"A server-sent event grew beyond {maxEventBytes} bytes without ending.");
        if (_end + bytes.Length > _pending.Length) MakeRoom(bytes.Length);
        bytes.CopyTo(_pending.AsSpan(_end));
        _end += bytes.Length;
    }

    /// <summary>Takes the next whole event with its closing blank line. Valid until the next call to <see cref="Add"/>.</summary>
    public bool TryTake(out ReadOnlyMemory<byte> sseEvent)
    {
        ReadOnlySpan<byte> unread = _pending.AsSpan(_start, _end - _start);
        // A blank line may lie across two reads: look again from a little before where the last look stopped.
        int from = Math.Max(0, _scanned - 3);
        int blank = FindBlankLine(unread[from..], out int length);
        if (blank < 0)
        {
            _scanned = unread.Length;
            sseEvent = default;
            return false;
        }
        int size = from + blank + length;
        sseEvent = _pending.AsMemory(_start, size);
        _start += size;
        _scanned = 0;
        return true;
    }

    /// <summary>The event's payload: what follows <c>data:</c> and one space, or empty for comments and other fields.</summary>
    public static ReadOnlyMemory<byte> Data(ReadOnlyMemory<byte> sseEvent)
    {
        ReadOnlySpan<byte> bytes = sseEvent.Span;
        if (!bytes.StartsWith("data:"u8)) return default;
        int start = bytes.Length > 5 && bytes[5] == ' ' ? 6 : 5;
        int end = bytes.Length;
        while (end > start && bytes[end - 1] is (byte)'\n' or (byte)'\r') end--;
        return sseEvent[start..end];
    }

    public static bool IsDone(ReadOnlyMemory<byte> sseEvent) => Data(sseEvent).Span.SequenceEqual("[DONE]"u8);

    private static int FindBlankLine(ReadOnlySpan<byte> bytes, out int length)
    {
        int unix = bytes.IndexOf("\n\n"u8);
        int dos = bytes.IndexOf("\r\n\r\n"u8);
        length = dos >= 0 && (unix < 0 || dos < unix) ? 4 : 2;
        return length == 4 ? dos : unix;
    }

    private void MakeRoom(int more)
    {
        int unread = _end - _start;
        byte[] into = unread + more > _pending.Length ? new byte[Math.Max(_pending.Length * 2, unread + more)] : _pending;
        Buffer.BlockCopy(_pending, _start, into, 0, unread);
        (_pending, _start, _end) = (into, 0, unread);
    }
}
