using Baton.Core.Engine;
using Baton.Core.Ids;
using Baton.Core.Randomness;
using Baton.Core.Text;

namespace Baton.Serving.Requests;

/// <summary>What a request is validated against: this worker's model, role and ranks.</summary>
public sealed class CallContext
{
    private readonly Lock _lock = new();
    private readonly SeededRandom _random;

    /// <param name="seed">Of request ids and of the sampling seeds that clients leave out.</param>
    public CallContext(ITextModel text, EngineInfo engine, WorkerRole role, int dpSize, RequestLimits limits, ulong seed)
    {
        (Text, Engine, Role, DpSize, Limits) = (text, engine, role, dpSize, limits);
        _random = new SeededRandom(seed);
    }

    public ITextModel Text { get; }
    public EngineInfo Engine { get; }
    public WorkerRole Role { get; }
    public int DpSize { get; }
    public RequestLimits Limits { get; }

    /// <summary>For a request that names no bootstrap port.</summary>
    public int DefaultBootstrapPort { get; init; } = BootstrapAddress.DefaultPort;

    /// <summary>The whole worker hands nothing over (<c>--disaggregation-transfer-backend fake</c>): a missing bootstrap host means the fake one.</summary>
    public bool IsFakeBackend { get; init; }

    public ulong NextRandom()
    {
        lock (_lock) return _random.NextUInt64();
    }

    public string NextRequestId() => $"{NextRandom():x16}{NextRandom():x16}";
}
