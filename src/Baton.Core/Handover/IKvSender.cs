using Baton.Core.Failures;
using Baton.Core.Ids;
using Baton.Core.Kv;

namespace Baton.Core.Handover;

/// <summary>The prefill half of the hand-over for one rank: TCP links, the fake backend, or the simulator's network.</summary>
/// <remarks>
/// Called on the rank's thread only, never blocks. What peers do comes back through <see cref="Poll"/>; a wake callback given at
/// construction tells the rank that there is something to poll. Decode may claim a room before prefill opens it: the sender keeps
/// such early claims (bounded, with a deadline).
/// </remarks>
public interface IKvSender : IDisposable
{
    /// <summary>From now on decode's claim of this room is reported. <paramref name="promptTokens"/> must equal what the claim says.</summary>
    void Open(BootstrapRoom room, int promptTokens);

    /// <summary>Sets aside <paramref name="payloadBytes"/> of the link's window for a chunk of a claimed room, until the next <see cref="Poll"/>.</summary>
    /// <returns>False when the room is not claimed or the window is full: nothing was set aside, ask again after a <see cref="KvSenderEventKind.WindowOpen"/>.</returns>
    bool CanSend(BootstrapRoom room, int payloadBytes);

    /// <summary>A chunk of this claimed room is being copied out and follows at once. Waking the peer's reader meanwhile takes as long as the copy.</summary>
    void Rouse(BootstrapRoom room)
    {
    }

    /// <summary>Takes over <paramref name="payload"/> and sends it. Only after <see cref="CanSend"/> said yes in this turn. Chunks go out in the order of the calls.</summary>
    void SendChunk(BootstrapRoom room, KvRange range, KvBuffer payload);

    /// <summary>Queues the last frame. <see cref="KvSenderEventKind.Delivered"/> follows when decode has imported everything.</summary>
    void SendLast(BootstrapRoom room, FirstToken first);

    /// <summary>Ends the room: tells decode, at once if it claimed the room, else when it does, and forgets it. No event follows.</summary>
    void Fail(BootstrapRoom room, RequestFailure failure);

    /// <summary>Moves what has happened since the last call into <paramref name="events"/>, in order.</summary>
    /// <param name="now">Rank time; early claims and tombstones past their deadline are dropped.</param>
    void Poll(TimeSpan now, List<KvSenderEvent> events);

    /// <summary>When <see cref="Poll"/> has to be called again even if nothing wakes the rank, or null for never.</summary>
    TimeSpan? NextDeadline => null;
}

public enum KvSenderEventKind
{
    /// <summary>Decode has reserved its cells and claims the room: chunks may be sent.</summary>
    Claimed,
    /// <summary>Decode has imported and checked all of it. The room is forgotten.</summary>
    Delivered,
    /// <summary>Decode gave up, the link broke, or the peer misbehaved. The room is forgotten.</summary>
    Failed,
    /// <summary>A window that was full has room again.</summary>
    WindowOpen,
}

/// <param name="Failure">Set for <see cref="KvSenderEventKind.Failed"/> only.</param>
public readonly record struct KvSenderEvent(KvSenderEventKind Kind, BootstrapRoom Room, RequestFailure? Failure);
