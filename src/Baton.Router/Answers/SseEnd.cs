namespace Baton.Router.Answers;

/// <summary>Watches a relayed stream for its terminal event: a line that is exactly <c>data: [DONE]</c>, then a blank line.</summary>
/// <remarks>Text that contains these characters is no end: inside JSON a line break is escaped, so it never begins a line.</remarks>
public struct SseEnd
{
    private const int CarryBytes = 20;
    private byte[]? _carry;
    private int _carried;
    private bool _anything;

    public bool Seen { get; private set; }

    /// <summary>Looks at the next bytes of the stream, in order.</summary>
    public void Look(ReadOnlySpan<byte> bytes)
    {
        if (Seen || bytes.IsEmpty) return;
        _carry ??= new byte[CarryBytes * 2];
        // Only the seam between two reads needs a copy; the inside of a read is searched in place.
        int head = Math.Min(bytes.Length, CarryBytes);
        bytes[..head].CopyTo(_carry.AsSpan(_carried));
        Seen = Contains(_carry.AsSpan(0, _carried + head), atStreamStart: !_anything) || Contains(bytes, atStreamStart: !_anything && _carried == 0);
        _anything |= _carried + bytes.Length > CarryBytes;
        if (bytes.Length >= CarryBytes)
        {
            bytes[^CarryBytes..].CopyTo(_carry);
            _carried = CarryBytes;
            _anything = true;
            return;
        }
        int both = _carried + bytes.Length;
        int keep = Math.Min(both, CarryBytes);
        _carry.AsSpan(both - keep, keep).CopyTo(_carry);
        _carried = keep;
    }

    private static bool Contains(ReadOnlySpan<byte> bytes, bool atStreamStart)
    {
        int from = 0;
        while (bytes[from..].IndexOf("data: [DONE]"u8) is var found and >= 0)
        {
            int at = from + found;
            ReadOnlySpan<byte> behind = bytes[(at + 12)..];
            bool begins = at == 0 ? atStreamStart : bytes[at - 1] == '\n';
            if (begins && (behind.StartsWith("\n\n"u8) || behind.StartsWith("\r\n\r\n"u8))) return true;
            from = at + 1;
        }
        return false;
    }
}
