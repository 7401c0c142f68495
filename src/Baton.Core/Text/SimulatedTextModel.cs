using System.Text;

namespace Baton.Core.Text;

/// <summary>The simulated engine's vocabulary: a token is a byte; ids above 256 stand for printable characters, so that any id has text.</summary>
public sealed class SimulatedTextModel : ITextModel
{
    /// <summary>256 bytes, then the end-of-generation token.</summary>
    public const int EndOfGeneration = 256;

    /// <summary>The smallest vocabulary: the bytes and the end.</summary>
    public const int MinVocabSize = 257;

    private static readonly byte[] AllBytes = [.. Enumerable.Range(0, 256).Select(value => (byte)value)];

    public SimulatedTextModel(string modelName = "baton-simulated", int vocabSize = MinVocabSize)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(vocabSize, MinVocabSize);
        (ModelName, VocabSize) = (modelName, vocabSize);
    }

    public string ModelName { get; }

    public int VocabSize { get; }

    public ChatSupport Chat { get; } = new("plain", null);

    public int[] Tokenize(string text, bool parseSpecial) => [.. Encoding.UTF8.GetBytes(text)];

    public int[] RenderChat(IReadOnlyList<ChatMessage> messages)
    {
        if (messages.Count == 0) throw ChatTemplateException.Empty();
        List<int> prompt = [];
        foreach (ChatMessage message in messages)
        {
            if (!ChatRoles.TryNormalize(message.Role, out string role)) throw ChatTemplateException.UnknownRole(message.Role);
            prompt.AddRange(Tokenize($"{role}: {message.Content}", parseSpecial: false));
            // No text tokenizes to this id, so a content cannot end its own turn.
            prompt.Add(EndOfGeneration);
        }
        prompt.AddRange(Tokenize("assistant: ", parseSpecial: false));
        return [.. prompt];
    }

    public IDetokenizer CreateDetokenizer(bool skipSpecial = true) => new Utf8Detokenizer(this, skipSpecial);

    public ReadOnlySpan<byte> TokenBytes(int token)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(token);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(token, VocabSize);
        if (token == EndOfGeneration) return [];
        return AllBytes.AsSpan(token < 256 ? token : ' ' + (token % 95), 1);
    }

    public bool IsEndOfGeneration(int token) => token == EndOfGeneration;

    public string? FindGrammarProblem(string grammar) => "The simulated engine draws tokens without a model and cannot follow a grammar. Serve with --engine llama.";
}
