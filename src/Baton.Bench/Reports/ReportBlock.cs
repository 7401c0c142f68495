using System.Text;
using Baton.Bench.Figures;

namespace Baton.Bench.Reports;

/// <summary>What the report names besides the figures.</summary>
/// <param name="RequestRate">Infinity for all at once; null when a trace sets the times.</param>
/// <param name="AcceptLength">Speculative accept length from the server, or null.</param>
public sealed record ReportHeader(string Backend, double? RequestRate, int? MaxConcurrency, double? AcceptLength);

/// <summary>The result block of bench_serving, byte for byte: labels padded to 40, values left-aligned to 10, two decimals.</summary>
/// <remarks>The lines are those of the newest bench_serving; older ones lack some of P90 and P95, and have no line that is missing here.</remarks>
public static class ReportBlock
{
    /// <summary>Starts with an empty line and ends with a newline, as bench_serving prints it.</summary>
    public static string Write(ReportHeader header, ServingFigures figures)
    {
        StringBuilder block = new();
        block.Append('\n').Append(PythonFormat.Heading(" Serving Benchmark Result ", '=')).Append('\n');
        Line("Backend:", header.Backend);
        Line("Traffic request rate:", header.RequestRate is { } rate ? PythonFormat.Float(rate) : "trace");
        Line("Max request concurrency:", header.MaxConcurrency?.ToString() ?? "not set");
        Line("Successful requests:", figures.Completed.ToString());
        Number("Benchmark duration (s):", figures.Duration.TotalSeconds);
        Line("Total input tokens:", figures.InputTokens.ToString());
        Line("Total input text tokens:", figures.InputTokens.ToString());
        Line("Total generated tokens:", figures.OutputTokens.ToString());
        // Bench has no tokenizer; the server's own count stands here too.
        Line("Total generated tokens (retokenized):", figures.OutputTokens.ToString());
        Number("Request throughput (req/s):", figures.RequestThroughput);
        Number("Input token throughput (tok/s):", figures.InputThroughput);
        Number("Output token throughput (tok/s):", figures.OutputThroughput);
        Number("Peak output token throughput (tok/s):", figures.PeakOutputTokensPerSecond);
        Line("Peak concurrent requests:", figures.PeakConcurrentRequests.ToString());
        Number("Total token throughput (tok/s):", figures.TotalThroughput);
        Number("Concurrency:", figures.Concurrency);
        if (header.AcceptLength is { } accepted and not 0) Number("Accept length:", accepted);

        Heading("End-to-End Latency");
        Number("Mean E2E Latency (ms):", figures.E2e.Mean);
        Number("Median E2E Latency (ms):", figures.E2e.Median);
        Number("P90 E2E Latency (ms):", figures.E2e.Percentile(90));
        Number("P95 E2E Latency (ms):", figures.E2e.Percentile(95));
        Number("P99 E2E Latency (ms):", figures.E2e.Percentile(99));
        Heading("Time to First Token");
        Number("Mean TTFT (ms):", figures.Ttft.Mean);
        Number("Median TTFT (ms):", figures.Ttft.Median);
        Number("P90 TTFT (ms):", figures.Ttft.Percentile(90));
        Number("P95 TTFT (ms):", figures.Ttft.Percentile(95));
        Number("P99 TTFT (ms):", figures.Ttft.Percentile(99));
        Heading("Time per Output Token (excl. 1st token)");
        Number("Mean TPOT (ms):", figures.Tpot.Mean);
        Number("Median TPOT (ms):", figures.Tpot.Median);
        Number("P90 TPOT (ms):", figures.Tpot.Percentile(90));
        Number("P95 TPOT (ms):", figures.Tpot.Percentile(95));
        Number("P99 TPOT (ms):", figures.Tpot.Percentile(99));
        Heading("Inter-Token Latency");
        Number("Mean ITL (ms):", figures.Itl.Mean);
        Number("Median ITL (ms):", figures.Itl.Median);
        Number("P90 ITL (ms):", figures.Itl.Percentile(90));
        Number("P95 ITL (ms):", figures.Itl.Percentile(95));
        Number("P99 ITL (ms):", figures.Itl.Percentile(99));
        Number("Max ITL (ms):", figures.Itl.Max);
        block.Append('=', 50).Append('\n');
        return block.ToString();

        void Line(string label, string value) => block.Append(label.PadRight(40)).Append(' ').Append(value.PadRight(10)).Append('\n');
        void Number(string label, double value) => Line(label, PythonFormat.Fixed2(value));
        void Heading(string text) => block.Append(PythonFormat.Heading(text, '-')).Append('\n');
    }
}
