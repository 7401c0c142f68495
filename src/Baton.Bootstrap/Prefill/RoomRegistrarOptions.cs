namespace Baton.Bootstrap.Prefill;

/// <summary>Bounds and timers of a <see cref="RoomRegistrar"/>.</summary>
public sealed record RoomRegistrarOptions
{
    /// <summary>A room that nobody ended is tried, and told again to a restarted server, for so long: the bootstrap timeout.</summary>
    public TimeSpan RoomLife { get; init; } = TimeSpan.FromSeconds(300);

    /// <summary>Rooms held at the same time. Register says no to the next.</summary>
    public int MaxRooms { get; init; } = 200_000;

    /// <summary>Rooms in one request: 26 bytes each, so a body is far below 1 MiB.</summary>
    public int MaxBatch { get; init; } = 4096;

    public TimeSpan RetryFloor { get; init; } = TimeSpan.FromMilliseconds(5);
    public TimeSpan RetryCeiling { get; init; } = TimeSpan.FromSeconds(1);
}
