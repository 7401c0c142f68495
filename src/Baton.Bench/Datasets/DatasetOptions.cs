namespace Baton.Bench.Datasets;

/// <summary>What the requests are made of. Names and defaults are bench_serving's options.</summary>
public sealed record DatasetOptions
{
    public string Name { get; init; } = "random";
    public string? Path { get; init; }
    public int NumPrompts { get; init; } = 1000;
    public int Seed { get; init; } = 1;
    public int RandomInputLen { get; init; } = 1024;
    public int RandomOutputLen { get; init; } = 1024;
    /// <summary>Lengths are uniform in [max(length x ratio, 1), length]; 1 makes them constant.</summary>
    public double RandomRangeRatio { get; init; }
    /// <summary>Token ids instead of text.</summary>
    public bool TokenizePrompt { get; init; }
    public int? SharegptOutputLen { get; init; }
    public int? SharegptContextLen { get; init; }
    public int GspNumGroups { get; init; } = 64;
    public int GspPromptsPerGroup { get; init; } = 16;
    public int GspSystemPromptLen { get; init; } = 2048;
    public int GspQuestionLen { get; init; } = 128;
    public int GspOutputLen { get; init; } = 256;
    /// <summary>random-ids draws token ids below it.</summary>
    public int VocabSize { get; init; } = 256;
    /// <summary>Sizes texts, since bench has no tokenizer; measured by one request where the server reports prompt tokens.</summary>
    public double TokensPerWord { get; init; } = 1.3;
    /// <summary>The API takes no token ids (chat): random-ids and traces are sent as text.</summary>
    public bool TextOnly { get; init; }
}
