using Baton.Core.Requests;

namespace Baton.Core.Tests.Requests;

public sealed class RequestTraceTests
{
    [Fact]
    public void A_mooncake_trace_is_read_line_by_line()
    {
        IReadOnlyList<TracedRequest> trace = Read("""
            {"timestamp": 0, "input_length": 6755, "output_length": 500, "hash_ids": [0, 1, 2]}

            {"timestamp": 27482, "input_length": 12, "output_length": 1}
            {"timestamp": 27482.5, "input_length": 13, "output_length": 2, "hash_ids": null}
            """);

        Assert.Equal([(0, 6755, 500), (27.482, 12, 1), (27.4825, 13, 2)], trace.Select(r => (r.At.TotalSeconds, r.PromptTokens, r.OutputTokens)));
        Assert.Equal([0, 1, 2], trace[0].HashIds);
        Assert.All(trace.Skip(1), r => Assert.Empty(r.HashIds));
    }

    [Fact]
    public void Requests_come_by_time_and_those_of_one_time_in_the_order_of_their_lines()
    {
        IReadOnlyList<TracedRequest> trace = Read("""
            {"timestamp": 5, "input_length": 1, "output_length": 1}
            {"timestamp": 4, "input_length": 2, "output_length": 1}
            {"timestamp": 5, "input_length": 3, "output_length": 1}
            """);

        Assert.Equal([2, 1, 3], trace.Select(r => r.PromptTokens));
    }

    [Fact]
    public void A_trace_can_be_cut_and_nothing_behind_the_cut_is_read()
    {
        IReadOnlyList<TracedRequest> trace = Read("""
            {"timestamp": 1000, "input_length": 1, "output_length": 1}
            {"timestamp": 2000, "input_length": 2, "output_length": 1}
            not read any more
            """, limit: 2);

        Assert.Equal([1, 2], trace.Select(r => r.PromptTokens));
    }

    [Theory]
    [InlineData("", "t: the trace has no request")]
    [InlineData("{\"timestamp\": 0, \"input_length\": 5}", "no output_length")]
    [InlineData("{\"timestamp\": -1, \"input_length\": 5, \"output_length\": 1}", "timestamp must be")]
    [InlineData("{\"timestamp\": 1, \"input_length\": 0, \"output_length\": 1}", "lengths >= 1")]
    [InlineData("{\"timestamp\": 1, \"input_length\": 5, \"output_length\": 0}", "lengths >= 1")]
    [InlineData("{\"timestamp\": 1e300, \"input_length\": 1, \"output_length\": 1}", "more than ten years")]
    [InlineData("[1]", "no timestamp")]
    [InlineData("not json", "t line 1")]
    [InlineData("\n{\"timestamp\": \"x\", \"input_length\": 5, \"output_length\": 1}", "t line 2")]
    [InlineData("{\"timestamp\": 1, \"input_length\": 5, \"output_length\": 1, \"hash_ids\": [\"a\"]}", "t line 1")]
    public void What_is_no_trace_is_refused_with_its_line(string lines, string expected) =>
        Assert.Contains(expected, Assert.Throws<FormatException>(() => Read(lines)).Message, StringComparison.Ordinal);

    private static IReadOnlyList<TracedRequest> Read(string lines, int limit = int.MaxValue)
    {
        using StringReader text = new(lines);
        return RequestTrace.Read("t", text, limit);
    }
}
