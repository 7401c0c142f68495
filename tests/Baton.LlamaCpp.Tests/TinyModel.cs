using Baton.LlamaCpp.Model;
using Baton.Testing.Gguf;
using Microsoft.Extensions.Logging.Abstractions;

namespace Baton.LlamaCpp.Tests;

/// <summary>A random-weight model of another shape than the demo model's.</summary>
internal static class TinyModel
{
    private static readonly Lazy<LlamaModel> Shared = new(() => Load(GgufModelShape.Tiny with { Layers = 3, Seed = 7 }));

    internal static LlamaModel Instance => Shared.Value;

    internal static LlamaModel Load(GgufModelShape shape) =>
        LlamaModel.Load(new LlamaModelOptions { ModelPath = GgufWriter.EnsureInTemp(shape, "tiny") }, NullLogger.Instance);

    /// <summary>Tokens of the byte part of the vocabulary.</summary>
    internal static int[] Prompt(int seed, int tokens)
    {
        Random random = new(seed);
        return [.. Enumerable.Range(0, tokens).Select(_ => random.Next(256))];
    }
}
