using System.Text.Json;
using Baton.Router.Bodies;

namespace Baton.Router.Answers;

/// <summary>Puts what only prefill knows into decode's answers.</summary>
public interface IAnswerMerge
{
    /// <summary>Decode's answer, or one event of it, with prefill's values in it.</summary>
    /// <exception cref="JsonException">Not JSON.</exception>
    byte[] Apply(ReadOnlySpan<byte> decode);
}

/// <summary>What prefill knows and decode does not: log probabilities of the prompt, and its routed experts, per item of a batch.</summary>
/// <remarks>
/// Decode's answer stays as it came but for the merged values: prefill's list elements are written in front of decode's own, byte
/// for byte. A key that one side lacks leaves decode's answer alone.
/// </remarks>
public sealed class LogprobMerge : IAnswerMerge
{
    private readonly Dictionary<int, PrefillItem> _items = [];

    private sealed record PrefillItem(byte[] Elements, byte[]? Experts);

    private LogprobMerge()
    {
    }

    /// <summary>Reads prefill's answer: an object, an array of them, or a stream of events with an <c>index</c> each.</summary>
    /// <exception cref="JsonException">Not JSON.</exception>
    public static LogprobMerge FromPrefill(ReadOnlySpan<byte> answer, bool stream)
    {
        LogprobMerge merge = new();
        if (!stream)
        {
            merge.AddDocument(answer);
            return merge;
        }
        SseSplitter events = new(int.MaxValue);
        events.Add(answer);
        while (events.TryTake(out ReadOnlyMemory<byte> sse))
        {
            ReadOnlySpan<byte> data = SseSplitter.Data(sse).Span;
            if (data.IsEmpty || SseSplitter.IsDone(sse)) continue;
            int index = (int)(JsonPlaces.Integer(data, JsonPlaces.Find(data, "index")) ?? 0);
            if (!merge._items.ContainsKey(index)) merge.AddItem(index, data);
        }
        return merge;
    }

    /// <summary>Decode's whole answer with prefill's values in it.</summary>
    /// <exception cref="JsonException">Not JSON.</exception>
    public byte[] Apply(ReadOnlySpan<byte> decode)
    {
        ByteEdits edits = new();
        Range root = JsonPlaces.Root(decode);
        if (decode[root.Start.Value] != '[') Edit(edits, decode, root, (int)(JsonPlaces.Integer(decode, JsonPlaces.Find(decode, "index")) ?? 0));
        else
        {
            int i = 0;
            foreach (Range element in JsonPlaces.Elements(decode, root)) Edit(edits, decode, element, i++);
        }
        return edits.Apply(decode);
    }

    private void AddDocument(ReadOnlySpan<byte> answer)
    {
        Range root = JsonPlaces.Root(answer);
        if (answer[root.Start.Value] != '[')
        {
            AddItem(0, answer[root]);
            return;
        }
        int i = 0;
        foreach (Range element in JsonPlaces.Elements(answer, root)) AddItem(i++, answer[element]);
    }

    private void AddItem(int index, ReadOnlySpan<byte> item)
    {
        Range list = JsonPlaces.Find(item, "meta_info", "input_token_logprobs");
        byte[] elements = JsonPlaces.IsArray(item, list) ? item[(list.Start.Value + 1)..(list.End.Value - 1)].Trim((byte)' ').ToArray() : [];
        byte[]? experts = Base64(item, JsonPlaces.Find(item, "meta_info", "routed_experts")) ?? Base64(item, JsonPlaces.Find(item, "sglext", "routed_experts"));
        if (elements.Length > 0 || experts is not null) _items[index] = new PrefillItem(elements, experts);
    }

    private void Edit(ByteEdits edits, ReadOnlySpan<byte> decode, Range item, int index)
    {
        if (!_items.TryGetValue(index, out PrefillItem? prefill)) return;
        ReadOnlySpan<byte> document = decode[item];
        int offset = item.Start.Value;
        Range list = JsonPlaces.Find(document, "meta_info", "input_token_logprobs");
        if (prefill.Elements.Length > 0 && JsonPlaces.IsArray(document, list))
        {
            bool empty = JsonPlaces.Elements(document, list).Count == 0;
            int at = offset + list.Start.Value + 1;
            edits.Replace(at..at, empty ? prefill.Elements : [.. prefill.Elements, (byte)',']);
        }
        if (prefill.Experts is not { } first) return;
        foreach (string parent in new[] { "meta_info", "sglext" })
        {
            Range place = JsonPlaces.Find(document, parent, "routed_experts");
            if (Base64(document, place) is not { } second) continue;
            byte[] both = [.. first, .. second.AsSpan(Math.Min(first.Length, second.Length))];
            edits.Replace((offset + place.Start.Value)..(offset + place.End.Value), [(byte)'"', .. System.Text.Encoding.ASCII.GetBytes(Convert.ToBase64String(both)), (byte)'"']);
        }
    }

    private static byte[]? Base64(ReadOnlySpan<byte> json, Range value)
    {
        if (JsonPlaces.IsEmpty(value)) return null;
        Utf8JsonReader reader = new(json[value]);
        return reader.Read() && reader.TokenType == JsonTokenType.String && reader.TryGetBytesFromBase64(out byte[]? bytes) ? bytes : null;
    }
}
