using System.Text.Json;

namespace Baton.Simulation.Fitting;

/// <summary>One request of a measurement, in seconds of the run's clock.</summary>
/// <param name="Gaps">Between its tokens.</param>
internal sealed record BenchSample(int PromptTokens, double Start, double FirstToken, double[] Gaps)
{
    public double End { get; } = FirstToken + Gaps.Sum();
}

/// <summary>One line of <c>baton bench --output-file FILE --output-details</c>.</summary>
internal sealed record BenchRun
{
    public required string Name { get; init; }
    /// <summary>Prompts were computed elsewhere than answers, so neither slows the other down.</summary>
    public required bool IsDisaggregated { get; init; }
    /// <summary>As the server told it; null when it did not.</summary>
    public required int? ChunkedPrefillSize { get; init; }
    public required IReadOnlyList<BenchSample> Samples { get; init; }

    /// <summary>Every line of a file.</summary>
    /// <exception cref="FormatException">Not bench output, without details, or of several ranks; the text says what to run.</exception>
    public static IEnumerable<BenchRun> Read(string name, TextReader lines)
    {
        bool isEmpty = true;
        for (int number = 1; lines.ReadLine() is { } line; number++)
        {
            if (string.IsNullOrWhiteSpace(line)) continue;
            isEmpty = false;
            yield return Parse($"{name} line {number}", line);
        }
        if (isEmpty) throw new FormatException($"{name}: no line of bench output.");
    }

    private static BenchRun Parse(string name, string line)
    {
        try
        {
            // bench writes an infinite rate as Python does, which is not JSON.
            using JsonDocument document = JsonDocument.Parse(line.Replace("\"request_rate\":Infinity", "\"request_rate\":null", StringComparison.Ordinal).Replace("\"request_rate\": Infinity", "\"request_rate\":null", StringComparison.Ordinal));
            return Parse(name, document.RootElement);
        }
        catch (Exception problem) when (problem is JsonException or InvalidOperationException or KeyNotFoundException)
        {
            throw new FormatException($"{name} is not a line of 'baton bench --output-file': {problem.Message}", problem);
        }
    }

    private static BenchRun Parse(string name, JsonElement root)
    {
        if (!root.TryGetProperty("start_times", out JsonElement starts) || !root.TryGetProperty("itls", out JsonElement itls))
        {
            throw new FormatException($"{name} has no times of single requests. Run baton bench with --output-details.");
        }
        JsonElement own = root.TryGetProperty("baton", out JsonElement baton) ? baton : default;
        (int prefillRanks, int decodeRanks) = (Count(own, "prefill_ranks"), Count(own, "decode_ranks"));
        if (prefillRanks > 1 || decodeRanks > 1)
        {
            throw new FormatException($"{name} was measured on {prefillRanks} prefill and {decodeRanks} decode ranks. Which of them shared a step is not in it: measure one rank of each.");
        }
        double[] prompts = Numbers(root, "input_lens"), ttfts = Numbers(root, "ttfts"), starting = Numbers(root, "start_times"), outputs = Numbers(root, "output_lens");
        double[][] gaps = [.. itls.EnumerateArray().Select(list => list.EnumerateArray().Select(gap => gap.GetDouble()).ToArray())];
        if (prompts.Length != ttfts.Length || prompts.Length != starting.Length || prompts.Length != gaps.Length) throw new FormatException($"{name}: input_lens, ttfts, start_times and itls have different lengths.");
        return new BenchRun
        {
            Name = name,
            IsDisaggregated = prefillRanks > 0,
            ChunkedPrefillSize = ChunkOf(root),
            // A request that failed has no output; it took part in steps nevertheless, but nobody knows which.
            Samples = [.. Enumerable.Range(0, prompts.Length).Where(i => outputs[i] > 0 && ttfts[i] > 0).Select(i => new BenchSample((int)prompts[i], starting[i], starting[i] + ttfts[i], gaps[i]))],
        };
    }

    private static int? ChunkOf(JsonElement root)
    {
        if (!root.TryGetProperty("server_info", out JsonElement info) || info.ValueKind != JsonValueKind.Object) return null;
        if (info.TryGetProperty("prefill", out JsonElement workers) && workers.ValueKind == JsonValueKind.Array && workers.GetArrayLength() > 0) info = workers[0];
        return info.ValueKind == JsonValueKind.Object && info.TryGetProperty("chunked_prefill_size", out JsonElement size) && size.TryGetInt32(out int chunk) && chunk > 0 ? chunk : null;
    }

    private static int Count(JsonElement own, string key) =>
        own.ValueKind == JsonValueKind.Object && own.TryGetProperty(key, out JsonElement list) && list.ValueKind == JsonValueKind.Array ? list.GetArrayLength() : 0;

    private static double[] Numbers(JsonElement root, string key) => [.. root.GetProperty(key).EnumerateArray().Select(number => number.GetDouble())];
}
