namespace Baton.Core.Text;

/// <summary>Turns text into tokens and back: a GGUF model's vocabulary, or the simulated engine's bytes. Safe from any thread.</summary>
public interface ITextModel
{
    /// <summary>What clients see as the model's id.</summary>
    string ModelName { get; }

    int VocabSize { get; }

    /// <summary>The chat template that <see cref="RenderChat"/> uses, or why there is none: <see cref="ChatSupport.Problem"/>.</summary>
    ChatSupport Chat { get; }

    /// <summary>Tokens of <paramref name="text"/>, with the beginning-of-sequence token where the model wants one.</summary>
    /// <param name="text">Any string; lone surrogates become U+FFFD.</param>
    /// <param name="parseSpecial">True: text such as <c>&lt;|im_end|&gt;</c> becomes the control token. Never true for text that a chat user wrote.</param>
    int[] Tokenize(string text, bool parseSpecial);

    /// <summary>A prompt that asks for the assistant's next message. The contents cannot open or end a turn, whatever they hold.</summary>
    /// <exception cref="ChatTemplateException">An unknown role, no messages, or a model without a usable template; the text is fit for a client.</exception>
    int[] RenderChat(IReadOnlyList<ChatMessage> messages);

    /// <summary>One per answer: characters may be split over tokens.</summary>
    /// <param name="skipSpecial">Control tokens give no text.</param>
    IDetokenizer CreateDetokenizer(bool skipSpecial = true);

    /// <summary>The bytes of one token, control tokens included. They may be a part of a character.</summary>
    /// <param name="token">In [0, <see cref="VocabSize"/>).</param>
    ReadOnlySpan<byte> TokenBytes(int token);

    /// <summary>One of the model's own end tokens (EOS, EOT, ...).</summary>
    bool IsEndOfGeneration(int token);

    /// <summary>Asks the engine's own parser, after limits on size and nesting.</summary>
    /// <returns>Null when <paramref name="grammar"/> (GBNF, start symbol <c>root</c>) can be used, else what is wrong with it.</returns>
    string? FindGrammarProblem(string grammar);
}

/// <summary>Text of one answer, token by token.</summary>
public interface IDetokenizer
{
    /// <summary>The characters that are complete after <paramref name="token"/>; may be empty.</summary>
    string Append(int token);

    /// <summary>What is left at the end: U+FFFD for an unfinished character, else nothing.</summary>
    string Finish();
}

/// <summary>One message of a conversation.</summary>
/// <param name="Role">See <see cref="ChatRoles"/>.</param>
public sealed record ChatMessage(string Role, string Content);

/// <param name="Name">The template in use, for logs and /model_info.</param>
/// <param name="Problem">Null when chat works, else what is missing and what to do.</param>
public sealed record ChatSupport(string Name, string? Problem);

/// <summary>The roles that a conversation may use. A role becomes part of the prompt's frame, so nothing else is let through.</summary>
public static class ChatRoles
{
    /// <summary>Maps OpenAI's newer names to those that templates know.</summary>
    public static bool TryNormalize(string role, out string known)
    {
        known = role switch
        {
            "system" or "developer" => "system",
            "user" => "user",
            "assistant" => "assistant",
            "tool" => "tool",
            _ => "",
        };
        return known.Length > 0;
    }
}

/// <summary>A conversation cannot be rendered. The message may be shown to the client.</summary>
public sealed class ChatTemplateException(string message) : Exception(message)
{
    public static ChatTemplateException Empty() => new("messages: a conversation needs at least one message.");

    public static ChatTemplateException UnknownRole(string role) => new(
        $"messages: role \"{(role.Length <= 32 ? role : role[..32] + "...")}\" is not known. Use system, developer, user, assistant or tool.");
}
