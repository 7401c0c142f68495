using Baton.Core.Engine;
using Baton.Core.Handover;
using Baton.Simulation.Swarm;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Baton.Simulation.Cluster;

/// <summary>What a checker adds to a cluster: ears for error logs, and bugs to find.</summary>
internal sealed record ClusterProbes
{
    public static readonly ClusterProbes None = new();

    public Plant Plant { get; init; }

    /// <summary>Hears what production code logs as an error.</summary>
    public Action<string>? Alarm { get; init; }

    public ILogger<T> Logger<T>() => Alarm is null ? NullLogger<T>.Instance : new AlarmLogger<T>(Alarm);

    public IEngine Wrap(IEngine engine) => Plant is Plant.ForgetCells or Plant.DoubleToken ? new PlantedEngine(engine, Plant) : engine;

    public IKvSender Wrap(IKvSender sender) => Plant is Plant.IgnoreWindow or Plant.WrongFirstToken ? new PlantedSender(sender, Plant) : sender;

    public IKvReceiver Wrap(IKvReceiver receiver) =>
        Plant is Plant.CorruptChunk or Plant.SwapChunks or Plant.SwallowAck ? new PlantedReceiver(receiver, Plant) : receiver;
}
