using Baton.Core.Failures;
using Baton.Core.Handover;
using Baton.Transfer.Wire;

namespace Baton.Transfer.Links;

/// <summary>An ordered pipe of frames between one prefill rank and one decode rank: TCP, in-process, or the simulator's network.</summary>
/// <remarks>
/// What arrives, and the link's opening and one end, go to the <see cref="KvInbox"/> of its owner. All members may be called from any
/// thread and never block.
/// </remarks>
public interface IKvLink
{
    /// <summary>Queues a frame, also before the link is open. Takes over its payload, which goes back to the pool when the link is closed.</summary>
    void Send(in KvFrame frame);

    /// <summary>A chunk follows within a millisecond: where a thread waits for bytes at the other end, it should be awake by then.</summary>
    void Rouse()
    {
    }

    /// <summary>Sends what is queued and a goodbye with <paramref name="why"/>, then closes. The owner still gets its one end; a second call does nothing.</summary>
    void Close(RequestFailure why);
}

/// <summary>How a decode rank reaches prefill ranks.</summary>
public interface IKvConnector
{
    /// <summary>Starts to connect and returns at once. The outcome goes to <paramref name="inbox"/>: opened, or ended with the reason.</summary>
    IKvLink Connect(KvEndpoint endpoint, KvInbox inbox);
}
