using System.Buffers;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Baton.Bench.Datasets;
using Baton.Bench.Figures;
using Baton.Bench.Load;

namespace Baton.Bench.Reports;

/// <summary>One line of <c>--output-file</c>: bench_serving's keys in its order, then one key <c>baton</c> with what it does not measure.</summary>
public static class JsonLine
{
    private static readonly int[] Percents = [90, 95, 99];

    /// <remarks>An infinite request rate is written as Python's <c>Infinity</c>, which its json module reads and strict readers refuse.</remarks>
    public static string Write(
        string? tag, ReportHeader header, DatasetOptions dataset, ServingFigures figures, PdFigures pd, JsonNode? serverInfo,
        IReadOnlyList<RequestRecord>? details)
    {
        ArrayBufferWriter<byte> bytes = new();
        using (Utf8JsonWriter json = new(bytes))
        {
            json.WriteStartObject();
            WriteArguments(json, tag, header, dataset, serverInfo);
            WriteResults(json, header, figures);
            WriteOwn(json, figures, pd);
            if (details is not null) WriteDetails(json, details);
            json.WriteEndObject();
        }
        return Encoding.UTF8.GetString(bytes.WrittenSpan);
    }

    private static void WriteArguments(Utf8JsonWriter json, string? tag, ReportHeader header, DatasetOptions dataset, JsonNode? serverInfo)
    {
        json.WriteString("tag", tag);
        json.WriteString("backend", header.Backend);
        json.WriteString("dataset_name", dataset.Name);
        json.WritePropertyName("request_rate");
        if (header.RequestRate is not { } rate) json.WriteStringValue("trace");
        else json.WriteRawValue(double.IsPositiveInfinity(rate) ? "Infinity" : PythonFormat.Float(rate), skipInputValidation: true);
        Optional(json, "max_concurrency", header.MaxConcurrency);
        Optional(json, "sharegpt_output_len", dataset.SharegptOutputLen);
        json.WriteNumber("random_input_len", dataset.RandomInputLen);
        json.WriteNumber("random_output_len", dataset.RandomOutputLen);
        json.WriteNumber("random_range_ratio", dataset.RandomRangeRatio);
        json.WritePropertyName("server_info");
        if (serverInfo is null) json.WriteNullValue();
        else serverInfo.WriteTo(json);
    }

    private static void WriteResults(Utf8JsonWriter json, ReportHeader header, ServingFigures figures)
    {
        json.WriteNumber("duration", figures.Duration.TotalSeconds);
        json.WriteNumber("completed", figures.Completed);
        json.WriteNumber("total_input_tokens", figures.InputTokens);
        json.WriteNumber("total_input_text_tokens", figures.InputTokens);
        json.WriteNumber("total_input_vision_tokens", 0);
        json.WriteNumber("total_output_tokens", figures.OutputTokens);
        json.WriteNumber("total_output_tokens_retokenized", figures.OutputTokens);
        json.WriteNumber("request_throughput", figures.RequestThroughput);
        json.WriteNumber("input_throughput", figures.InputThroughput);
        json.WriteNumber("output_throughput", figures.OutputThroughput);
        json.WriteNumber("total_throughput", figures.TotalThroughput);
        Latency(json, "e2e_latency", figures.E2e);
        Latency(json, "ttft", figures.Ttft);
        Latency(json, "tpot", figures.Tpot);
        Latency(json, "itl", figures.Itl);
        json.WriteNumber("concurrency", figures.Concurrency);
        if (header.AcceptLength is { } accepted) json.WriteNumber("accept_length", accepted);
        else json.WriteNull("accept_length");
        json.WriteNumber("max_output_tokens_per_s", figures.PeakOutputTokensPerSecond);
        json.WriteNumber("max_concurrent_requests", figures.PeakConcurrentRequests);
    }

    private static void WriteOwn(Utf8JsonWriter json, ServingFigures figures, PdFigures pd)
    {
        json.WriteStartObject("baton");
        json.WriteNumber("issued", figures.Issued);
        json.WriteStartObject("errors");
        foreach ((string label, int count, _) in figures.Errors) json.WriteNumber(label, count);
        json.WriteEndObject();
        Latency(json, "ttft_from_intended", figures.TtftFromIntended);
        Latency(json, "lateness", figures.Lateness);
        Latency(json, "queueing", figures.Queueing);
        json.WriteNumber("max_itl_ms", figures.Itl.Max);
        if (figures.Goals.IsAny)
        {
            json.WriteNumber("goodput", figures.Goodput);
            Optional(json, "slo_ttft_ms", figures.Goals.Ttft?.TotalMilliseconds);
            Optional(json, "slo_itl_ms", figures.Goals.Itl?.TotalMilliseconds);
        }
        if (!pd.IsEmpty) WritePd(json, pd);
        json.WriteEndObject();
    }

    private static void WritePd(Utf8JsonWriter json, PdFigures pd)
    {
        Optional(json, "prefill_imbalance", pd.PrefillImbalance);
        Optional(json, "decode_imbalance", pd.DecodeImbalance);
        Ranks("prefill_ranks", pd.Prefill);
        Ranks("decode_ranks", pd.Decode);
        json.WriteStartArray("pairs");
        foreach (PairShare pair in pd.Pairs)
        {
            json.WriteStartObject();
            json.WriteString("prefill", pair.Prefill);
            json.WriteString("decode", pair.Decode);
            json.WriteNumber("requests", pair.Requests);
            json.WriteNumber("mean_ttft_ms", pair.MeanTtftMs);
            json.WriteNumber("handover_bytes", pair.HandoverBytes);
            json.WriteNumber("median_handover_ms", pair.HandoverMs);
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteStartObject("rank_sources");
        foreach ((string source, int count) in pd.RankSources) json.WriteNumber(source, count);
        json.WriteEndObject();
        json.WriteNumber("handover_bytes", pd.HandoverBytes);
        Latency(json, "handover", pd.HandoverMs);

        void Ranks(string key, IReadOnlyList<RankShare> ranks)
        {
            json.WriteStartArray(key);
            foreach (RankShare rank in ranks)
            {
                json.WriteStartObject();
                json.WriteString("rank", rank.Name);
                json.WriteNumber("requests", rank.Requests);
                json.WriteNumber("tokens", rank.Tokens);
                json.WriteNumber("mean_ttft_ms", rank.MeanTtftMs);
                json.WriteEndObject();
            }
            json.WriteEndArray();
        }
    }

    private static void WriteDetails(Utf8JsonWriter json, IReadOnlyList<RequestRecord> records)
    {
        Numbers("input_lens", record => record.PromptTokens);
        Numbers("output_lens", record => record.IsSuccess ? record.OutputTokens : 0);
        Numbers("ttfts", record => record.FirstTokenAt is null ? 0 : record.Ttft.TotalSeconds);
        json.WriteStartArray("itls");
        foreach (RequestRecord record in records)
        {
            json.WriteStartArray();
            foreach (double gap in record.InterTokenMs) json.WriteNumberValue(gap / 1000);
            json.WriteEndArray();
        }
        json.WriteEndArray();
        json.WriteStartArray("generated_texts");
        foreach (RequestRecord record in records) json.WriteStringValue(record.GeneratedText ?? "");
        json.WriteEndArray();
        json.WriteStartArray("errors");
        foreach (RequestRecord record in records) json.WriteStringValue(record.Error is { } error ? $"{error.Label}: {error.Message}" : "");
        json.WriteEndArray();
        // Ours: without it nobody could tell which requests shared a step (baton simulate fit).
        Numbers("start_times", record => record.StartedAt.TotalSeconds);

        void Numbers(string key, Func<RequestRecord, double> value)
        {
            json.WriteStartArray(key);
            foreach (RequestRecord record in records) json.WriteNumberValue(value(record));
            json.WriteEndArray();
        }
    }

    /// <summary>mean_, median_, std_ and the percentiles that bench_serving gives every metric, all in milliseconds.</summary>
    private static void Latency(Utf8JsonWriter json, string name, Distribution values)
    {
        json.WriteNumber($"mean_{name}_ms", values.Mean);
        json.WriteNumber($"median_{name}_ms", values.Median);
        json.WriteNumber($"std_{name}_ms", values.StandardDeviation);
        foreach (int percent in Percents) json.WriteNumber($"p{percent}_{name}_ms", values.Percentile(percent));
    }

    private static void Optional(Utf8JsonWriter json, string key, double? value)
    {
        if (value is { } number) json.WriteNumber(key, number);
        else json.WriteNull(key);
    }
}
