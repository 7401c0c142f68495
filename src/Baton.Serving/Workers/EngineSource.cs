using Baton.Core.Engine;
using Baton.Core.Engine.Simulated;
using Baton.Core.Text;
using Baton.LlamaCpp.Engine;
using Baton.LlamaCpp.Model;
using Microsoft.Extensions.Logging;

namespace Baton.Serving.Workers;

/// <summary>Loads the model. Blocks for as long as the disk takes.</summary>
/// <exception cref="EngineException">The model cannot be served.</exception>
internal delegate EngineSource LoadEngines(ServeOptions options, TimeProvider time, ILogger logger);

/// <summary>Makes one engine a rank, all of the same model: libllama's or simulated.</summary>
internal abstract class EngineSource : IDisposable
{
    public abstract ITextModel Text { get; }

    public abstract IEngine CreateEngine();

    /// <summary>A simulated engine computes its times and the rank's thread waits for them.</summary>
    public abstract double SimulatedTimeScale { get; }

    public abstract void Dispose();

    /// <inheritdoc cref="LoadEngines"/>
    public static EngineSource Load(ServeOptions options, TimeProvider time, ILogger logger) => options.Engine switch
    {
        EngineKind.Simulated => new SimulatedEngineSource(options),
        _ => new LlamaEngineSource(options, time, logger),
    };
}

internal sealed class LlamaEngineSource : EngineSource
{
    private readonly LlamaModel _model;
    private readonly LlamaEngineOptions _options;
    private readonly TimeProvider _time;

    public LlamaEngineSource(ServeOptions options, TimeProvider time, ILogger logger)
    {
        _time = time;
        _model = LlamaModel.Load(new LlamaModelOptions
        {
            ModelPath = options.ModelPath ?? throw new EngineException("No model: give --model-path, or --engine simulated."),
            ModelName = options.ServedModelName,
            LibraryDirectory = options.LlamaLibrary,
            GpuLayers = options.GpuLayers,
            ChatTemplate = options.ChatTemplate,
        }, logger);
        _options = new LlamaEngineOptions
        {
            ContextTokens = options.ContextLength,
            CellCount = options.MaxTotalTokens,
            MaxSequences = options.MaxRunningRequests,
            MaxBatchTokens = options.MaxBatchTokens,
            Threads = options.Threads,
            CellType = options.KvCacheType,
        };
    }

    public override ITextModel Text => _model;

    public override double SimulatedTimeScale => 0;

    public override IEngine CreateEngine() => _model.CreateEngine(_options, _time);

    public override void Dispose() => _model.Dispose();
}

internal sealed class SimulatedEngineSource(ServeOptions options) : EngineSource
{
    /// <summary>As the llama engine's default, and small enough that a test fills it.</summary>
    private const int DefaultContextTokens = 8192;

    private readonly SimulatedEngineOptions _options = new()
    {
        VocabSize = SimulatedTextModel.MinVocabSize,
        ContextTokens = options.ContextLength ?? DefaultContextTokens,
        CellCount = options.MaxTotalTokens ?? Math.Max(options.ContextLength ?? DefaultContextTokens, 8 * DefaultContextTokens),
        MaxSequences = options.MaxRunningRequests,
        MaxBatchTokens = options.MaxBatchTokens,
        Cost = options.Simulated.Cost,
        EndProbability = options.Simulated.EndProbability,
        EndToken = SimulatedTextModel.EndOfGeneration,
    };

    public override ITextModel Text { get; } = options.ServedModelName is { } name ? new SimulatedTextModel(name) : new SimulatedTextModel();

    public override double SimulatedTimeScale => options.Simulated.TimeScale;

    public override IEngine CreateEngine() => new SimulatedEngine(_options);

    public override void Dispose()
    {
    }
}
