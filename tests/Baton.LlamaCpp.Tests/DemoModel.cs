using Baton.LlamaCpp.Model;
using Baton.Testing;
using Microsoft.Extensions.Logging.Abstractions;

namespace Baton.LlamaCpp.Tests;

/// <summary>The demo model, loaded once for all tests of this assembly: it is shared by the ranks of a process too.</summary>
public static class DemoModel
{
    private static readonly Lazy<LlamaModel> Shared = new(() => LlamaModel.Load(new LlamaModelOptions { ModelPath = Path }, NullLogger.Instance));

    public static string Folder => System.IO.Path.Combine(RepositoryRoot.Path, "models", "demo");

    public static string Path => System.IO.Path.Combine(Folder, "baton-demo.gguf");

    public static LlamaModel Instance => Shared.Value;
}
