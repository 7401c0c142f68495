using System.Text;
using Baton.Bench.Load;
using Baton.Core.Requests;

namespace Baton.Bench.Datasets;

/// <summary>Makes requests of a <see cref="RequestTrace"/>: equal hash ids give equal text or tokens, so what was shared in the trace is shared here.</summary>
internal static class TraceReader
{
    private const int BlockTokens = RequestTrace.BlockTokens;

    public static IReadOnlyList<BenchRequest> Read(DatasetOptions options, Random random)
    {
        if (options.Path is null) throw new BenchException("--dataset-name trace needs --dataset-path: JSON lines with timestamp, input_length and output_length.");
        try
        {
            using StreamReader lines = File.OpenText(options.Path);
            return [.. RequestTrace.Read(Path.GetFileName(options.Path), lines, options.NumPrompts).Select(traced => ToRequest(traced, options, random))];
        }
        catch (Exception broken) when (broken is IOException or UnauthorizedAccessException or FormatException)
        {
            throw new BenchException($"--dataset-path {options.Path}: {broken.Message}", broken);
        }
    }

    private static BenchRequest ToRequest(TracedRequest traced, DatasetOptions options, Random random)
    {
        BenchRequest request = new() { PromptTokens = traced.PromptTokens, OutputTokens = traced.OutputTokens, At = traced.At };
        return options.TextOnly
            ? request with { Text = Text(traced, options, random) }
            : request with { TokenIds = Tokens(traced, options, random) };
    }

    private static int[] Tokens(TracedRequest traced, DatasetOptions options, Random random)
    {
        int[] tokens = new int[traced.PromptTokens];
        for (int start = 0; start < tokens.Length; start += BlockTokens)
        {
            Random block = BlockRandom(start, traced.HashIds, random);
            for (int i = start; i < Math.Min(start + BlockTokens, tokens.Length); i++) tokens[i] = block.Next(options.VocabSize);
        }
        return tokens;
    }

    private static string Text(TracedRequest traced, DatasetOptions options, Random random)
    {
        StringBuilder text = new();
        for (int start = 0; start < traced.PromptTokens; start += BlockTokens)
        {
            SyntheticText block = new(BlockRandom(start, traced.HashIds, random), options.TokensPerWord);
            text.Append(block.Write(Math.Min(BlockTokens, traced.PromptTokens - start))).Append(' ');
        }
        return text.ToString();
    }

    private static Random BlockRandom(int start, IReadOnlyList<long> hashes, Random random) =>
        start / BlockTokens < hashes.Count ? new Random(hashes[start / BlockTokens].GetHashCode()) : random;
}
