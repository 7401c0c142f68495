using System.Collections.Concurrent;
using Baton.Core.Failures;
using Baton.Core.Handover;
using Baton.Core.Ids;
using Baton.Core.Kv;

namespace Baton.Serving.Disaggregation;

/// <summary>Lets other threads say that a room ended before this rank heard of it, so decode's claim is answered at once and not at a timeout.</summary>
/// <remarks>A request that the DP controller refuses never reaches a rank, but decode, which can infer the rank, claims it there.</remarks>
internal sealed class RefusingKvSender(IKvSender inner, Action wake) : IKvSender
{
    /// <summary>What is not taken in by then is dropped: decode then waits for its own deadline. Only a rank that hangs gets here.</summary>
    private const int MaxPending = 65_536;

    private readonly ConcurrentQueue<(BootstrapRoom Room, RequestFailure Failure)> _refused = new();
    private readonly HashSet<BootstrapRoom> _open = [];

    /// <summary>From any thread.</summary>
    public void Refuse(BootstrapRoom room, RequestFailure failure)
    {
        if (_refused.Count >= MaxPending) return;
        _refused.Enqueue((room, failure));
        wake();
    }

    public TimeSpan? NextDeadline => inner.NextDeadline;

    public void Open(BootstrapRoom room, int promptTokens)
    {
        _open.Add(room);
        inner.Open(room, promptTokens);
    }

    public bool CanSend(BootstrapRoom room, int payloadBytes) => inner.CanSend(room, payloadBytes);

    public void SendChunk(BootstrapRoom room, KvRange range, KvBuffer payload) => inner.SendChunk(room, range, payload);

    public void SendLast(BootstrapRoom room, FirstToken first) => inner.SendLast(room, first);

    public void Fail(BootstrapRoom room, RequestFailure failure)
    {
        _open.Remove(room);
        inner.Fail(room, failure);
    }

    public void Poll(TimeSpan now, List<KvSenderEvent> events)
    {
        while (_refused.TryDequeue(out (BootstrapRoom Room, RequestFailure Failure) refused))
        {
            // The same room is live under another request: the refusal was the duplicate's.
            if (!_open.Contains(refused.Room)) inner.Fail(refused.Room, refused.Failure);
        }
        int before = events.Count;
        inner.Poll(now, events);
        for (int i = before; i < events.Count; i++)
        {
            if (events[i].Kind is KvSenderEventKind.Delivered or KvSenderEventKind.Failed) _open.Remove(events[i].Room);
        }
    }

    public void Dispose() => inner.Dispose();
}
