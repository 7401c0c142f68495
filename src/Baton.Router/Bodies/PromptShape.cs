using System.Text.Json;

namespace Baton.Router.Bodies;

/// <summary>What one prompt member looks like: one prompt or a batch, how long, and where its bytes are.</summary>
/// <param name="Start">Offset of the value's first byte in the body.</param>
/// <param name="End">Offset behind its last byte.</param>
/// <param name="IsBatch">A list of strings, or a list of lists of token ids. A list of integers is one tokenised prompt.</param>
/// <param name="Count">Elements of the outer list.</param>
/// <param name="Chars">Bytes of string values as written, escapes included.</param>
/// <param name="Integers">Token ids.</param>
internal readonly record struct PromptShape(int Start, int End, bool IsBatch, int Count, int Chars, int Integers)
{
    // Four UTF-8 bytes a token is the usual ratio of English text; only comparisons between workers depend on it.
    private const int BytesPerToken = 4;

    public bool IsPresent => End > Start;

    public int Tokens => Math.Max(1, Integers + (Chars + BytesPerToken - 1) / BytesPerToken);

    /// <summary>A chat's messages are one prompt, however many there are.</summary>
    public PromptShape AsConversation() => this with { IsBatch = false, Count = 1 };

    /// <summary>Reads the value that follows; the reader ends on its last token.</summary>
    public static PromptShape Take(ref Utf8JsonReader json)
    {
        json.Read();
        int start = (int)json.TokenStartIndex;
        if (json.TokenType == JsonTokenType.String) return new PromptShape(start, (int)json.BytesConsumed, false, 1, RawLength(ref json), 0);
        if (json.TokenType != JsonTokenType.StartArray)
        {
            json.Skip();
            return new PromptShape(start, (int)json.BytesConsumed, false, 1, 0, 0);
        }
        return TakeList(ref json, start);
    }

    private static PromptShape TakeList(ref Utf8JsonReader json, int start)
    {
        int depth = json.CurrentDepth;
        int count = 0, chars = 0, integers = 0;
        bool nested = false;
        while (json.Read() && json.CurrentDepth > depth)
        {
            if (json.CurrentDepth == depth + 1)
            {
                if (json.TokenType is JsonTokenType.EndArray or JsonTokenType.EndObject) continue;
                count++;
                nested |= json.TokenType is JsonTokenType.String or JsonTokenType.StartArray;
            }
            if (json.TokenType == JsonTokenType.String) chars += RawLength(ref json);
            else if (json.TokenType == JsonTokenType.Number) integers++;
        }
        return new PromptShape(start, (int)json.BytesConsumed, nested || count == 0, count, chars, integers);
    }

    private static int RawLength(ref Utf8JsonReader json) => json.ValueSpan.Length;
}
