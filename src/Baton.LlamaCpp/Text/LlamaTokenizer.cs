using System.Buffers;
using System.Runtime.ExceptionServices;
using System.Text;
using Baton.Core.Engine;
using Baton.LlamaCpp.Native;

namespace Baton.LlamaCpp.Text;

/// <summary>The model's vocabulary. The native tokenizer only reads it, so this is safe from any thread.</summary>
/// <remarks>The bytes of every token are copied out once: detokenizing needs no native call, which would throw C++ exceptions for a foreign id.</remarks>
public sealed unsafe class LlamaTokenizer
{
    /// <summary>Longest text, in UTF-8 bytes: far beyond any context, and far below the native side's 32-bit sizes.</summary>
    public const int MaxTextBytes = 64 << 20;

    private const int AttributeUnknown = 1 << 0, AttributeControl = 1 << 3;
    private const int BytePairVocabulary = 2;

    private readonly ModelHandle _model;
    private readonly byte[] _pieces;
    private readonly int[] _pieceEnds;
    private readonly TokenKind[] _kinds;
    private readonly bool _splitsByRegex;
    private readonly int[] _starts;
    private readonly int[] _ends;

    internal LlamaTokenizer(ModelHandle model)
    {
        _model = model;
        Vocabulary = NativeMethods.Vocabulary(model);
        VocabSize = NativeMethods.VocabularySize(Vocabulary);
        if (VocabSize <= 0) throw new EngineException("The model has no vocabulary, so it cannot serve text.");
        BeginOfSequence = NativeMethods.BeginOfSequence(Vocabulary);
        _splitsByRegex = NativeMethods.VocabularyType(Vocabulary) == BytePairVocabulary;
        _starts = NativeMethods.AddsBeginOfSequence(Vocabulary) != 0 ? [BeginOfSequence] : [];
        _ends = NativeMethods.AddsEndOfSequence(Vocabulary) != 0 ? [NativeMethods.EndOfSequence(Vocabulary)] : [];
        _pieceEnds = new int[VocabSize];
        _kinds = new TokenKind[VocabSize];
        ArrayBufferWriter<byte> pieces = new(VocabSize * 8);
        List<int> ends = [];
        for (int token = 0; token < VocabSize; token++)
        {
            CopyPiece(token, pieces);
            _pieceEnds[token] = pieces.WrittenCount;
            bool isEnd = NativeMethods.IsEndOfGeneration(Vocabulary, token) != 0;
            if (isEnd) ends.Add(token);
            bool isSpecial = (NativeMethods.TokenAttributes(Vocabulary, token) & (AttributeUnknown | AttributeControl)) != 0;
            _kinds[token] = (isEnd ? TokenKind.EndOfGeneration : 0) | (isSpecial ? TokenKind.Special : 0);
        }
        _pieces = pieces.WrittenSpan.ToArray();
        EndTokens = [.. ends];
    }

    [Flags]
    private enum TokenKind : byte
    {
        Special = 1,
        EndOfGeneration = 2,
    }

    internal ModelHandle Model => _model;

    internal nint Vocabulary { get; }

    public int VocabSize { get; }

    /// <summary>-1 when the model has none.</summary>
    public int BeginOfSequence { get; }

    /// <summary>The model's own end-of-generation tokens, ascending.</summary>
    public IReadOnlyList<int> EndTokens { get; }

    public bool Contains(int token) => (uint)token < (uint)VocabSize;

    public bool IsEndOfGeneration(int token) => Contains(token) && (_kinds[token] & TokenKind.EndOfGeneration) != 0;

    /// <summary>A control token, or the token for the unknown: not text that a model writes for a reader.</summary>
    public bool IsSpecial(int token) => Contains(token) && (_kinds[token] & TokenKind.Special) != 0;

    /// <summary>The bytes of a token, perhaps a part of a character.</summary>
    public ReadOnlySpan<byte> TokenBytes(int token)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(token);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(token, VocabSize);
        int start = token == 0 ? 0 : _pieceEnds[token - 1];
        return _pieces.AsSpan(start, _pieceEnds[token] - start);
    }

    /// <summary>Tokens of <paramref name="text"/>.</summary>
    /// <param name="text">Lone surrogates become U+FFFD, so the native side sees valid UTF-8 only.</param>
    /// <param name="addSpecial">Begin-of-sequence and the like, where the model wants them.</param>
    /// <param name="parseSpecial">Text of control tokens becomes control tokens: for templates, never for what users write.</param>
    /// <exception cref="ArgumentException">More than <see cref="MaxTextBytes"/>.</exception>
    public int[] Tokenize(string text, bool addSpecial, bool parseSpecial)
    {
        ArgumentNullException.ThrowIfNull(text);
        int byteCount = Encoding.UTF8.GetByteCount(text);
        if (byteCount > MaxTextBytes) throw new ArgumentException($"The text has {byteCount} bytes of UTF-8; at most {MaxTextBytes} can be tokenized.", nameof(text));

        if (!_splitsByRegex || text.Length <= TextSegments.ShortChars) return TokenizeWhole(text, addSpecial, parseSpecial);
        int[] tokens = OnDeepStack(() => TokenizeSegments(text, parseSpecial));
        return addSpecial ? [.. _starts, .. tokens, .. _ends] : tokens;
    }

    /// <summary>One native call. Its stack grows with the text under some models' regular expressions: see <see cref="TextSegments"/>.</summary>
    internal int[] TokenizeWhole(ReadOnlySpan<char> text, bool addSpecial, bool parseSpecial)
    {
        int byteCount = Encoding.UTF8.GetByteCount(text);
        byte[] bytes = ArrayPool<byte>.Shared.Rent(byteCount + 1);
        // A token covers a byte at least; a few more for begin and end.
        int[] tokens = ArrayPool<int>.Shared.Rent(byteCount + 8);
        bool isHeld = false;
        try
        {
            _model.DangerousAddRef(ref isHeld);
            Encoding.UTF8.GetBytes(text, bytes);
            fixed (byte* source = bytes)
            fixed (int* destination = tokens)
            {
                int count = NativeMethods.Tokenize(
                    Vocabulary, source, byteCount, destination, tokens.Length, addSpecial ? (byte)1 : (byte)0, parseSpecial ? (byte)1 : (byte)0);
                if (count < 0) throw new EngineException($"llama_tokenize wanted {-(long)count} tokens for {byteCount} bytes of text.");
                return tokens.AsSpan(0, count).ToArray();
            }
        }
        finally
        {
            if (isHeld) _model.DangerousRelease();
            ArrayPool<byte>.Shared.Return(bytes);
            ArrayPool<int>.Shared.Return(tokens);
        }
    }

    private int[] TokenizeSegments(string text, bool parseSpecial)
    {
        List<int> tokens = new(text.Length / 3);
        for (int start = 0; start < text.Length;)
        {
            int end = TextSegments.End(text, start);
            tokens.AddRange(TokenizeWhole(text.AsSpan(start, end - start), addSpecial: false, parseSpecial));
            start = end;
        }
        return [.. tokens];
    }

    private static int[] OnDeepStack(Func<int[]> tokenize)
    {
        int[] tokens = [];
        ExceptionDispatchInfo? failure = null;
        Thread thread = new(() =>
        {
            try
            {
                tokens = tokenize();
            }
            catch (Exception exception)
            {
                failure = ExceptionDispatchInfo.Capture(exception);
            }
        }, TextSegments.StackBytes)
        {
            IsBackground = true,
            Name = "baton-tokenize",
        };
        thread.Start();
        thread.Join();
        failure?.Throw();
        return tokens;
    }

    private void CopyPiece(int token, ArrayBufferWriter<byte> pieces)
    {
        for (int capacity = 64; ;)
        {
            Span<byte> buffer = pieces.GetSpan(capacity);
            fixed (byte* destination = buffer)
            {
                int count = NativeMethods.TokenToPiece(Vocabulary, token, destination, capacity, leftStrip: 0, special: 1);
                if (count >= 0)
                {
                    pieces.Advance(count);
                    return;
                }
                capacity = -count;
            }
        }
    }
}
