namespace Baton.Testing.Gguf;

/// <summary>A llama model with random weights: what it says means nothing, what it costs and how its cache is laid out is real.</summary>
public sealed record GgufModelShape
{
    /// <summary>A few hundred kilobytes: for tests.</summary>
    public static readonly GgufModelShape Tiny = new();

    /// <summary>About 152 million parameters, 304 MB as F16: for measurements.</summary>
    public static readonly GgufModelShape Mid = new()
    {
        Layers = 12,
        Width = 1024,
        Heads = 16,
        KvHeads = 4,
        FeedForward = 2816,
        VocabSize = 8192,
        ContextTokens = 8192,
    };

    public int Layers { get; init; } = 2;
    public int Width { get; init; } = 64;
    public int Heads { get; init; } = 4;
    public int KvHeads { get; init; } = 2;
    public int FeedForward { get; init; } = 96;
    /// <summary>256 bytes, fillers, and the special tokens of <see cref="GgufWriter"/> at the end.</summary>
    public int VocabSize { get; init; } = 320;
    public int ContextTokens { get; init; } = 2048;
    /// <summary>Otherwise F32.</summary>
    public bool IsHalf { get; init; } = true;
    public ulong Seed { get; init; } = 1;
    /// <summary>The family whose regular expressions split text into words.</summary>
    public string PreTokenizer { get; init; } = "gpt-2";
    /// <summary>Null leaves the key out of the file.</summary>
    public string? ChatTemplate { get; init; } = ChatMl;

    public int HeadWidth => Width / Heads;

    private const string ChatMl =
        "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
        + "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";
}
