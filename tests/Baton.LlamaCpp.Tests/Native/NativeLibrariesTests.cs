using Baton.Core.Engine;
using Baton.LlamaCpp.Native;

namespace Baton.LlamaCpp.Tests.Native;

public sealed class NativeLibrariesTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("baton-native-").FullName;

    [Theory]
    [InlineData("libllama.so")]
    [InlineData("libllama.so.0")]
    [InlineData("libllama.v0.5.0.so")]
    [InlineData("libllama.metal.v0.4.0.dylib")]
    [InlineData("llama.v0.4.0.dll")]
    public void A_folder_with_any_of_the_usual_names_is_taken(string file)
    {
        File.WriteAllText(Path.Combine(_folder, file), "");

        Assert.Equal(_folder, NativeLibraries.Find(_folder));
    }

    [Fact]
    public void An_npm_package_is_taken_for_the_folder_inside_it()
    {
        string inner = Directory.CreateDirectory(Path.Combine(_folder, "bins", "linux-x64")).FullName;
        File.WriteAllText(Path.Combine(inner, "libllama.v0.5.0.so"), "");

        Assert.Equal(inner, NativeLibraries.Find(_folder));
    }

    [Theory]
    [InlineData("libllama-common.so")]
    [InlineData("llama-addon.node")]
    [InlineData("libggml.so")]
    public void A_folder_without_the_library_is_refused_by_name(string file)
    {
        File.WriteAllText(Path.Combine(_folder, file), "");

        EngineException refusal = Assert.Throws<EngineException>(() => NativeLibraries.Find(_folder));

        Assert.Contains("--llama-library", refusal.Message, StringComparison.Ordinal);
        Assert.Contains(_folder, refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_second_folder_is_refused_once_the_library_is_loaded()
    {
        _ = DemoModel.Instance;
        File.WriteAllText(Path.Combine(_folder, "libllama.so"), "");

        EngineException refusal = Assert.Throws<EngineException>(() => NativeLibraries.Use(_folder));

        Assert.Contains(NativeLibraries.Directory!, refusal.Message, StringComparison.Ordinal);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);
}
