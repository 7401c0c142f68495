using System.Text;

namespace Baton.Core.Text;

/// <summary>Joins the bytes of tokens to text: a character that is split over tokens comes out whole, with its last token.</summary>
/// <param name="isSkipped">Tokens that give no text; null skips none.</param>
public sealed class Utf8Detokenizer(ITextModel model, bool skipSpecial, Func<int, bool>? isSkipped = null) : IDetokenizer
{
    private readonly Decoder _decoder = Encoding.UTF8.GetDecoder();

    public string Append(int token)
    {
        if (skipSpecial && isSkipped is not null && isSkipped(token)) return "";
        return Decode(model.TokenBytes(token), flush: false);
    }

    public string Finish() => Decode([], flush: true);

    private string Decode(ReadOnlySpan<byte> bytes, bool flush)
    {
        int count = _decoder.GetCharCount(bytes, flush);
        if (count == 0)
        {
            // Also with no characters to show, the decoder must see the bytes: they may begin one.
            _decoder.GetChars(bytes, Span<char>.Empty, flush);
            return "";
        }
        Span<char> chars = count <= 256 ? stackalloc char[256] : new char[count];
        return new string(chars[.._decoder.GetChars(bytes, chars, flush)]);
    }
}
