using System.Text.Json;

namespace Baton.Core.Requests;

/// <summary>One request of a recorded workload: when it came and how long it was, not what it said.</summary>
/// <param name="At">Since the start of the trace.</param>
/// <param name="HashIds">The first blocks of <see cref="RequestTrace.BlockTokens"/> prompt tokens, by name: equal ids have equal tokens. Empty when nothing is known.</param>
public sealed record TracedRequest(TimeSpan At, int PromptTokens, int OutputTokens, IReadOnlyList<long> HashIds);

/// <summary>Reads the Mooncake trace format: one JSON object a line with <c>timestamp</c> (ms), <c>input_length</c>, <c>output_length</c> and optional <c>hash_ids</c>.</summary>
/// <remarks>What bench replays against a server and what the simulator plays: one reader, so that both see the same requests in one file.</remarks>
public static class RequestTrace
{
    /// <summary>Prompt tokens that one hash id stands for.</summary>
    public const int BlockTokens = 512;

    private const double MaxMilliseconds = 3.2e11;

    /// <summary>The requests by time; those of one time in the order of their lines.</summary>
    /// <param name="name">Of the file, for errors.</param>
    /// <param name="limit">Lines to read at most, those without a request not counted.</param>
    /// <exception cref="FormatException">A line is not such an object, or there is none; the text names the line and the field.</exception>
    public static IReadOnlyList<TracedRequest> Read(string name, TextReader lines, int limit = int.MaxValue)
    {
        List<TracedRequest> requests = [];
        for (int number = 1; requests.Count < limit && lines.ReadLine() is { } line; number++)
        {
            if (!string.IsNullOrWhiteSpace(line)) requests.Add(Parse(name, line, number));
        }
        if (requests.Count == 0) throw new FormatException($"{name}: the trace has no request.");
        return [.. requests.OrderBy(request => request.At)];
    }

    private static TracedRequest Parse(string name, string line, int number)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(line);
            JsonElement root = document.RootElement;
            double milliseconds = Field(root, "timestamp").GetDouble();
            int prompt = Field(root, "input_length").GetInt32(), output = Field(root, "output_length").GetInt32();
            if (milliseconds < 0 || prompt < 1 || output < 1) throw new FormatException("timestamp must be >= 0 and both lengths >= 1");
            if (milliseconds > MaxMilliseconds) throw new FormatException($"timestamp {milliseconds} is more than ten years; it counts milliseconds from the start of the trace");
            long[] blocks = root.TryGetProperty("hash_ids", out JsonElement ids) && ids.ValueKind != JsonValueKind.Null ? [.. ids.EnumerateArray().Select(id => id.GetInt64())] : [];
            return new TracedRequest(TimeSpan.FromMilliseconds(milliseconds), prompt, output, blocks);
        }
        catch (Exception problem) when (problem is JsonException or FormatException or InvalidOperationException)
        {
            throw new FormatException($"{name} line {number} is not a trace request: {problem.Message}", problem);
        }
    }

    private static JsonElement Field(JsonElement root, string name) =>
        root.ValueKind == JsonValueKind.Object && root.TryGetProperty(name, out JsonElement value) ? value : throw new FormatException($"no {name}");
}
