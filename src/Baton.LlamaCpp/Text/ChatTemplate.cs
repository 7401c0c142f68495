using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using Baton.Core.Text;
using Baton.LlamaCpp.Native;

namespace Baton.LlamaCpp.Text;

/// <summary>Renders conversations to tokens by llama.cpp's template families, so that a message's content can never open or close a turn.</summary>
/// <remarks>
/// The native function sees no user text: it renders placeholders, and what is between them is the frame. The frame is tokenized with
/// special tokens, the contents without. When no content holds the text of a special token (nearly always), frame and contents are
/// tokenized as one string, exactly as the model was trained; else piece by piece.
/// </remarks>
public sealed unsafe class ChatTemplate
{
    private const char Mark = '\u0001';
    private const int MaxRenderedFrameBytes = 16 << 20;

    private readonly LlamaTokenizer _tokenizer;
    private readonly byte[]? _template;
    private readonly HashSet<string> _trimmedRoles = [];

    /// <param name="template">The model's template text or a family's name; null when there is none.</param>
    internal ChatTemplate(LlamaTokenizer tokenizer, string name, string? template)
    {
        _tokenizer = tokenizer;
        if (template is null)
        {
            Support = new ChatSupport("none", "The model file has no chat template. Name a family with --chat-template (chatml, llama3, ...), or use the completions API.");
            return;
        }
        _template = NativeText.ToCString(template);
        if (RenderFrame([("user", "probe")]) is null)
        {
            _template = null;
            Support = new ChatSupport(name, "The model's chat template is not one of the families that llama.cpp knows. Name one with --chat-template, or use the completions API.");
            return;
        }
        Support = new ChatSupport(name, null);
        foreach (string role in new[] { "system", "user", "assistant", "tool" })
            if (Trims(role)) _trimmedRoles.Add(role);
    }

    public ChatSupport Support { get; }

    /// <summary>Tokens of the conversation and the opening of the assistant's turn.</summary>
    /// <exception cref="ChatTemplateException">No template, no messages or a role that is not in <see cref="ChatRoles"/>.</exception>
    public int[] Render(IReadOnlyList<ChatMessage> messages)
    {
        if (Support.Problem is { } problem) throw new ChatTemplateException(problem);
        if (messages.Count == 0) throw ChatTemplateException.Empty();

        (string Role, string Placeholder)[] placeholders = new (string, string)[messages.Count];
        string[] contents = new string[messages.Count];
        for (int index = 0; index < messages.Count; index++)
        {
            ChatMessage message = messages[index];
            if (!ChatRoles.TryNormalize(message.Role, out string role)) throw ChatTemplateException.UnknownRole(message.Role);
            placeholders[index] = (role, Placeholder(index));
            contents[index] = _trimmedRoles.Contains(role) ? message.Content.Trim() : message.Content;
        }
        string frame = RenderFrame(placeholders)
            ?? throw new ChatTemplateException($"messages: the template \"{Support.Name}\" cannot render this sequence of roles.");
        return Tokenize(Split(frame, contents));
    }

    /// <summary>Frame and contents in the order of the rendered text. A template may move a system message, repeat a content or leave it out.</summary>
    private static List<Part> Split(string frame, string[] contents)
    {
        List<Part> parts = [];
        int at = 0;
        while (true)
        {
            int start = frame.IndexOf(Mark, at);
            int end = start < 0 ? -1 : frame.IndexOf(Mark, start + 1);
            if (end < 0) break;
            if (start > at) parts.Add(new Part(frame[at..start], IsFrame: true));
            parts.Add(new Part(contents[int.Parse(frame.AsSpan(start + 1, end - start - 1), CultureInfo.InvariantCulture)], IsFrame: false));
            at = end + 1;
        }
        if (at < frame.Length) parts.Add(new Part(frame[at..], IsFrame: true));
        return parts;
    }

    private int[] Tokenize(List<Part> parts)
    {
        if (!parts.Any(part => !part.IsFrame && HoldsSpecialText(part.Text)))
        {
            int[] whole = _tokenizer.Tokenize(string.Concat(parts.Select(part => part.Text)), addSpecial: true, parseSpecial: true);
            // Characters of a content and of the frame beside it could still meet and make a special token: count them.
            int expected = parts.Where(part => part.IsFrame).Sum(part => CountSpecial(_tokenizer.Tokenize(part.Text, addSpecial: false, parseSpecial: true)));
            int added = CountSpecial(_tokenizer.Tokenize("", addSpecial: true, parseSpecial: false));
            if (CountSpecial(whole) == expected + added) return WithoutDoubledStart(whole);
        }
        List<int> tokens = [];
        foreach (Part part in parts) tokens.AddRange(_tokenizer.Tokenize(part.Text, addSpecial: tokens.Count == 0, parseSpecial: part.IsFrame));
        return WithoutDoubledStart([.. tokens]);
    }

    /// <summary>Some templates write the begin-of-sequence token themselves, and the tokenizer adds its own.</summary>
    private int[] WithoutDoubledStart(int[] tokens) =>
        tokens.Length > 1 && tokens[0] == _tokenizer.BeginOfSequence && tokens[1] == tokens[0] ? tokens[1..] : tokens;

    private bool HoldsSpecialText(string content) =>
        !_tokenizer.Tokenize(content, addSpecial: false, parseSpecial: true).AsSpan().SequenceEqual(_tokenizer.Tokenize(content, addSpecial: false, parseSpecial: false));

    private int CountSpecial(int[] tokens) => tokens.Count(_tokenizer.IsSpecial);

    private static string Placeholder(int index) => $"{Mark}{index.ToString(CultureInfo.InvariantCulture)}{Mark}";

    /// <summary>Whether the family strips white space around this role's content, as llama 2 and gemma do.</summary>
    private bool Trims(string role)
    {
        const string Padded = "\t\u00010\u0001\t";
        string? frame = RenderFrame([(role, Padded)]);
        return frame is not null && !frame.Contains(Padded, StringComparison.Ordinal);
    }

    private string? RenderFrame((string Role, string Content)[] messages)
    {
        byte[][] texts = [.. messages.SelectMany(message => new[] { NativeText.ToCString(message.Role), NativeText.ToCString(message.Content) })];
        GCHandle[] pins = [.. texts.Select(text => GCHandle.Alloc(text, GCHandleType.Pinned))];
        try
        {
            NativeChatMessage[] native = new NativeChatMessage[messages.Length];
            for (int index = 0; index < native.Length; index++)
                native[index] = new NativeChatMessage { Role = (byte*)pins[2 * index].AddrOfPinnedObject(), Content = (byte*)pins[(2 * index) + 1].AddrOfPinnedObject() };
            byte[] buffer = new byte[1024 + (messages.Length * 128)];
            while (true)
            {
                fixed (byte* template = _template, destination = buffer)
                fixed (NativeChatMessage* list = native)
                {
                    int count = NativeMethods.ApplyChatTemplate(template, list, (nuint)native.Length, addAssistant: 1, destination, buffer.Length);
                    if (count < 0 || count > MaxRenderedFrameBytes) return null;
                    if (count <= buffer.Length) return Encoding.UTF8.GetString(buffer, 0, count);
                    buffer = new byte[count];
                }
            }
        }
        finally
        {
            foreach (GCHandle pin in pins) pin.Free();
        }
    }

    private readonly record struct Part(string Text, bool IsFrame);
}
