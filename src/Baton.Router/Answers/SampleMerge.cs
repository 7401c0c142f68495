using System.Globalization;
using System.Text;
using System.Text.Json;
using Baton.Router.Bodies;

namespace Baton.Router.Answers;

/// <summary>Makes one answer of <c>n</c> out of <c>n</c> answers of one, each of which had a room of its own.</summary>
/// <remarks>Sample <c>k</c> of prompt <c>i</c> gets index <c>i * n + k</c>, as a worker that samples in parallel numbers them.</remarks>
internal static class SampleMerge
{
    /// <summary>Merges whole answers.</summary>
    /// <exception cref="JsonException">One of them is not JSON, or has another shape than its endpoint's.</exception>
    public static byte[] Whole(DataEndpoint endpoint, IReadOnlyList<byte[]> answers) => endpoint == DataEndpoint.Generate ? WholeNative(answers) : WholeOpenAi(answers);

    /// <summary>Moves one streamed event to its sample's index and gives it the common id.</summary>
    /// <returns>The edited payload.</returns>
    /// <exception cref="JsonException">Not JSON.</exception>
    public static byte[] Event(DataEndpoint endpoint, ReadOnlySpan<byte> data, int sample, int sampleCount, byte[]? id)
    {
        ByteEdits edits = new();
        if (endpoint == DataEndpoint.Generate)
        {
            Range index = JsonPlaces.Find(data, "index");
            long prompt = JsonPlaces.Integer(data, index) ?? 0;
            byte[] moved = Number(prompt * sampleCount + sample);
            int end = JsonPlaces.Root(data).End.Value - 1;
            if (JsonPlaces.IsEmpty(index)) edits.Replace(end..end, [.. ",\"index\":"u8, .. moved]);
            else edits.Replace(index, moved);
            return edits.Apply(data);
        }
        MoveChoices(edits, data, sample, sampleCount);
        Range own = JsonPlaces.Find(data, "id");
        if (id is not null && !JsonPlaces.IsEmpty(own)) edits.Replace(own, id);
        return edits.Apply(data);
    }

    /// <summary>Completion tokens of a usage-only event (<c>choices</c> empty), or null when the event carries choices.</summary>
    public static (long Prompt, long Completion)? UsageOf(ReadOnlySpan<byte> data)
    {
        Range choices = JsonPlaces.Find(data, "choices");
        if (!JsonPlaces.IsArray(data, choices) || JsonPlaces.Elements(data, choices).Count > 0) return null;
        return (JsonPlaces.Integer(data, JsonPlaces.Find(data, "usage", "prompt_tokens")) ?? 0, JsonPlaces.Integer(data, JsonPlaces.Find(data, "usage", "completion_tokens")) ?? 0);
    }

    /// <summary>One usage event for all samples, shaped like the last of theirs.</summary>
    public static byte[] Usage(ReadOnlySpan<byte> template, long completion, byte[]? id)
    {
        ByteEdits edits = new();
        SetUsage(edits, template, completion);
        Range own = JsonPlaces.Find(template, "id");
        if (id is not null && !JsonPlaces.IsEmpty(own)) edits.Replace(own, id);
        return edits.Apply(template);
    }

    private static byte[] WholeOpenAi(IReadOnlyList<byte[]> answers)
    {
        List<(int Index, byte[] Json)> choices = [];
        long completion = 0;
        for (int k = 0; k < answers.Count; k++)
        {
            ReadOnlySpan<byte> answer = answers[k];
            completion += JsonPlaces.Integer(answer, JsonPlaces.Find(answer, "usage", "completion_tokens")) ?? 0;
            Range list = JsonPlaces.Find(answer, "choices");
            if (!JsonPlaces.IsArray(answer, list)) throw new JsonException("The answer has no choices.");
            int i = 0;
            foreach (Range element in JsonPlaces.Elements(answer, list))
            {
                ReadOnlySpan<byte> choice = answer[element];
                ByteEdits edits = new();
                Range index = JsonPlaces.Find(choice, "index");
                int moved = (int)(JsonPlaces.Integer(choice, index) ?? i) * answers.Count + k;
                if (!JsonPlaces.IsEmpty(index)) edits.Replace(index, Number(moved));
                choices.Add((moved, edits.Apply(choice)));
                i++;
            }
        }
        ReadOnlySpan<byte> first = answers[0];
        ByteEdits whole = new();
        whole.Replace(JsonPlaces.Find(first, "choices"), List(choices.OrderBy(c => c.Index).Select(c => c.Json)));
        SetUsage(whole, first, completion);
        return whole.Apply(first);
    }

    private static byte[] WholeNative(IReadOnlyList<byte[]> answers)
    {
        List<(int Index, byte[] Json)> items = [];
        for (int k = 0; k < answers.Count; k++)
        {
            ReadOnlySpan<byte> answer = answers[k];
            Range root = JsonPlaces.Root(answer);
            List<Range> elements = answer[root.Start.Value] == '[' ? JsonPlaces.Elements(answer, root) : [root];
            for (int i = 0; i < elements.Count; i++) items.Add((i * answers.Count + k, answer[elements[i]].ToArray()));
        }
        return List(items.OrderBy(c => c.Index).Select(c => c.Json));
    }

    private static void MoveChoices(ByteEdits edits, ReadOnlySpan<byte> data, int sample, int sampleCount)
    {
        Range list = JsonPlaces.Find(data, "choices");
        if (!JsonPlaces.IsArray(data, list)) return;
        foreach (Range element in JsonPlaces.Elements(data, list))
        {
            Range index = JsonPlaces.Find(data[element], "index");
            if (JsonPlaces.Integer(data[element], index) is not { } prompt) continue;
            edits.Replace((element.Start.Value + index.Start.Value)..(element.Start.Value + index.End.Value), Number(prompt * sampleCount + sample));
        }
    }

    private static void SetUsage(ByteEdits edits, ReadOnlySpan<byte> answer, long completion)
    {
        Range tokens = JsonPlaces.Find(answer, "usage", "completion_tokens");
        Range total = JsonPlaces.Find(answer, "usage", "total_tokens");
        long prompt = JsonPlaces.Integer(answer, JsonPlaces.Find(answer, "usage", "prompt_tokens")) ?? 0;
        if (JsonPlaces.Integer(answer, tokens) is not null) edits.Replace(tokens, Number(completion));
        if (JsonPlaces.Integer(answer, total) is not null) edits.Replace(total, Number(prompt + completion));
    }

    private static byte[] List(IEnumerable<byte[]> items)
    {
        List<byte> list = [(byte)'['];
        foreach (byte[] item in items)
        {
            if (list.Count > 1) list.Add((byte)',');
            list.AddRange(item);
        }
        list.Add((byte)']');
        return [.. list];
    }

    private static byte[] Number(long value) => Encoding.ASCII.GetBytes(value.ToString(CultureInfo.InvariantCulture));
}
