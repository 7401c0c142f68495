namespace Baton.Simulation.Network;

/// <summary>How long things take on the wire.</summary>
public sealed record NetworkOptions
{
    /// <summary>One way, for every message.</summary>
    public TimeSpan Latency { get; init; } = TimeSpan.FromMicroseconds(100);

    /// <summary>Of one KV link; infinite by default.</summary>
    public double BytesPerSecond { get; init; } = double.PositiveInfinity;

    /// <summary>Silence after which a call to the bootstrap server, or a connection that is being made, is given up.</summary>
    public TimeSpan PeerTimeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>An end of a KV link that heard nothing for so long asks whether the other is there. As TCP links do, when bytes travel.</summary>
    public TimeSpan KeepAliveInterval { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Silence after which an end of a KV link takes the other for gone.</summary>
    public TimeSpan LinkTimeout { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>KV frames travel as the bytes that TCP links write and read, with their checksums, and not as objects. Slower; link faults need it.</summary>
    public bool CarriesBytes { get; init; }
}
