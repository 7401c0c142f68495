using System.Text.Json;

namespace Baton.Router.Answers;

/// <summary>Finds where values lie in a JSON document, so that an answer is edited without reading it into objects.</summary>
internal static class JsonPlaces
{
    /// <summary>The value at a path of member names from the document's root object; an empty range when it is not there.</summary>
    /// <exception cref="JsonException">Not JSON.</exception>
    public static Range Find(ReadOnlySpan<byte> json, params string[] path)
    {
        Utf8JsonReader reader = new(json);
        reader.Read();
        return Descend(ref reader, path, 0);
    }

    /// <summary>The elements of the array at <paramref name="array"/>, each as its range in <paramref name="json"/>.</summary>
    public static List<Range> Elements(ReadOnlySpan<byte> json, Range array)
    {
        List<Range> found = [];
        (int offset, int _) = array.GetOffsetAndLength(json.Length);
        Utf8JsonReader reader = new(json[array]);
        if (!reader.Read() || reader.TokenType != JsonTokenType.StartArray) return found;
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            int start = (int)reader.TokenStartIndex;
            reader.Skip();
            found.Add((offset + start)..(offset + (int)reader.BytesConsumed));
        }
        return found;
    }

    public static bool IsArray(ReadOnlySpan<byte> json, Range value) => !IsEmpty(value) && json[value.Start.Value] == '[';

    public static bool IsEmpty(Range range) => range.Start.Value == range.End.Value;

    public static long? Integer(ReadOnlySpan<byte> json, Range value)
    {
        if (IsEmpty(value)) return null;
        Utf8JsonReader reader = new(json[value]);
        return reader.Read() && reader.TokenType == JsonTokenType.Number && reader.TryGetInt64(out long number) ? number : null;
    }

    /// <summary>The document without the whitespace around it, as a range.</summary>
    public static Range Root(ReadOnlySpan<byte> json)
    {
        Utf8JsonReader reader = new(json);
        reader.Read();
        int start = (int)reader.TokenStartIndex;
        reader.Skip();
        return start..(int)reader.BytesConsumed;
    }

    private static Range Descend(ref Utf8JsonReader reader, string[] path, int depth)
    {
        if (depth == path.Length)
        {
            int start = (int)reader.TokenStartIndex;
            reader.Skip();
            return start..(int)reader.BytesConsumed;
        }
        if (reader.TokenType != JsonTokenType.StartObject)
        {
            reader.Skip();
            return 0..0;
        }
        Range found = 0..0;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            bool here = reader.ValueTextEquals(path[depth]);
            reader.Read();
            if (here) found = Descend(ref reader, path, depth + 1);
            else reader.Skip();
        }
        return found;
    }
}
