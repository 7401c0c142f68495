using System.Net;
using Baton.Bench.Load;
using Baton.Bench.Tests.Scripted;

namespace Baton.Bench.Tests.Load;

/// <summary>Every way in which a request misses is seen, and counted under its own name.</summary>
public sealed class RequestErrorTests
{
    [Theory]
    [InlineData("""data: {"error":{"message":"no cells","code":"out_of_cells"}}""", "error in a 200 stream (out_of_cells)")]
    [InlineData("""data: {"error":"no cells"}""", "error in a 200 stream")]
    [InlineData("""data: {"object":"error","message":"too long","code":400}""", "error in a 200 stream (400)")]
    [InlineData("""{"error":{"message":"not even SSE","code":500}}""", "error in a 200 stream (500)")]
    [InlineData("""data: {"text":"","meta_info":{"finish_reason":{"type":"abort","message":"gone","status_code":503}}}""", "aborted (503)")]
    [InlineData("data: {broken", "bad response")]
    public void An_error_inside_a_200_stream_is_an_error(string line, string label)
    {
        Script script = Script.Stream(Piece.Text(30, Events.Native(1)), Piece.Text(10, line + "\n\n"), Piece.Text(5, Events.Done));

        RequestRecord record = VirtualRun.One(script);

        Assert.Equal(label, record.Error?.Label);
        Assert.Equal(45, record.Latency.TotalMilliseconds);
    }

    [Fact]
    public void A_stream_that_ends_early_is_truncated()
    {
        RequestRecord record = VirtualRun.One(Script.Stream(Piece.Text(30, Events.Native(1)), Piece.Text(10, Events.Native(2))));

        Assert.Equal(RequestErrorKind.Truncated, record.Error?.Kind);
        Assert.Contains("after 2 tokens", record.Error!.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_finish_reason_ends_a_stream_even_without_the_done_line()
    {
        RequestRecord record = VirtualRun.One(Script.Stream(Piece.Text(30, Events.Native(1, finish: """{"type":"stop","matched":2}"""))));

        Assert.Null(record.Error);
    }

    [Fact]
    public void A_connection_that_breaks_in_the_body_is_truncated_with_the_reason()
    {
        RequestRecord record = VirtualRun.One(Script.Stream(Piece.Text(30, Events.Native(1))) with { Breaks = true });

        Assert.Equal(RequestErrorKind.Truncated, record.Error?.Kind);
        Assert.Contains("the connection was reset", record.Error!.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_status_other_than_200_is_counted_by_its_number_and_keeps_the_servers_words()
    {
        RequestRecord record = VirtualRun.One(Script.Stream(Piece.Text(5, """{"error":{"message":"queue is full"}}""")) with { Status = HttpStatusCode.ServiceUnavailable, HeadAfterMs = 20 });

        Assert.Equal("http status (503)", record.Error?.Label);
        Assert.Contains("queue is full", record.Error!.Message, StringComparison.Ordinal);
        Assert.Equal(25, record.Latency.TotalMilliseconds);
    }

    [Theory]
    [InlineData(99, true)]
    [InlineData(100, false)]
    public void A_request_past_its_deadline_is_a_timeout(int lastByteAtMs, bool isComplete)
    {
        RequestRecord record = VirtualRun.One(Script.Stream(Piece.Text(50, Events.Native(1)), Piece.Text(lastByteAtMs - 50, Events.Done)), timeoutMs: 100);

        Assert.Equal(isComplete, record.IsSuccess);
        if (!isComplete) Assert.Equal(RequestErrorKind.Timeout, record.Error?.Kind);
    }

    [Fact]
    public void A_complete_answer_without_a_token_is_an_error()
    {
        RequestRecord record = VirtualRun.One(Script.Stream(Piece.Text(5, Events.Done)));

        Assert.Equal(RequestErrorKind.NoTokens, record.Error?.Kind);
    }
}
