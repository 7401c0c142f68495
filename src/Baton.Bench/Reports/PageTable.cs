using System.Text;

namespace Baton.Bench.Reports;

/// <summary>A table of a page. Everything is escaped.</summary>
internal static class PageTable
{
    /// <param name="columns">The first one names the rows.</param>
    public static string Write(string title, IReadOnlyList<string> columns, IEnumerable<IReadOnlyList<string>> rows)
    {
        StringBuilder table = new($"<h2>{SvgChart.Escape(title)}</h2><div class=\"scroll\"><table>");
        Row("th", columns);
        foreach (IReadOnlyList<string> row in rows) Row("td", row);
        return table.Append("</table></div>").ToString();

        void Row(string element, IReadOnlyList<string> cells)
        {
            table.Append("<tr>");
            foreach (string cell in cells) table.Append('<').Append(element).Append('>').Append(SvgChart.Escape(cell)).Append("</").Append(element).Append('>');
            table.Append("</tr>");
        }
    }
}
