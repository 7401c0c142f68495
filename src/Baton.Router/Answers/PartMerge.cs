using System.Globalization;
using System.Text;
using System.Text.Json;
using Baton.Router.Bodies;

namespace Baton.Router.Answers;

/// <summary>Which place a part's sequences have in the whole answer.</summary>
/// <param name="Count">Parts.</param>
/// <param name="PerPart">Samples of each prompt, when the parts are prompts.</param>
/// <param name="ArePrompts">The parts are a batch's prompts; else they are samples of every prompt.</param>
/// <remarks>Sample <c>k</c> of prompt <c>i</c> gets index <c>i * n + k</c>, as a worker that samples in parallel numbers them.</remarks>
internal readonly record struct PartOrder(int Count, int PerPart, bool ArePrompts)
{
    /// <param name="own">The index that the part's own worker gave.</param>
    public long IndexOf(int part, long own) => ArePrompts ? (long)part * PerPart + own : own * Count + part;
}

/// <summary>Tokens of all parts. A prompt of several samples counts once; the prompts of a batch are added up.</summary>
internal struct UsageSum(bool addPrompts)
{
    private bool _any;

    public long Prompt { get; private set; }
    public long Cached { get; private set; }
    public long Completion { get; private set; }

    public void Add(ReadOnlySpan<byte> answer)
    {
        Completion += Tokens(answer, "completion_tokens");
        if (_any && !addPrompts) return;
        Prompt += Tokens(answer, "prompt_tokens");
        Cached += JsonPlaces.Integer(answer, JsonPlaces.Find(answer, "usage", "prompt_tokens_details", "cached_tokens")) ?? 0;
        _any = true;
    }

    private static long Tokens(ReadOnlySpan<byte> answer, string name) => JsonPlaces.Integer(answer, JsonPlaces.Find(answer, "usage", name)) ?? 0;
}

/// <summary>Makes one answer out of the answers of parts, each of which had a room of its own.</summary>
internal static class PartMerge
{
    /// <summary>Merges whole answers.</summary>
    /// <exception cref="JsonException">One of them is not JSON, or has another shape than its endpoint's.</exception>
    public static byte[] Whole(DataEndpoint endpoint, PartOrder order, IReadOnlyList<byte[]> answers) =>
        endpoint == DataEndpoint.Generate ? WholeNative(order, answers) : WholeOpenAi(order, answers);

    /// <summary>Moves one streamed event to its part's index and gives it the common id.</summary>
    /// <returns>The edited payload.</returns>
    /// <exception cref="JsonException">Not JSON.</exception>
    public static byte[] Event(DataEndpoint endpoint, ReadOnlySpan<byte> data, int part, PartOrder order, byte[]? id)
    {
        ByteEdits edits = new();
        if (endpoint == DataEndpoint.Generate)
        {
            Range index = JsonPlaces.Find(data, "index");
            byte[] moved = Number(order.IndexOf(part, JsonPlaces.Integer(data, index) ?? 0));
            int end = JsonPlaces.Root(data).End.Value - 1;
            if (JsonPlaces.IsEmpty(index)) edits.Replace(end..end, [.. ",\"index\":"u8, .. moved]);
            else edits.Replace(index, moved);
            return edits.Apply(data);
        }
        MoveChoices(edits, data, part, order);
        Range own = JsonPlaces.Find(data, "id");
        if (id is not null && !JsonPlaces.IsEmpty(own)) edits.Replace(own, id);
        return edits.Apply(data);
    }

    /// <summary>The event has no choices: it only tells its part's usage.</summary>
    public static bool IsUsage(ReadOnlySpan<byte> data)
    {
        Range choices = JsonPlaces.Find(data, "choices");
        return JsonPlaces.IsArray(data, choices) && JsonPlaces.Elements(data, choices).Count == 0;
    }

    /// <summary>One usage event for all parts, shaped like the last of theirs.</summary>
    public static byte[] Usage(ReadOnlySpan<byte> template, UsageSum sum, byte[]? id)
    {
        ByteEdits edits = new();
        SetUsage(edits, template, sum);
        Range own = JsonPlaces.Find(template, "id");
        if (id is not null && !JsonPlaces.IsEmpty(own)) edits.Replace(own, id);
        return edits.Apply(template);
    }

    private static byte[] WholeOpenAi(PartOrder order, IReadOnlyList<byte[]> answers)
    {
        List<(long Index, byte[] Json)> choices = [];
        UsageSum sum = new(order.ArePrompts);
        for (int k = 0; k < answers.Count; k++)
        {
            ReadOnlySpan<byte> answer = answers[k];
            sum.Add(answer);
            Range list = JsonPlaces.Find(answer, "choices");
            if (!JsonPlaces.IsArray(answer, list)) throw new JsonException("The answer has no choices.");
            int i = 0;
            foreach (Range element in JsonPlaces.Elements(answer, list))
            {
                ReadOnlySpan<byte> choice = answer[element];
                ByteEdits edits = new();
                Range index = JsonPlaces.Find(choice, "index");
                long moved = order.IndexOf(k, JsonPlaces.Integer(choice, index) ?? i);
                if (!JsonPlaces.IsEmpty(index)) edits.Replace(index, Number(moved));
                choices.Add((moved, edits.Apply(choice)));
                i++;
            }
        }
        ReadOnlySpan<byte> first = answers[0];
        ByteEdits whole = new();
        whole.Replace(JsonPlaces.Find(first, "choices"), List(choices.OrderBy(c => c.Index).Select(c => c.Json)));
        SetUsage(whole, first, sum);
        return whole.Apply(first);
    }

    private static byte[] WholeNative(PartOrder order, IReadOnlyList<byte[]> answers)
    {
        List<(long Index, byte[] Json)> items = [];
        for (int k = 0; k < answers.Count; k++)
        {
            ReadOnlySpan<byte> answer = answers[k];
            Range root = JsonPlaces.Root(answer);
            List<Range> elements = answer[root.Start.Value] == '[' ? JsonPlaces.Elements(answer, root) : [root];
            for (int i = 0; i < elements.Count; i++) items.Add((order.IndexOf(k, i), answer[elements[i]].ToArray()));
        }
        return List(items.OrderBy(c => c.Index).Select(c => c.Json));
    }

    private static void MoveChoices(ByteEdits edits, ReadOnlySpan<byte> data, int part, PartOrder order)
    {
        Range list = JsonPlaces.Find(data, "choices");
        if (!JsonPlaces.IsArray(data, list)) return;
        foreach (Range element in JsonPlaces.Elements(data, list))
        {
            Range index = JsonPlaces.Find(data[element], "index");
            if (JsonPlaces.Integer(data[element], index) is not { } own) continue;
            edits.Replace((element.Start.Value + index.Start.Value)..(element.Start.Value + index.End.Value), Number(order.IndexOf(part, own)));
        }
    }

    private static void SetUsage(ByteEdits edits, ReadOnlySpan<byte> answer, UsageSum sum)
    {
        Set(edits, answer, sum.Prompt, "usage", "prompt_tokens");
        Set(edits, answer, sum.Completion, "usage", "completion_tokens");
        Set(edits, answer, sum.Prompt + sum.Completion, "usage", "total_tokens");
        Set(edits, answer, sum.Cached, "usage", "prompt_tokens_details", "cached_tokens");
    }

    private static void Set(ByteEdits edits, ReadOnlySpan<byte> answer, long value, params string[] path)
    {
        Range place = JsonPlaces.Find(answer, path);
        if (JsonPlaces.Integer(answer, place) is not null) edits.Replace(place, Number(value));
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
