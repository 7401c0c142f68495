using System.Text.Json;
using Baton.Router.Answers;

namespace Baton.Router.Forwarding;

/// <summary>A prefill answer of 200 that is a failure all the same: a finish reason of abort, or an error inside a stream.</summary>
internal static class SoftAbort
{
    /// <param name="answer">The first bytes of prefill's answer, whole events when it streams.</param>
    /// <returns>The worker's text, or null when nothing speaks of a failure.</returns>
    public static string? Find(ReadOnlySpan<byte> answer, bool stream)
    {
        // The usual answer has neither word, and is not parsed.
        if (answer.IndexOf("\"abort\""u8) < 0 && answer.IndexOf("\"error\""u8) < 0) return null;
        try
        {
            if (!stream) return FromDocument(answer);
            SseSplitter events = new();
            events.Add(answer);
            while (events.TryTake(out ReadOnlyMemory<byte> sse))
            {
                ReadOnlySpan<byte> data = SseSplitter.Data(sse).Span;
                if (!data.IsEmpty && !SseSplitter.IsDone(sse) && FromDocument(data) is { } found) return found;
            }
        }
        catch (JsonException)
        {
            // Cut at the limit or no JSON at all: not ours to judge.
        }
        return null;
    }

    private static string? FromDocument(ReadOnlySpan<byte> json)
    {
        Range root = JsonPlaces.Root(json);
        if (json[root.Start.Value] == '[')
        {
            foreach (Range element in JsonPlaces.Elements(json, root))
                if (FromItem(json[element]) is { } found) return found;
            return null;
        }
        return FromItem(json[root]);
    }

    private static string? FromItem(ReadOnlySpan<byte> item)
    {
        Range error = JsonPlaces.Find(item, "error");
        if (!JsonPlaces.IsEmpty(error) && item[error.Start.Value] == '{') return Errors.WorkerWords.Read(item).Message;
        Range type = JsonPlaces.Find(item, "meta_info", "finish_reason", "type");
        if (!item[type].SequenceEqual("\"abort\""u8)) return null;
        Range message = JsonPlaces.Find(item, "meta_info", "finish_reason", "message");
        if (JsonPlaces.IsEmpty(message)) return "aborted";
        Utf8JsonReader reader = new(item[message]);
        return reader.Read() && reader.TokenType == JsonTokenType.String ? reader.GetString() : "aborted";
    }
}
