using Baton.Bench.Load;

namespace Baton.Bench.Figures;

/// <summary>What one rank did in a run.</summary>
/// <param name="Tokens">Prompt tokens for a prefill rank, output tokens for a decode rank, both for a unified one.</param>
public sealed record RankShare(string Name, int Requests, long Tokens, double MeanTtftMs);

/// <summary>One prefill rank with one decode rank.</summary>
/// <param name="HandoverMs">Median, over the requests that reported one.</param>
public sealed record PairShare(string Prefill, string Decode, int Requests, double MeanTtftMs, long HandoverBytes, double HandoverMs);

/// <summary>Per rank and per pair figures, from what the responses report (<c>dp_rank</c>, <c>prefill_dp_rank</c>, <c>rank_source</c>).</summary>
/// <remarks>Over successful requests. Plain SGLang reports decode's rank only; then there are no prefill rows and no pairs.</remarks>
public sealed record PdFigures
{
    public required IReadOnlyList<RankShare> Prefill { get; init; }
    public required IReadOnlyList<RankShare> Decode { get; init; }
    public required IReadOnlyList<PairShare> Pairs { get; init; }
    /// <summary>How decode found the prefill rank, to the number of requests.</summary>
    public required IReadOnlyDictionary<string, int> RankSources { get; init; }
    public required long HandoverBytes { get; init; }
    public required Distribution HandoverMs { get; init; }

    public bool IsEmpty => Prefill.Count == 0 && Decode.Count == 0;
    /// <summary>Most loaded over mean, in tokens per rank that was seen; 1 is even, null without ranks.</summary>
    public double? PrefillImbalance => Imbalance(Prefill);
    public double? DecodeImbalance => Imbalance(Decode);

    public static PdFigures From(IReadOnlyList<RequestRecord> records)
    {
        RequestRecord[] good = [.. records.Where(record => record.IsSuccess)];
        bool isSplit = good.Any(record => record.PrefillDpRank is not null);
        RequestRecord[] moved = [.. good.Where(record => record.HandoverBytes > 0)];
        return new PdFigures
        {
            Prefill = Shares(good.Where(record => record.PrefillDpRank is not null), PrefillName, record => record.PromptTokens),
            Decode = Shares(good.Where(record => record.DpRank is not null), DecodeName, record => isSplit ? record.OutputTokens : record.PromptTokens + record.OutputTokens),
            Pairs = [.. good.Where(record => record.PrefillDpRank is not null && record.DpRank is not null)
                .GroupBy(record => (Prefill: PrefillName(record), Decode: DecodeName(record)))
                .Select(pair => new PairShare(
                    pair.Key.Prefill, pair.Key.Decode, pair.Count(), pair.Average(record => record.Ttft.TotalMilliseconds),
                    pair.Sum(record => record.HandoverBytes),
                    new Distribution(pair.Where(record => record.HandoverBytes > 0).Select(record => record.HandoverTime.TotalMilliseconds)).Median))
                .OrderBy(pair => pair.Prefill, StringComparer.Ordinal).ThenBy(pair => pair.Decode, StringComparer.Ordinal)],
            RankSources = good.Where(record => record.RankSource is not null).GroupBy(record => record.RankSource!, StringComparer.Ordinal)
                .OrderBy(source => source.Key, StringComparer.Ordinal).ToDictionary(source => source.Key, source => source.Count(), StringComparer.Ordinal),
            HandoverBytes = moved.Sum(record => record.HandoverBytes),
            HandoverMs = new Distribution(moved.Select(record => record.HandoverTime.TotalMilliseconds)),
        };
    }

    private static RankShare[] Shares(IEnumerable<RequestRecord> records, Func<RequestRecord, string> name, Func<RequestRecord, long> tokens) =>
        [.. records.GroupBy(name, StringComparer.Ordinal)
            .Select(rank => new RankShare(rank.Key, rank.Count(), rank.Sum(tokens), rank.Average(record => record.Ttft.TotalMilliseconds)))
            .OrderBy(rank => rank.Name.Length).ThenBy(rank => rank.Name, StringComparer.Ordinal)];

    private static double? Imbalance(IReadOnlyList<RankShare> ranks)
    {
        double mean = ranks.Count == 0 ? 0 : ranks.Average(rank => rank.Tokens);
        return mean == 0 ? null : ranks.Max(rank => rank.Tokens) / mean;
    }

    private static string PrefillName(RequestRecord record) => Name(record.PrefillWorker, record.PrefillDpRank!.Value);

    private static string DecodeName(RequestRecord record) => Name(record.DecodeWorker, record.DpRank!.Value);

    private static string Name(string? worker, int rank) => worker is null ? $"{rank}" : $"{worker}@{rank}";
}
