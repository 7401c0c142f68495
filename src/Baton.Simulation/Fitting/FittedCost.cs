using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using Baton.Core.Engine.Simulated;

namespace Baton.Simulation.Fitting;

/// <summary>What <c>baton simulate fit</c> found, and the file that carries it to the simulator and to <c>serve --engine simulated</c>.</summary>
public sealed record FittedCost
{
    public required CostModel Cost { get; init; }
    /// <summary>What a request takes outside of the engine: HTTP, queues, hand-over. No part of the cost model, which is the engine's alone.</summary>
    public required double OverheadMs { get; init; }
    /// <summary>Of the measured engine: a prompt costs a step's fixed part for each chunk.</summary>
    public required int ChunkedPrefillSize { get; init; }
    public required IReadOnlyList<string> Sources { get; init; }
    /// <summary>Times to first token, by prompt length.</summary>
    public required FitQuality Prompts { get; init; }
    /// <summary>Gaps between tokens, by batch size.</summary>
    public required FitQuality Gaps { get; init; }

    public string ToJson() => JsonSerializer.Serialize(
        new FittedCostJson(Cost.ToString(), OverheadMs, ChunkedPrefillSize, Sources, Prompts, Gaps), FittedCostContext.Default.FittedCostJson) + "\n";

    /// <exception cref="FormatException">Not such a document.</exception>
    public static FittedCost FromJson(string text)
    {
        try
        {
            FittedCostJson read = JsonSerializer.Deserialize(text, FittedCostContext.Default.FittedCostJson) ?? throw new JsonException("null");
            return new FittedCost { Cost = CostModel.Parse(read.CostModel), OverheadMs = read.OverheadMs, ChunkedPrefillSize = read.ChunkedPrefillSize, Sources = read.Sources, Prompts = read.Prompts, Gaps = read.Gaps };
        }
        catch (JsonException wrong)
        {
            throw new FormatException($"not a file of 'baton simulate fit': {wrong.Message}", wrong);
        }
    }

    /// <summary>Parameters and residuals for a person.</summary>
    public string ToText()
    {
        StringBuilder text = new();
        Line(text, "fixed       ", Cost.FixedMs, "ms a step");
        Line(text, "prompt      ", Cost.PromptTokenMs, "ms a prompt token");
        Line(text, "attention   ", Cost.AttentionMs, "ms a pair of a prompt token and a position before it");
        Line(text, "row         ", Cost.RowMs, "ms a decode row");
        Line(text, "row-context ", Cost.RowContextMs, "ms a position before a row");
        Line(text, "overhead    ", OverheadMs, "ms a request outside of the engine (no part of the cost model)");
        text.AppendLine("copy         not measured: it is part of prompt and of overhead");
        Table(text, "times to first token of requests that were alone", "prompt tokens", Prompts);
        Table(text, "stretches of gaps between tokens without a prompt in them", "batch", Gaps);
        return text.ToString();
    }

    private static void Line(StringBuilder text, string name, double value, string unit) =>
        text.AppendLine(CultureInfo.InvariantCulture, $"{name} {value,12:G6} {unit}");

    private static void Table(StringBuilder text, string what, string key, FitQuality quality)
    {
        text.AppendLine(CultureInfo.InvariantCulture, $"\n{quality.Used} {what} ({quality.Strays} strays left out): mean error {quality.MeanErrorPercent:F1} %, one in ten above {quality.P90ErrorPercent:F1} %");
        text.AppendLine(CultureInfo.InvariantCulture, $"{key,14}  samples  measured ms   fitted ms");
        foreach (FitRow row in quality.Rows) text.AppendLine(CultureInfo.InvariantCulture, $"{row.Key,14:F1}  {row.Samples,7}  {row.MeasuredMs,11:F3} {row.FittedMs,11:F3}");
    }
}

/// <summary>JSON shape of the file.</summary>
internal sealed record FittedCostJson(string CostModel, double OverheadMs, int ChunkedPrefillSize, IReadOnlyList<string> Sources, FitQuality Prompts, FitQuality Gaps);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, WriteIndented = true, RespectRequiredConstructorParameters = true, RespectNullableAnnotations = true)]
[JsonSerializable(typeof(FittedCostJson))]
internal sealed partial class FittedCostContext : JsonSerializerContext;
