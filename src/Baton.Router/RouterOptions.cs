using Baton.Router.Rooms;

namespace Baton.Router;

/// <summary>How the router chooses ranks: <c>--dp-mode</c>.</summary>
public enum DpMode
{
    /// <summary>Expand the ranks of every worker that reports more than one; others get no rank fields.</summary>
    Auto,
    /// <summary>The worker chooses its rank; decode asks the bootstrap server.</summary>
    Off,
}

/// <summary>Everything that can be set on a router, with its default. <c>baton router --help</c> prints from here.</summary>
public sealed record RouterOptions
{
    public string Host { get; init; } = "0.0.0.0";
    /// <summary>0 takes a free port.</summary>
    public int Port { get; init; } = 30000;
    public string Policy { get; init; } = "least_load";
    /// <summary>Overrides <see cref="Policy"/> for prefill.</summary>
    public string? PrefillPolicy { get; init; }
    /// <summary>Overrides <see cref="Policy"/> for decode.</summary>
    public string? DecodePolicy { get; init; }
    public DpMode DpMode { get; init; } = DpMode.Auto;
    public RoomMode RoomMode { get; init; } = RoomMode.Aligned;
    /// <summary>Seed of rooms and of the random policies; null takes one from the system at start.</summary>
    public ulong? Seed { get; init; }
    /// <summary>Largest request body in bytes.</summary>
    public long MaxPayloadSize { get; init; } = 536_870_912;
    public TimeSpan ConnectTimeout { get; init; } = TimeSpan.FromSeconds(10);
    /// <summary>One request from first to last byte.</summary>
    public TimeSpan RequestTimeout { get; init; } = TimeSpan.FromSeconds(1800);
    /// <summary>To decode's first byte; zero is off. Keep it under 300 s, SGLang's own bootstrap timeout.</summary>
    public TimeSpan TtftTimeout { get; init; } = TimeSpan.Zero;
    /// <summary>Between two chunks of decode's answer.</summary>
    public TimeSpan StallTimeout { get; init; } = TimeSpan.FromSeconds(120);
    /// <summary>Adds <c>x-baton-prefill</c> and the like to every answer.</summary>
    public bool ExposeRoute { get; init; }
    public TimeSpan HealthCheckInterval { get; init; } = TimeSpan.FromSeconds(5);
    public TimeSpan HealthCheckTimeout { get; init; } = TimeSpan.FromSeconds(5);
    public string HealthCheckEndpoint { get; init; } = "/health";
    public int HealthFailureThreshold { get; init; } = 3;
    public int HealthSuccessThreshold { get; init; } = 2;
    /// <summary>How often <c>/server_info</c> of a ready worker is read again.</summary>
    public TimeSpan ServerInfoInterval { get; init; } = TimeSpan.FromSeconds(60);
}
