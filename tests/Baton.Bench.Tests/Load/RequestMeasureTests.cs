using System.Text;
using Baton.Bench.Load;
using Baton.Bench.Tests.Scripted;

namespace Baton.Bench.Tests.Load;

/// <summary>What one response turns into, to the millisecond.</summary>
public sealed class RequestMeasureTests
{
    [Fact]
    public void A_native_stream_gives_ttft_gaps_and_latency()
    {
        Script script = Script.Stream(
            Piece.Text(120, Events.Native(1)), Piece.Text(20, Events.Native(2)), Piece.Text(35, Events.Native(3)), Piece.Text(5, Events.Done)) with
        { HeadAfterMs = 10 };

        RequestRecord record = VirtualRun.One(script);

        Assert.Null(record.Error);
        Assert.Equal(130, record.Ttft.TotalMilliseconds);
        Assert.Equal([20.0, 35.0], record.InterTokenMs);
        Assert.Equal(190, record.Latency.TotalMilliseconds);
        Assert.Equal(30, record.Tpot!.Value.TotalMilliseconds);
        Assert.Equal((7, 3), (record.PromptTokens, record.OutputTokens));
    }

    [Fact]
    public void A_gap_is_spread_over_the_tokens_of_its_event_and_an_event_without_new_ones_adds_to_the_next()
    {
        Script script = Script.Stream(
            Piece.Text(50, Events.Native(1)), Piece.Text(30, Events.Native(4)), Piece.Text(7, Events.Native(4)), Piece.Text(13, Events.Native(5)), Piece.Text(0, Events.Done));

        RequestRecord record = VirtualRun.One(script);

        Assert.Equal([10.0, 10.0, 10.0, 20.0], record.InterTokenMs);
        Assert.Equal(5, record.OutputTokens);
    }

    [Fact]
    public void Events_without_text_do_not_count_as_the_first_token()
    {
        Script script = Script.Stream(Piece.Text(40, Events.Native(0, text: "")), Piece.Text(60, Events.Native(1)), Piece.Text(1, Events.Done));

        RequestRecord record = VirtualRun.One(script);

        Assert.Equal(100, record.Ttft.TotalMilliseconds);
    }

    [Fact]
    public void An_openai_stream_has_one_gap_a_chunk_and_its_counts_from_usage()
    {
        Script script = Script.Stream(
            Piece.Text(100, Events.Completion("a")), Piece.Text(10, Events.Completion("b c")), Piece.Text(15, Events.Completion("", "\"length\"")),
            Piece.Text(5, Events.Usage(11, 4)), Piece.Text(5, Events.Done));

        RequestRecord record = VirtualRun.One(script, "sglang-oai");

        Assert.Null(record.Error);
        Assert.Equal(100, record.Ttft.TotalMilliseconds);
        Assert.Equal([10.0], record.InterTokenMs);
        Assert.Equal(135, record.Latency.TotalMilliseconds);
        Assert.Equal((11, 4), (record.PromptTokens, record.OutputTokens));
    }

    [Fact]
    public void A_chat_stream_counts_content_and_not_the_role_chunk()
    {
        Script script = Script.Stream(Piece.Text(5, Events.Chat("")), Piece.Text(45, Events.Chat("a")), Piece.Text(10, Events.Chat("b")), Piece.Text(1, Events.Done));

        RequestRecord record = VirtualRun.One(script, "sglang-oai-chat", keepText: true);

        Assert.Equal(50, record.Ttft.TotalMilliseconds);
        Assert.Equal([10.0], record.InterTokenMs);
        Assert.Equal(("ab", 2), (record.GeneratedText, record.OutputTokens));
    }

    [Fact]
    public void Without_streaming_ttft_is_the_latency()
    {
        Script script = Script.Stream(Piece.Text(200, """{"text":"a b","meta_info":{"prompt_tokens":9,"completion_tokens":"""), Piece.Text(50, "2}}"));

        RequestRecord record = VirtualRun.One(script, stream: false);

        Assert.Null(record.Error);
        Assert.Equal((250.0, 250.0), (record.Ttft.TotalMilliseconds, record.Latency.TotalMilliseconds));
        Assert.Equal((9, 2), (record.PromptTokens, record.OutputTokens));
    }

    [Fact]
    public void A_stream_cut_at_any_byte_reads_the_same()
    {
        byte[] body = Encoding.UTF8.GetBytes(
            ": comment\r\n\r\n" + Events.Native(1, text: "grün").Replace("\n", "\r\n", StringComparison.Ordinal) + Events.Native(2, meta: ",\"dp_rank\":3") + Events.Done);

        for (int cut = 1; cut < body.Length; cut++)
        {
            RequestRecord record = VirtualRun.One(Script.Stream(new Piece(10, body[..cut]), new Piece(0, body[cut..])), keepText: true);

            Assert.Null(record.Error);
            Assert.Equal((10.0, 2, 3, "word"), (record.Ttft.TotalMilliseconds, record.OutputTokens, record.DpRank!.Value, record.GeneratedText));
        }
    }

    [Fact]
    public void A_line_longer_than_the_buffer_is_read_whole()
    {
        string text = new('x', 100_000);
        Script script = Script.Stream(Piece.Text(10, Events.Native(1, text: text)), Piece.Text(10, Events.Done));

        RequestRecord record = VirtualRun.One(script, keepText: true);

        Assert.Null(record.Error);
        Assert.Equal(text, record.GeneratedText);
    }

    [Fact]
    public void Ranks_and_handover_come_from_meta_info_and_workers_from_the_routers_headers()
    {
        string meta = """,  "dp_rank":2,"prefill_dp_rank":1,"rank_source":"query","handover_bytes":4096,"handover_ms":12.5,"cached_tokens":3""";
        Script script = Script.Stream(Piece.Text(1, Events.Native(1, meta: meta) + Events.Done)) with
        {
            Headers = new Dictionary<string, string>(StringComparer.Ordinal) { ["x-baton-prefill"] = "http://p0", ["x-baton-decode"] = "http://d1" },
        };

        RequestRecord record = VirtualRun.One(script);

        Assert.Equal((2, 1, "query", 4096L, 12.5, 3), (record.DpRank!.Value, record.PrefillDpRank!.Value, record.RankSource, record.HandoverBytes, record.HandoverTime.TotalMilliseconds, record.CachedTokens));
        Assert.Equal(("http://p0", "http://d1"), (record.PrefillWorker, record.DecodeWorker));
    }
}
