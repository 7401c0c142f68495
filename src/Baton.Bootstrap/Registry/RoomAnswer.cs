using Baton.Core.Failures;
using Baton.Core.Ids;

namespace Baton.Bootstrap.Registry;

/// <summary>What the table knows of a room: nothing, the rank that works on it, or why it failed.</summary>
/// <param name="Rank">Set when known.</param>
/// <param name="Failure">Set when prefill gave the room up before decode came.</param>
public readonly record struct RoomAnswer(DpRank? Rank, RequestFailure? Failure)
{
    public static readonly RoomAnswer Unknown;

    public bool IsUnknown => Rank is null && Failure is null;
}

/// <summary>Told once when a room it watches becomes known or failed, from the thread that made it so.</summary>
public interface IRoomWatcher
{
    void OnRoom(BootstrapRoom room, RoomAnswer answer);
}
