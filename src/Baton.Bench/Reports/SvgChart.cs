using System.Globalization;
using System.Text;

namespace Baton.Bench.Reports;

/// <summary>One named line or set of points of a chart.</summary>
/// <param name="Color">1 to 4: the page's colours.</param>
public sealed record Series(string Name, int Color, IReadOnlyList<(double X, double Y)> Points);

/// <summary>Axis titles carry the unit.</summary>
/// <param name="IsLogarithmic">The values span decades; none may be 0 or less.</param>
public sealed record Axis(string Title, bool IsLogarithmic = false);

/// <summary>Draws inline SVG: no script, no external resource, colours from the page's variables so that light and dark both read.</summary>
public static class SvgChart
{
    private const double Width = 640, Height = 336, Left = 72, Right = 20, Top = 52, Bottom = 52;

    /// <param name="connect">Lines with dots; otherwise dots alone.</param>
    /// <param name="marker">A vertical line with a label, or null.</param>
    public static string Lines(string title, Axis x, Axis y, IReadOnlyList<Series> series, bool connect = true, (double X, string Label)? marker = null)
    {
        (double X, double Y)[] all = [.. series.SelectMany(one => one.Points)];
        if (all.Length == 0) return Empty(title);
        Scale across = Scale.For(all.Select(point => point.X), x.IsLogarithmic, Left, Width - Right, fromZero: !x.IsLogarithmic);
        Scale up = Scale.For(all.Select(point => point.Y), y.IsLogarithmic, Height - Bottom, Top, fromZero: !y.IsLogarithmic);
        StringBuilder svg = Begin(title, x, y, across, up);
        if (marker is { } mark)
        {
            svg.Append(CultureInfo.InvariantCulture, $"<line class=\"mark\" x1=\"{across.At(mark.X):F1}\" x2=\"{across.At(mark.X):F1}\" y1=\"{Top}\" y2=\"{Height - Bottom}\"/>");
            Text(svg, across.At(mark.X) + 5, Top + 12, mark.Label, "tick");
        }
        foreach (Series one in series)
        {
            if (connect && one.Points.Count > 1)
            {
                string path = string.Join(' ', one.Points.Select(point => string.Create(CultureInfo.InvariantCulture, $"{across.At(point.X):F1},{up.At(point.Y):F1}")));
                svg.Append(CultureInfo.InvariantCulture, $"<polyline class=\"line s{one.Color}\" points=\"{path}\"/>");
            }
            if (connect && one.Points.Count > 40) continue;
            foreach ((double px, double py) in one.Points)
                svg.Append(CultureInfo.InvariantCulture, $"<circle class=\"dot s{one.Color}\" cx=\"{across.At(px):F1}\" cy=\"{up.At(py):F1}\" r=\"{(connect ? 3.5 : 2.2)}\"><title>{px:G5}, {py:G5}</title></circle>");
        }
        Legend(svg, series);
        return svg.Append("</svg>").ToString();
    }

    /// <summary>Vertical bars, one a label.</summary>
    public static string Bars(string title, Axis x, Axis y, IReadOnlyList<(string Label, double Value)> bars, int color)
    {
        if (bars.Count == 0) return Empty(title);
        Scale up = Scale.For(bars.Select(bar => bar.Value), false, Height - Bottom, Top, fromZero: true);
        StringBuilder svg = Begin(title, x, y, null, up);
        double step = (Width - Left - Right) / bars.Count;
        int every = Math.Max(1, bars.Count / 16);
        for (int i = 0; i < bars.Count; i++)
        {
            double at = Left + (i * step) + (step * 0.1);
            double top = up.At(bars[i].Value);
            svg.Append(CultureInfo.InvariantCulture, $"<rect class=\"bar s{color}\" x=\"{at:F1}\" y=\"{top:F1}\" width=\"{step * 0.8:F1}\" height=\"{Math.Max(0, Height - Bottom - top):F1}\"><title>{Escape(bars[i].Label)}: {bars[i].Value:G6}</title></rect>");
            if (i % every == 0) Text(svg, at + (step * 0.4), Height - Bottom + 16, bars[i].Label, "tick", "middle");
        }
        return svg.Append("</svg>").ToString();
    }

    /// <summary>Horizontal bars of several parts, one row a request, on a shared axis.</summary>
    public static string Waterfall(string title, Axis x, IReadOnlyList<(string Label, IReadOnlyList<double> Parts)> rows, IReadOnlyList<(string Name, int Color)> parts)
    {
        if (rows.Count == 0) return Empty(title);
        Scale across = Scale.For(rows.Select(row => row.Parts.Sum()), false, Left + 30, Width - Right, fromZero: true);
        StringBuilder svg = Begin(title, x, null, across, null);
        double step = (Height - Top - Bottom) / rows.Count;
        for (int i = 0; i < rows.Count; i++)
        {
            double y = Top + (i * step);
            Text(svg, Left + 22, y + (step * 0.7), rows[i].Label, "tick", "end");
            double from = 0;
            for (int part = 0; part < rows[i].Parts.Count; part++)
            {
                double length = rows[i].Parts[part];
                svg.Append(CultureInfo.InvariantCulture, $"<rect class=\"bar s{parts[part].Color}\" x=\"{across.At(from):F1}\" y=\"{y + (step * 0.15):F1}\" width=\"{Math.Max(0, across.At(from + length) - across.At(from)):F1}\" height=\"{step * 0.7:F1}\"><title>{Escape(parts[part].Name)}: {length:F2} ms</title></rect>");
                from += length;
            }
        }
        Legend(svg, [.. parts.Select(part => new Series(part.Name, part.Color, []))]);
        return svg.Append("</svg>").ToString();
    }

    private static StringBuilder Begin(string title, Axis x, Axis? y, Scale? across, Scale? up)
    {
        StringBuilder svg = new();
        svg.Append(CultureInfo.InvariantCulture, $"<svg viewBox=\"0 0 {Width} {Height}\" role=\"img\" aria-label=\"{Escape(title)}\">");
        Text(svg, Left, 18, title, "title");
        foreach (double tick in up?.Ticks ?? [])
        {
            svg.Append(CultureInfo.InvariantCulture, $"<line class=\"grid\" x1=\"{Left}\" x2=\"{Width - Right}\" y1=\"{up!.At(tick):F1}\" y2=\"{up.At(tick):F1}\"/>");
            Text(svg, Left - 8, up.At(tick) + 4, Short(tick), "tick", "end");
        }
        foreach (double tick in across?.Ticks ?? [])
        {
            svg.Append(CultureInfo.InvariantCulture, $"<line class=\"grid\" x1=\"{across!.At(tick):F1}\" x2=\"{across.At(tick):F1}\" y1=\"{Top}\" y2=\"{Height - Bottom}\"/>");
            Text(svg, across.At(tick), Height - Bottom + 16, Short(tick), "tick", "middle");
        }
        Text(svg, (Left + Width - Right) / 2, Height - 12, x.Title, "axis", "middle");
        if (y is not null)
            svg.Append(CultureInfo.InvariantCulture, $"<text class=\"axis\" text-anchor=\"middle\" transform=\"translate(16 {(Top + Height - Bottom) / 2}) rotate(-90)\">{Escape(y.Title)}</text>");
        return svg;
    }

    private static void Legend(StringBuilder svg, IReadOnlyList<Series> series)
    {
        if (series.Count < 2) return;
        // A row of its own: names such as URLs would run into the title.
        double x = Left;
        foreach (Series one in series)
        {
            svg.Append(CultureInfo.InvariantCulture, $"<rect class=\"bar s{one.Color}\" x=\"{x:F1}\" y=\"28\" width=\"10\" height=\"10\" rx=\"2\"/>");
            Text(svg, x + 15, 37, one.Name, "tick");
            x += (one.Name.Length * 6.6) + 34;
        }
    }

    private static string Empty(string title) => $"<p class=\"none\">{Escape(title)}: nothing was measured.</p>";

    private static void Text(StringBuilder svg, double x, double y, string text, string style, string anchor = "start") =>
        svg.Append(CultureInfo.InvariantCulture, $"<text class=\"{style}\" x=\"{x:F1}\" y=\"{y:F1}\" text-anchor=\"{anchor}\">{Escape(text)}</text>");

    private static string Short(double value) => Math.Abs(value) switch
    {
        0 => "0",
        >= 1e6 => (value / 1e6).ToString("0.##") + "M",
        >= 1e4 => (value / 1e3).ToString("0.##") + "k",
        < 1 => value.ToString("0.####"),
        _ => value.ToString("0.##"),
    };

    internal static string Escape(string text) => System.Net.WebUtility.HtmlEncode(text);

    /// <summary>Values to pixels, with ticks at round numbers.</summary>
    private sealed class Scale(double low, double high, bool isLog, double from, double to, IReadOnlyList<double> ticks)
    {
        public IReadOnlyList<double> Ticks => ticks;

        public double At(double value)
        {
            double share = isLog ? (Math.Log10(value) - Math.Log10(low)) / (Math.Log10(high) - Math.Log10(low)) : (value - low) / (high - low);
            return from + (share * (to - from));
        }

        public static Scale For(IEnumerable<double> values, bool isLog, double from, double to, bool fromZero)
        {
            double[] all = [.. values];
            double low = fromZero ? Math.Min(0, all.Min()) : all.Min();
            double high = all.Max() > low ? all.Max() : low + 1;
            if (isLog)
            {
                low = Math.Pow(10, Math.Floor(Math.Log10(low)));
                high = Math.Max(low * 10, Math.Pow(10, Math.Ceiling(Math.Log10(high))));
                int decades = (int)Math.Round(Math.Log10(high / low));
                return new Scale(low, high, true, from, to, [.. Enumerable.Range(0, decades + 1).Select(i => low * Math.Pow(10, i))]);
            }
            double step = RoundStep((high - low) / 5);
            // Values below 0 begin at a round number too, so that 0 itself gets a line.
            low = Math.Floor(low / step) * step;
            int count = (int)Math.Ceiling((high - low) / step - 1e-9);
            return new Scale(low, low + (count * step), false, from, to, [.. Enumerable.Range(0, count + 1).Select(i => low + (i * step))]);
        }

        private static double RoundStep(double raw)
        {
            double power = Math.Pow(10, Math.Floor(Math.Log10(raw)));
            return (raw / power) switch { <= 1 => 1, <= 2 => 2, <= 5 => 5, _ => 10 } * power;
        }
    }
}
