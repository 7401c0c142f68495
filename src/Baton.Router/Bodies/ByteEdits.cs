namespace Baton.Router.Bodies;

/// <summary>Pieces of a UTF-8 document to write differently, by their place in it. What is not edited is copied as it came.</summary>
public sealed class ByteEdits
{
    private readonly List<(int Start, int End, byte[] With)> _edits = [];

    public IReadOnlyList<(int Start, int End, byte[] With)> InOrder => _edits;

    /// <summary>Bytes that the document grows by (negative: shrinks).</summary>
    public int ExtraBytes => _edits.Sum(e => e.With.Length - (e.End - e.Start));

    /// <summary>Replaces <paramref name="value"/>, which must not overlap another edit. An empty range inserts.</summary>
    public void Replace(Range value, byte[] with)
    {
        int at = _edits.FindIndex(e => e.Start > value.Start.Value);
        _edits.Insert(at < 0 ? _edits.Count : at, (value.Start.Value, value.End.Value, with));
    }

    /// <summary>The edited document, in a new array.</summary>
    public byte[] Apply(ReadOnlySpan<byte> document)
    {
        byte[] result = new byte[document.Length + ExtraBytes];
        Span<byte> rest = result;
        int at = 0;
        foreach ((int start, int end, byte[] with) in _edits)
        {
            document[at..start].CopyTo(rest);
            rest = rest[(start - at)..];
            with.CopyTo(rest);
            rest = rest[with.Length..];
            at = end;
        }
        document[at..].CopyTo(rest);
        return result;
    }
}
