using System.Globalization;
using System.Text;

namespace Baton.Core.Metrics;

/// <summary>Prometheus text format 0.0.4.</summary>
public static class PrometheusText
{
    public const string ContentType = "text/plain; version=0.0.4; charset=utf-8";

    public static string Write(IReadOnlyList<MetricSnapshot> metrics)
    {
        StringBuilder text = new();
        foreach (MetricSnapshot metric in metrics)
        {
            string name = NameOf(metric);
            text.Append("# HELP ").Append(name).Append(' ').Append(Escape(metric.Description ?? metric.Name, quote: false)).Append('\n');
            text.Append("# TYPE ").Append(name).Append(' ').Append(metric.Kind.ToString().ToLowerInvariant()).Append('\n');
            foreach (MetricPoint point in metric.Points)
            {
                if (metric.Kind == MetricKind.Histogram) WriteHistogram(text, name, metric, point);
                else Line(text, name, point.Labels, point.Value);
            }
        }
        return text.ToString();
    }

    /// <summary>Tags as labels, in the order of their names, without braces.</summary>
    public static string Labels(ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        if (tags.IsEmpty) return "";
        KeyValuePair<string, object?>[] ordered = tags.ToArray();
        Array.Sort(ordered, static (a, b) => string.CompareOrdinal(a.Key, b.Key));
        return string.Join(',', ordered.Select(tag => $"{Clean(tag.Key)}=\"{Escape(Convert.ToString(tag.Value, CultureInfo.InvariantCulture) ?? "", quote: true)}\""));
    }

    private static void WriteHistogram(StringBuilder text, string name, MetricSnapshot metric, MetricPoint point)
    {
        string comma = point.Labels.Length > 0 ? "," : "";
        for (int i = 0; i < metric.Bounds!.Count; i++) Line(text, $"{name}_bucket", $"{point.Labels}{comma}le=\"{Number(metric.Bounds[i])}\"", point.Buckets![i]);
        Line(text, $"{name}_bucket", $"{point.Labels}{comma}le=\"+Inf\"", point.Count);
        Line(text, $"{name}_sum", point.Labels, point.Value);
        Line(text, $"{name}_count", point.Labels, point.Count);
    }

    private static void Line(StringBuilder text, string name, string labels, double value)
    {
        text.Append(name);
        if (labels.Length > 0) text.Append('{').Append(labels).Append('}');
        text.Append(' ').Append(Number(value)).Append('\n');
    }

    /// <summary>baton.request.ttft in s becomes baton_request_ttft_seconds; a counter ends in _total.</summary>
    private static string NameOf(MetricSnapshot metric)
    {
        string unit = metric.Unit switch { "s" => "_seconds", "By" => "_bytes", _ => "" };
        string name = Clean(metric.Name);
        if (unit.Length > 0 && !name.EndsWith(unit, StringComparison.Ordinal)) name += unit;
        return metric.Kind == MetricKind.Counter ? name + "_total" : name;
    }

    private static string Clean(string name) => string.Create(name.Length, name, static (clean, from) =>
    {
        for (int i = 0; i < clean.Length; i++) clean[i] = char.IsAsciiLetterOrDigit(from[i]) || from[i] == '_' ? from[i] : '_';
    });

    private static string Escape(string text, bool quote)
    {
        string escaped = text.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\n", "\\n", StringComparison.Ordinal);
        return quote ? escaped.Replace("\"", "\\\"", StringComparison.Ordinal) : escaped;
    }

    private static string Number(double value) => double.IsPositiveInfinity(value) ? "+Inf" : double.IsNegativeInfinity(value) ? "-Inf"
        : double.IsNaN(value) ? "NaN" : value.ToString("R", CultureInfo.InvariantCulture);
}
