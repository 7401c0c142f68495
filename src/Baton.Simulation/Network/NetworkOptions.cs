namespace Baton.Simulation.Network;

/// <summary>How long things take on the wire.</summary>
public sealed record NetworkOptions
{
    /// <summary>One way, for every message.</summary>
    public TimeSpan Latency { get; init; } = TimeSpan.FromMicroseconds(100);

    /// <summary>Of one KV link; infinite by default.</summary>
    public double BytesPerSecond { get; init; } = double.PositiveInfinity;

    /// <summary>Silence after which a side takes its peer for gone: a link, or a call to the bootstrap server.</summary>
    public TimeSpan PeerTimeout { get; init; } = TimeSpan.FromSeconds(5);
}
