using System.Text.Json;
using Baton.Router.Bodies;

namespace Baton.Router.Answers;

/// <summary>Log probabilities of an echoed prompt (<c>/v1/completions</c> with <c>echo</c> and <c>logprobs</c>), per choice.</summary>
/// <remarks>
/// Prefill computed the prompt, so only its lists begin there; they end with the first new token, which is decode's first one as well
/// and is left out. In a stream the lists are increments: prefill's part goes in front of a choice's first ones only.
/// </remarks>
public sealed class EchoMerge : IAnswerMerge
{
    private static readonly string[] Lists = ["tokens", "token_logprobs", "text_offset", "top_logprobs"];
    private readonly Dictionary<int, byte[][]> _prompts = [];

    private EchoMerge()
    {
    }

    /// <summary>Reads prefill's answer, whole or a stream of events.</summary>
    /// <exception cref="JsonException">Not JSON.</exception>
    public static EchoMerge FromPrefill(ReadOnlySpan<byte> answer, bool stream)
    {
        EchoMerge merge = new();
        if (!stream)
        {
            merge.Add(answer);
            return merge;
        }
        SseSplitter events = new(int.MaxValue);
        events.Add(answer);
        while (events.TryTake(out ReadOnlyMemory<byte> sse))
        {
            ReadOnlySpan<byte> data = SseSplitter.Data(sse).Span;
            if (!data.IsEmpty && !SseSplitter.IsDone(sse)) merge.Add(data);
        }
        return merge;
    }

    public byte[] Apply(ReadOnlySpan<byte> decode)
    {
        ByteEdits edits = new();
        foreach ((int index, Range choice) in Choices(decode))
        {
            ReadOnlySpan<byte> item = decode[choice];
            if (!JsonPlaces.IsArray(item, JsonPlaces.Find(item, "logprobs", "tokens")) || !_prompts.Remove(index, out byte[][]? prompt)) continue;
            for (int i = 0; i < Lists.Length; i++)
            {
                Range list = JsonPlaces.Find(item, "logprobs", Lists[i]);
                if (prompt[i].Length == 0 || !JsonPlaces.IsArray(item, list)) continue;
                int at = choice.Start.Value + list.Start.Value + 1;
                edits.Replace(at..at, JsonPlaces.Elements(item, list).Count == 0 ? prompt[i] : [.. prompt[i], (byte)',']);
            }
        }
        return edits.Apply(decode);
    }

    private void Add(ReadOnlySpan<byte> answer)
    {
        foreach ((int index, Range choice) in Choices(answer))
        {
            ReadOnlySpan<byte> item = answer[choice];
            if (_prompts.ContainsKey(index) || !JsonPlaces.IsArray(item, JsonPlaces.Find(item, "logprobs", "tokens"))) continue;
            byte[][] prompt = new byte[Lists.Length][];
            for (int i = 0; i < Lists.Length; i++) prompt[i] = AllButLast(item, JsonPlaces.Find(item, "logprobs", Lists[i]));
            _prompts.Add(index, prompt);
        }
    }

    private static byte[] AllButLast(ReadOnlySpan<byte> json, Range list)
    {
        if (!JsonPlaces.IsArray(json, list) || JsonPlaces.Elements(json, list) is not { Count: > 1 } elements) return [];
        return json[elements[0].Start.Value..elements[^2].End.Value].ToArray();
    }

    private static List<(int Index, Range Choice)> Choices(ReadOnlySpan<byte> json)
    {
        List<(int, Range)> found = [];
        Range list = JsonPlaces.Find(json, "choices");
        if (!JsonPlaces.IsArray(json, list)) return found;
        foreach (Range choice in JsonPlaces.Elements(json, list))
            found.Add(((int)(JsonPlaces.Integer(json[choice], JsonPlaces.Find(json[choice], "index")) ?? found.Count), choice));
        return found;
    }
}
