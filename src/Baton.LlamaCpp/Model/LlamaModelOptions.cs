namespace Baton.LlamaCpp.Model;

/// <summary>Which model to load and from where.</summary>
public sealed record LlamaModelOptions
{
    /// <summary>A GGUF file. It is trusted input: a crafted one can end the process.</summary>
    public required string ModelPath { get; init; }

    /// <summary>What clients see; by default the file's name without its extension.</summary>
    public string? ModelName { get; init; }

    /// <summary>Folder with the llama.cpp libraries; null searches, see docs/engine.md.</summary>
    public string? LibraryDirectory { get; init; }

    /// <summary>Layers to put on a GPU; -1 is all. Means nothing to the CPU libraries.</summary>
    public int GpuLayers { get; init; } = -1;

    /// <summary>A template family's name ("chatml", "llama3", ...) instead of the model's own template.</summary>
    public string? ChatTemplate { get; init; }
}

/// <summary>Facts about a loaded model.</summary>
public sealed record LlamaModelInfo
{
    public required string Name { get; init; }
    public required string Path { get; init; }
    /// <summary>See <see cref="ModelFingerprint"/>.</summary>
    public required string Fingerprint { get; init; }
    /// <summary>llama.cpp's one-line description, such as "llama 8B Q4_K - Medium".</summary>
    public required string Description { get; init; }
    public required ulong ParameterCount { get; init; }
    public required ulong SizeBytes { get; init; }
    public required int LayerCount { get; init; }
    public required int VocabSize { get; init; }
    /// <summary>Longest sequence that the model was trained for.</summary>
    public required int TrainedContextTokens { get; init; }
    public required string LibraryVersion { get; init; }
}
