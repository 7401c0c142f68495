using Baton.Bench.Figures;
using Baton.Bench.Load;

namespace Baton.Bench.Tests.Figures;

public sealed class PdFiguresTests
{
    private static RequestRecord Record(int prefill, int decode, int prompt, int output, long bytes = 0, double handoverMs = 0) =>
        new(0, new BenchRequest { Text = "a", PromptTokens = prompt, OutputTokens = output })
        {
            PrefillDpRank = prefill,
            DpRank = decode,
            OutputTokens = output,
            RankSource = prefill == 0 ? "room" : "query",
            HandoverBytes = bytes,
            HandoverTime = TimeSpan.FromMilliseconds(handoverMs),
        };

    [Fact]
    public void Prefill_is_weighed_by_prompt_tokens_and_decode_by_output_tokens()
    {
        PdFigures figures = PdFigures.From([Record(0, 0, 300, 5), Record(0, 1, 300, 5), Record(1, 1, 200, 10)]);

        Assert.Equal([("0", 2, 600L), ("1", 1, 200L)], figures.Prefill.Select(rank => (rank.Name, rank.Requests, rank.Tokens)));
        Assert.Equal(1.5, figures.PrefillImbalance);
        Assert.Equal([("0", 1, 5L), ("1", 2, 15L)], figures.Decode.Select(rank => (rank.Name, rank.Requests, rank.Tokens)));
        Assert.Equal(1.5, figures.DecodeImbalance);
        Assert.Equal((2, 1), (figures.RankSources["room"], figures.RankSources["query"]));
    }

    [Fact]
    public void Pairs_add_up_their_handovers()
    {
        PdFigures figures = PdFigures.From([Record(0, 1, 10, 1, 100, 4), Record(0, 1, 10, 1, 300, 8), Record(1, 0, 10, 1)]);

        Assert.Equal([("0", "1", 2, 400L, 6.0), ("1", "0", 1, 0L, 0.0)], figures.Pairs.Select(pair => (pair.Prefill, pair.Decode, pair.Requests, pair.HandoverBytes, pair.HandoverMs)));
        Assert.Equal(400, figures.HandoverBytes);
    }

    [Fact]
    public void Servers_that_name_no_rank_leave_it_empty()
    {
        RequestRecord plain = new(0, new BenchRequest { Text = "a", PromptTokens = 1, OutputTokens = 1 });

        PdFigures figures = PdFigures.From([plain]);

        Assert.True(figures.IsEmpty);
        Assert.Null(figures.PrefillImbalance);
    }
}
