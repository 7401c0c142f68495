using Baton.Core.Failures;
using Baton.Core.Ids;
using Baton.Core.Kv;

namespace Baton.Core.Handover;

/// <summary>The decode half of the hand-over for one rank. Called on the rank's thread only, never blocks; see <see cref="IKvSender"/>.</summary>
public interface IKvReceiver : IDisposable
{
    /// <summary>Connects to the prefill rank if needed and claims the room. The caller has reserved the cells.</summary>
    /// <param name="endpoint">The KV endpoint of the prefill rank that holds the room.</param>
    /// <param name="promptTokens">How many positions must arrive.</param>
    void Claim(BootstrapRoom room, KvEndpoint endpoint, int promptTokens);

    /// <summary>Everything is imported and covered: tells prefill and forgets the room.</summary>
    void Acknowledge(BootstrapRoom room);

    /// <summary>Ends the room: tells prefill and forgets it. Chunks still on their way are dropped. No event follows.</summary>
    void Fail(BootstrapRoom room, RequestFailure failure);

    /// <summary>Moves what has arrived since the last call into <paramref name="events"/>, in order. Payloads now belong to the caller.</summary>
    void Poll(TimeSpan now, List<KvReceiverEvent> events);

    /// <summary>Bytes of payload that are waiting in this receiver; the window bounds them.</summary>
    long BufferedBytes { get; }
}

/// <summary>Where a prefill rank's KV listener is, and which rank it must turn out to be.</summary>
public readonly record struct KvEndpoint(string Host, int Port, DpRank Rank);

public enum KvReceiverEventKind
{
    /// <summary>A checked chunk: length, CRC and finiteness. <see cref="KvReceiverEvent.Payload"/> belongs to the reader.</summary>
    Chunk,
    /// <summary>The last frame, after all chunks.</summary>
    Last,
    /// <summary>Prefill failed, the link broke, or the data was bad. The room is forgotten.</summary>
    Failed,
    /// <summary>This rank does not hold the room, but the peer knows which does: <see cref="KvReceiverEvent.RightRank"/>. The room is forgotten here; claim it there.</summary>
    WrongRank,
}

public readonly record struct KvReceiverEvent(KvReceiverEventKind Kind, BootstrapRoom Room)
{
    public KvRange Range { get; init; }
    public KvBuffer? Payload { get; init; }
    public FirstToken? First { get; init; }
    public RequestFailure? Failure { get; init; }
    public DpRank RightRank { get; init; }
}
