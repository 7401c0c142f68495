namespace Baton.Bench.Load;

/// <summary>The HTTP API that a backend is spoken to with.</summary>
public enum BenchApi
{
    /// <summary>SGLang's <c>/generate</c>: cumulative text and <c>meta_info</c>.</summary>
    Native,
    /// <summary><c>/v1/completions</c>.</summary>
    Completions,
    /// <summary><c>/v1/chat/completions</c>.</summary>
    Chat,
}

/// <summary>A value of <c>--backend</c>: which API it speaks and where it listens when nobody says.</summary>
/// <param name="Name">As the user gave it; the report prints it.</param>
/// <param name="HasServerInfo">Answers <c>/server_info</c>.</param>
public sealed record BenchBackend(string Name, BenchApi Api, int DefaultPort, bool HasServerInfo)
{
    /// <summary>Names and default ports are bench_serving's, but that the chat backends have the port of their server; <c>baton</c> is the same as <c>sglang</c>.</summary>
    public static readonly IReadOnlyList<BenchBackend> All =
    [
        new("sglang", BenchApi.Native, 30000, true),
        new("sglang-native", BenchApi.Native, 30000, true),
        new("baton", BenchApi.Native, 30000, true),
        new("sglang-oai", BenchApi.Completions, 30000, true),
        new("sglang-oai-chat", BenchApi.Chat, 30000, true),
        new("vllm", BenchApi.Completions, 8000, false),
        new("vllm-chat", BenchApi.Chat, 8000, false),
        new("lmdeploy", BenchApi.Completions, 23333, false),
        new("lmdeploy-chat", BenchApi.Chat, 23333, false),
    ];

    public string Path => Api switch
    {
        BenchApi.Native => "/generate",
        BenchApi.Completions => "/v1/completions",
        _ => "/v1/chat/completions",
    };

    /// <summary>Where a POST empties the prefix cache; 60 s is bench_serving's time for an SGLang server to become idle.</summary>
    public string FlushPath => Name.StartsWith("vllm", StringComparison.Ordinal) ? "/reset_prefix_cache" : HasServerInfo ? "/flush_cache?timeout=60" : "/flush_cache";

    /// <exception cref="BenchException">No such backend.</exception>
    public static BenchBackend Parse(string name) =>
        All.FirstOrDefault(backend => string.Equals(backend.Name, name, StringComparison.Ordinal))
        ?? throw new BenchException($"--backend {name}: no such backend. Use one of {string.Join(", ", All.Select(backend => backend.Name))}.");
}
