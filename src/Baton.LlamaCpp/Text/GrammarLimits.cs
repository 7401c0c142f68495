namespace Baton.LlamaCpp.Text;

/// <summary>What a GBNF text may cost before the native parser sees it. That parser recurses per bracket and copies per repetition.</summary>
public static class GrammarLimits
{
    public const int MaxBytes = 64 << 10;
    public const int MaxDepth = 32;
    public const int MaxRules = 1024;
    /// <summary>Largest number inside <c>{ }</c>.</summary>
    public const int MaxRepetition = 1000;
    /// <summary>Sum of all those numbers: each repetition is copied out.</summary>
    public const int MaxRepetitions = 10_000;

    /// <returns>Null when the text is within the limits, else which one it breaks.</returns>
    public static string? FindExcess(string grammar)
    {
        if (grammar.Length > MaxBytes || System.Text.Encoding.UTF8.GetByteCount(grammar) > MaxBytes) return $"The grammar is longer than {MaxBytes} bytes.";
        // llama.cpp takes an empty text for "no grammar" and constrains nothing.
        if (string.IsNullOrWhiteSpace(grammar)) return "The grammar is empty; it needs a rule named \"root\".";
        if (grammar.Contains('\0')) return "The grammar has a zero character in it.";

        int depth = 0, rules = 0, repetitions = 0;
        for (int at = 0; at < grammar.Length; at++)
        {
            switch (grammar[at])
            {
                case '#': at = SkipTo(grammar, at, '\n', hasEscapes: false); break;
                case '"': at = SkipTo(grammar, at, '"', hasEscapes: true); break;
                case '[': at = SkipTo(grammar, at, ']', hasEscapes: true); break;
                case '(':
                    if (++depth > MaxDepth) return $"The grammar nests brackets more than {MaxDepth} deep.";
                    break;
                case ')': depth--; break;
                case ':':
                    if (grammar.AsSpan(at).StartsWith("::=") && ++rules > MaxRules) return $"The grammar has more than {MaxRules} rules.";
                    break;
                case '{':
                    if (!TryCountRepetitions(grammar, ref at, ref repetitions)) return $"The grammar repeats something more than {MaxRepetition} times, or all together more than {MaxRepetitions} times.";
                    break;
            }
        }
        return null;
    }

    private static int SkipTo(string text, int from, char end, bool hasEscapes)
    {
        int at = from + 1;
        for (; at < text.Length && text[at] != end; at++)
            if (hasEscapes && text[at] == '\\') at++;
        return at;
    }

    private static bool TryCountRepetitions(string text, ref int at, ref int total)
    {
        int number = 0;
        for (at++; at < text.Length && text[at] != '}'; at++)
        {
            if (!char.IsAsciiDigit(text[at]))
            {
                total += number;
                number = 0;
                continue;
            }
            number = (number * 10) + (text[at] - '0');
            if (number > MaxRepetition) return false;
        }
        total += number;
        return total <= MaxRepetitions;
    }
}
