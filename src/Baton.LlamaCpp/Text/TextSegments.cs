namespace Baton.LlamaCpp.Text;

/// <summary>Cuts long texts before the native tokenizer sees them, because its stack grows with what one regular expression matches.</summary>
/// <remarks>
/// Measured with llama.cpp v0.5.0: byte-pair vocabularies of many families (tekken, deepseek, gpt-4o, llama4, bloom, falcon, ...) are split by
/// std::regex, which recurses about 400 bytes deep per character. 3,900 equal letters end a process whose thread has 1.5 MB of stack;
/// some families match across words too, so no kind of text is safe by itself. So a longer text is cut into segments, at a blank before
/// a word where there is one, and tokenized on a thread with stack for five such segments. Cuts at a blank before a word give the
/// same tokens as no cut, since words take the blank before them along.
/// </remarks>
internal static class TextSegments
{
    /// <summary>Texts up to here run on the caller's thread: 0.4 MB of its stack at worst.</summary>
    internal const int ShortChars = 1000;

    internal const int MaxChars = 32_000;

    internal const int StackBytes = 64 << 20;

    private const int SearchChars = 4000;

    /// <returns>Where the segment that begins at <paramref name="start"/> ends: at most <see cref="MaxChars"/> on, never inside a character.</returns>
    internal static int End(string text, int start)
    {
        int limit = start + MaxChars;
        if (limit >= text.Length) return text.Length;
        for (int at = limit; at > limit - SearchChars; at--)
            if (text[at] == ' ' && !char.IsWhiteSpace(text[at - 1]) && char.IsLetter(text[at + 1 < text.Length ? at + 1 : at])) return at;
        for (int at = limit; at > limit - SearchChars; at--)
            if (text[at - 1] == '\n' && !char.IsWhiteSpace(text[at])) return at;
        return char.IsLowSurrogate(text[limit]) && char.IsHighSurrogate(text[limit - 1]) ? limit - 1 : limit;
    }
}
