using Baton.Core.Ids;

namespace Baton.Bootstrap.Registry;

/// <summary>When a parked query is answered.</summary>
public enum RoomWaitFor
{
    /// <summary>As soon as one of its rooms is known or failed.</summary>
    Any,
    /// <summary>When all of them are.</summary>
    All,
}

/// <summary>Asks for the prefill ranks of some rooms, and may wait for them: the body of <c>POST /baton/v1/rooms/query</c>.</summary>
/// <remarks>
/// With a <see cref="WatchId"/> the server remembers the rooms between queries, so that a caller with thousands of pending rooms sends
/// each of them once: a short query adds rooms while a long one is parked, and either may bring an answer. A watch that nobody used
/// for a minute is forgotten; <see cref="RoomQueryReply.IsNewWatch"/> tells the caller that it has to send all its rooms again.
/// </remarks>
public sealed record RoomQuery
{
    /// <summary>Longest <see cref="WatchId"/> in characters.</summary>
    public const int MaxWatchIdLength = 64;

    public IReadOnlyList<BootstrapRoom> Rooms { get; init; } = [];
    /// <summary>Rooms that ended on the caller's side: the watch drops them. Only with a <see cref="WatchId"/>.</summary>
    public IReadOnlyList<BootstrapRoom> Forget { get; init; } = [];
    /// <summary>How long the server may hold the answer back. Zero: it answers at once.</summary>
    public TimeSpan Wait { get; init; }
    public RoomWaitFor WaitFor { get; init; }
    public string? WatchId { get; init; }
    /// <summary>The caller has used this watch before. A server that does not know it says so at once instead of parking without its rooms.</summary>
    public bool IsResumed { get; init; }
}

/// <summary>What has become known, each room once per watch.</summary>
/// <param name="Answers">Never contains <see cref="RoomAnswer.Unknown"/>.</param>
/// <param name="PendingCount">Rooms of this query, or of its watch, that are still unknown.</param>
/// <param name="IsNewWatch">The server did not know the watch id and has only the rooms of this query.</param>
public sealed record RoomQueryReply(IReadOnlyList<KeyValuePair<BootstrapRoom, RoomAnswer>> Answers, int PendingCount, bool IsNewWatch);
