using System.Text.Json;
using Baton.Bench.Reports;
using Baton.Bench.Runs;
using Baton.Bench.Tests.Scripted;
using Baton.Simulation.Clock;

namespace Baton.Bench.Tests.Reports;

public sealed class ReportTests
{
    // Four requests at once: first token after 100, 200, 300, 400 ms, gaps of 20 and 30 + 10 n ms, [DONE] 5 ms later.
    private static BenchOutcome FourRequests()
    {
        VirtualTimeProvider time = new();
        int warmups = 1;
        ScriptedServer server = new(time, (n, _) =>
        {
            int i = n - warmups;
            return Script.Stream(
                Piece.Text(100 * (i + 1), Events.Native(1)), Piece.Text(20, Events.Native(2)),
                Piece.Text(30 + (10 * i), Events.Native(3)), Piece.Text(5, Events.Done));
        });
        return VirtualRun.Serve(time, server, VirtualRun.Settings(4));
    }

    [Fact]
    public void The_block_is_bench_servings_byte_for_byte()
    {
        // golden-report.txt was printed by Python with bench_serving's format strings, from figures that Python computed.
        using StreamReader golden = new(typeof(ReportTests).Assembly.GetManifestResourceStream("golden-report.txt")!);

        string block = ReportBlock.Write(FourRequests().Header, FourRequests().Figures);

        Assert.Equal(golden.ReadToEnd(), block);
    }

    [Theory]
    [InlineData(0.125, "0.12")]
    [InlineData(0.375, "0.38")]
    [InlineData(2.5, "2.50")]
    [InlineData(1.005, "1.00")]
    [InlineData(12345.675, "12345.67")]
    [InlineData(0.115, "0.12")]
    public void Numbers_round_as_python_rounds_them(double value, string expected)
    {
        Assert.Equal(expected, PythonFormat.Fixed2(value));
    }

    [Theory]
    [InlineData(double.PositiveInfinity, "inf")]
    [InlineData(2, "2.0")]
    [InlineData(3.2, "3.2")]
    [InlineData(0.00001, "1e-05")]
    public void Rates_print_as_python_floats(double value, string expected)
    {
        Assert.Equal(expected, PythonFormat.Float(value));
    }

    [Fact]
    public void The_json_line_has_bench_servings_keys_in_its_order()
    {
        BenchOutcome outcome = FourRequests();
        BenchSettings settings = VirtualRun.Settings(4);

        string line = JsonLine.Write("t", outcome.Header, settings.Dataset, outcome.Figures, outcome.Pd, null, outcome.Records);

        Assert.Contains("\"request_rate\":Infinity", line, StringComparison.Ordinal);
        using JsonDocument json = JsonDocument.Parse(line.Replace("Infinity", "1e999", StringComparison.Ordinal));
        Assert.Equal(
            "tag backend dataset_name request_rate max_concurrency sharegpt_output_len random_input_len random_output_len random_range_ratio server_info "
            + "duration completed total_input_tokens total_input_text_tokens total_input_vision_tokens total_output_tokens total_output_tokens_retokenized "
            + "request_throughput input_throughput output_throughput total_throughput "
            + "mean_e2e_latency_ms median_e2e_latency_ms std_e2e_latency_ms p90_e2e_latency_ms p95_e2e_latency_ms p99_e2e_latency_ms "
            + "mean_ttft_ms median_ttft_ms std_ttft_ms p90_ttft_ms p95_ttft_ms p99_ttft_ms "
            + "mean_tpot_ms median_tpot_ms std_tpot_ms p90_tpot_ms p95_tpot_ms p99_tpot_ms "
            + "mean_itl_ms median_itl_ms std_itl_ms p90_itl_ms p95_itl_ms p99_itl_ms "
            + "concurrency accept_length max_output_tokens_per_s max_concurrent_requests "
            + "baton input_lens output_lens ttfts itls generated_texts errors start_times",
            string.Join(' ', json.RootElement.EnumerateObject().Select(property => property.Name)));
        Assert.Equal((250, 370, 385, 397), (Number("mean_ttft_ms"), Number("p90_ttft_ms"), Number("p95_ttft_ms"), Number("p99_ttft_ms")));
        Assert.Equal([0.02, 0.06], json.RootElement.GetProperty("itls")[3].EnumerateArray().Select(gap => gap.GetDouble()));

        double Number(string key) => Math.Round(json.RootElement.GetProperty(key).GetDouble(), 9);
    }

    [Fact]
    public void The_default_file_name_is_bench_servings()
    {
        DateTimeOffset today = new(2026, 3, 7, 0, 0, 0, TimeSpan.Zero);
        BenchSettings settings = VirtualRun.Settings(4);

        Assert.Equal("sglang_0307_4_7_3.jsonl", OutputFileName.For(settings, today));
        Assert.Equal("sglang_0307_4_trace.jsonl", OutputFileName.For(settings with { Dataset = settings.Dataset with { Name = "trace" } }, today));
    }
}
