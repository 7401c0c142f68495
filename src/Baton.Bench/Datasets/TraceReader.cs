using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Baton.Bench.Load;

namespace Baton.Bench.Datasets;

/// <summary>Reads the Mooncake trace format: JSON lines of <c>timestamp</c> (ms), <c>input_length</c>, <c>output_length</c> and optional <c>hash_ids</c>.</summary>
/// <remarks>
/// Each hash id stands for 512 tokens of prompt; equal ids give equal text or tokens, so what was shared in the trace is shared here.
/// </remarks>
internal static class TraceReader
{
    private const int BlockTokens = 512;

    public static IReadOnlyList<BenchRequest> Read(DatasetOptions options, Random random)
    {
        if (options.Path is null) throw new BenchException("--dataset-name trace needs --dataset-path: JSON lines with timestamp, input_length and output_length.");
        string[] lines;
        try
        {
            lines = File.ReadAllLines(options.Path);
        }
        catch (Exception broken) when (broken is IOException or UnauthorizedAccessException)
        {
            throw new BenchException($"--dataset-path {options.Path}: {broken.Message}", broken);
        }
        List<BenchRequest> requests = [];
        for (int i = 0; i < lines.Length && requests.Count < options.NumPrompts; i++)
        {
            if (!string.IsNullOrWhiteSpace(lines[i])) requests.Add(ReadLine(lines[i], i + 1, options, random));
        }
        if (requests.Count == 0) throw new BenchException($"--dataset-path {options.Path}: the trace is empty.");
        return [.. requests.OrderBy(request => request.At)];
    }

    private static BenchRequest ReadLine(string line, int number, DatasetOptions options, Random random)
    {
        try
        {
            JsonNode entry = JsonNode.Parse(line) ?? throw new JsonException("null");
            int input = Math.Max(1, entry["input_length"]!.GetValue<int>());
            long[] hashes = entry["hash_ids"] is JsonArray ids ? [.. ids.Select(id => id!.GetValue<long>())] : [];
            BenchRequest request = new()
            {
                PromptTokens = input,
                OutputTokens = Math.Max(1, entry["output_length"]!.GetValue<int>()),
                At = TimeSpan.FromMilliseconds(entry["timestamp"]!.GetValue<double>()),
            };
            return options.TextOnly
                ? request with { Text = Text(input, hashes, options, random) }
                : request with { TokenIds = Tokens(input, hashes, options, random) };
        }
        catch (Exception broken) when (broken is JsonException or NullReferenceException or InvalidOperationException or FormatException)
        {
            throw new BenchException($"{options.Path} line {number}: timestamp, input_length and output_length are needed as numbers ({broken.Message})", broken);
        }
    }

    private static int[] Tokens(int length, long[] hashes, DatasetOptions options, Random random)
    {
        int[] tokens = new int[length];
        for (int start = 0; start < length; start += BlockTokens)
        {
            Random block = BlockRandom(start, hashes, random);
            for (int i = start; i < Math.Min(start + BlockTokens, length); i++) tokens[i] = block.Next(options.VocabSize);
        }
        return tokens;
    }

    private static string Text(int length, long[] hashes, DatasetOptions options, Random random)
    {
        StringBuilder text = new();
        for (int start = 0; start < length; start += BlockTokens)
        {
            SyntheticText block = new(BlockRandom(start, hashes, random), options.TokensPerWord);
            text.Append(block.Write(Math.Min(BlockTokens, length - start))).Append(' ');
        }
        return text.ToString();
    }

    private static Random BlockRandom(int start, long[] hashes, Random random) =>
        start / BlockTokens < hashes.Length ? new Random(hashes[start / BlockTokens].GetHashCode()) : random;
}
