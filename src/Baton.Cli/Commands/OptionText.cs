using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using Microsoft.Extensions.Logging;

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

    /// <summary>Takes one of these words and nothing else. The library's own check does not say which flag it speaks of.</summary>
    public static void Among(this Option option, params string[] words)
    {
        option.CompletionSources.Add(words);
        option.Validators.Add(given =>
        {
            foreach (Token token in given.Tokens)
                if (!words.Contains(token.Value, StringComparer.Ordinal)) given.AddError($"{option.Name} is '{token.Value}': give {OneOf(words)}.");
        });
    }

    /// <summary>A level by .NET's name or by the one that SGLang's processes take.</summary>
    public static LogLevel Level(ArgumentResult argument)
    {
        string text = argument.Tokens[0].Value;
        if (text.Equals("info", StringComparison.OrdinalIgnoreCase)) return LogLevel.Information;
        if (text.Equals("warn", StringComparison.OrdinalIgnoreCase)) return LogLevel.Warning;
        if (!int.TryParse(text, out _) && Enum.TryParse(text, ignoreCase: true, out LogLevel level)) return level;
        argument.AddError($"--log-level is '{text}': give {OneOf([.. Enum.GetNames<LogLevel>().Select(name => name.ToLowerInvariant())])} (info and warn are understood).");
        return default;
    }

    private static string OneOf(string[] words) => words.Length == 1 ? words[0] : $"{string.Join(", ", words[..^1])} or {words[^1]}";

    public static void AtLeastOne(OptionResult result)
    {
        if (result.Tokens.Count > 0 && (!int.TryParse(result.Tokens[0].Value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int value) || value < 1))
            result.AddError($"{result.Option.Name} {result.Tokens[0].Value}: give a whole number of at least 1.");
    }
}
