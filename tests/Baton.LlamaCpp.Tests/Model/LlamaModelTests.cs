using Baton.Core.Engine;
using Baton.LlamaCpp.Engine;
using Baton.LlamaCpp.Model;
using Baton.Testing.Gguf;
using Microsoft.Extensions.Logging.Abstractions;

namespace Baton.LlamaCpp.Tests.Model;

public sealed class LlamaModelTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("baton-model-").FullName;

    [Fact]
    public void The_demo_model_reports_its_facts()
    {
        LlamaModelInfo info = DemoModel.Instance.Info;

        Assert.Equal("baton-demo", info.Name);
        Assert.Equal((1536, 2048, 4), (info.VocabSize, info.TrainedContextTokens, info.LayerCount));
        Assert.Equal(2_361_600ul, info.ParameterCount);
        Assert.Contains(info.LibraryVersion, new[] { "0.5.0-dev", "0.4.0-dev" });
        Assert.Equal([1533, 1535], DemoModel.Instance.Tokenizer.EndTokens);
    }

    [Fact]
    public void Equal_shapes_with_other_weights_have_other_fingerprints()
    {
        string[] paths = [.. new ulong[] { 1, 1, 2 }.Select((seed, index) => Write($"{index}.gguf", GgufModelShape.Tiny with { Seed = seed }))];

        string[] fingerprints = [.. paths.Select(ModelFingerprint.Of)];

        Assert.Equal(fingerprints[0], fingerprints[1]);
        Assert.NotEqual(fingerprints[0], fingerprints[2]);
        Assert.Equal(32, fingerprints[0].Length);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(5_000_000)]
    [InlineData(39_999_999)]
    public void A_large_file_is_known_by_its_ends_and_its_length(int changedByte)
    {
        byte[] content = new byte[40_000_000];
        byte[] changed = [.. content];
        changed[changedByte] = 1;

        byte[] before = ModelFingerprint.Hash(new MemoryStream(content), wholeFileBytes: 1000);

        Assert.NotEqual(before, ModelFingerprint.Hash(new MemoryStream(changed), wholeFileBytes: 1000));
        Assert.NotEqual(before, ModelFingerprint.Hash(new MemoryStream([.. content, 0]), wholeFileBytes: 1000));
    }

    [Fact]
    public void A_missing_file_is_refused_with_its_path()
    {
        EngineException refusal = Assert.Throws<EngineException>(() => Load(Path.Combine(_folder, "none.gguf")));

        Assert.Contains("none.gguf", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_that_is_no_model_is_refused_with_the_librarys_reason()
    {
        string path = Path.Combine(_folder, "text.gguf");
        File.WriteAllText(path, "This is not a model.");

        EngineException refusal = Assert.Throws<EngineException>(() => Load(path));

        Assert.Contains("does not load", refusal.Message, StringComparison.Ordinal);
        Assert.Contains("text.gguf", refusal.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0, 512)]
    [InlineData(255, 512)]
    [InlineData(4, 0)]
    public void Engine_options_out_of_range_are_refused_before_the_library_sees_them(int maxSequences, int maxBatchTokens)
    {
        LlamaEngineOptions options = new() { MaxSequences = maxSequences, MaxBatchTokens = maxBatchTokens };

        Assert.Throws<System.ComponentModel.DataAnnotations.ValidationException>(() => TinyModel.Instance.CreateEngine(options, TimeProvider.System));
    }

    [Fact]
    public void The_engine_reports_what_was_granted()
    {
        using LlamaEngine engine = TinyModel.Instance.CreateEngine(new LlamaEngineOptions { CellCount = 1000, ContextTokens = 600, MaxSequences = 254 }, TimeProvider.System);

        Assert.Equal(1024, engine.Info.CellCount);
        Assert.Equal((600, 254, 512, 320), (engine.Info.ContextTokens, engine.Info.MaxSequences, engine.Info.MaxBatchTokens, engine.Info.VocabSize));
        // Three layers, K and V, two heads of 16 halves.
        Assert.Equal((3, 3 * 2 * 64), (engine.Info.Kv.LayerCount, engine.Info.Kv.BytesPerToken));
    }

    [Fact]
    public void An_engine_outlives_the_model_that_made_it()
    {
        LlamaModel model = Load(Write("short.gguf", GgufModelShape.Tiny));
        using LlamaEngine engine = model.CreateEngine(new LlamaEngineOptions { MaxSequences = 1 }, TimeProvider.System);
        model.Dispose();

        Assert.NotEmpty(EngineDriver.Generate(engine, new(0), [1, 2, 3], Core.Requests.SamplingOptions.Greedy with { MaxNewTokens = 4 }));
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private static LlamaModel Load(string path) => LlamaModel.Load(new LlamaModelOptions { ModelPath = path }, NullLogger.Instance);

    private string Write(string name, GgufModelShape shape)
    {
        string path = Path.Combine(_folder, name);
        GgufWriter.Write(path, shape);
        return path;
    }
}
