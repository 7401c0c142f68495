using System.Text.Json;

namespace Baton.Router.Control;

/// <summary>The workers file as JSON, with the line of every field.</summary>
internal static class WorkersJson
{
    /// <exception cref="FormatException">Not JSON, or no list of workers.</exception>
    public static List<WorkersFile.Entry> Read(string file, ReadOnlyMemory<byte> utf8)
    {
        ReadOnlySpan<byte> text = utf8.Span;
        // Editors on Windows put a mark in front.
        if (text.StartsWith("\uFEFF"u8)) text = text[3..];
        try
        {
            Utf8JsonReader reader = new(text);
            reader.Read();
            if (reader.TokenType == JsonTokenType.StartObject) SeekWorkers(ref reader);
            if (reader.TokenType != JsonTokenType.StartArray) throw WorkersFile.NoList(file, 1);
            List<WorkersFile.Entry> entries = [];
            while (reader.Read() && reader.TokenType != JsonTokenType.EndArray) entries.Add(ReadEntry(ref reader, text));
            // Whatever follows has to be JSON as well.
            while (reader.Read())
            {
            }
            return entries;
        }
        catch (JsonException e)
        {
            throw new FormatException($"{file}, line {e.LineNumber + 1}: {e.Message.Split(" LineNumber")[0].Split(" Path:")[0]}", e);
        }
    }

    private static void SeekWorkers(ref Utf8JsonReader reader)
    {
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            bool isIt = reader.ValueTextEquals("workers"u8);
            reader.Read();
            if (isIt) return;
            reader.Skip();
        }
    }

    private static WorkersFile.Entry ReadEntry(ref Utf8JsonReader reader, ReadOnlySpan<byte> text)
    {
        int start = (int)reader.TokenStartIndex, line = LineAt(text, start);
        Dictionary<string, int> lines = new(StringComparer.Ordinal);
        if (reader.TokenType == JsonTokenType.StartObject)
        {
            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                lines[reader.GetString()!] = LineAt(text, (int)reader.TokenStartIndex);
                reader.Read();
                reader.Skip();
            }
        }
        else reader.Skip();
        return new WorkersFile.Entry(text[start..(int)reader.BytesConsumed].ToArray(), line, lines);
    }

    private static int LineAt(ReadOnlySpan<byte> text, int at) => 1 + text[..at].Count((byte)'\n');
}
