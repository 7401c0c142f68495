using System.CommandLine.Parsing;
using System.Globalization;

namespace Baton.Cli.Commands;

/// <summary>Readers that options of several commands share.</summary>
internal static class OptionText
{
    /// <summary><c>2s</c> or <c>50ms</c>; above 0.</summary>
    public static TimeSpan Duration(ArgumentResult argument)
    {
        string text = argument.Tokens[0].Value;
        (string number, double scale) = text switch
        {
            _ when text.EndsWith("ms", StringComparison.Ordinal) => (text[..^2], 1.0),
            _ when text.EndsWith('s') => (text[..^1], 1000.0),
            _ => (text, 1.0),
        };
        if (double.TryParse(number, NumberStyles.Float, CultureInfo.InvariantCulture, out double amount) && amount is > 0 and < 1e12) return TimeSpan.FromMilliseconds(amount * scale);
        argument.AddError($"{text}: give a duration such as 2s or 50ms (a bare number is milliseconds).");
        return TimeSpan.Zero;
    }

    public static void AtLeastOne(OptionResult result)
    {
        if (result.Tokens.Count > 0 && (!int.TryParse(result.Tokens[0].Value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int value) || value < 1))
            result.AddError($"{result.Option.Name} {result.Tokens[0].Value}: give a whole number of at least 1.");
    }
}
