using Baton.Core.Failures;
using Baton.Core.Handover;
using Baton.Core.Ids;
using Baton.Core.Kv;

namespace Baton.Scheduling.Tests.Support;

/// <summary>A KV sender whose decode side is the test.</summary>
internal sealed class ScriptedSender : IKvSender
{
    private readonly List<KvSenderEvent> _pending = [];
    private readonly HashSet<BootstrapRoom> _claimed = [];
    private int _promised;

    public Dictionary<BootstrapRoom, int> Open { get; } = [];
    public List<(BootstrapRoom Room, KvRange Range)> Chunks { get; } = [];
    public List<(BootstrapRoom Room, FirstToken First)> Lasts { get; } = [];
    public List<(BootstrapRoom Room, RequestFailure Failure)> Failed { get; } = [];
    /// <summary>Failed without being open: what decode is answered when it claims them.</summary>
    public List<(BootstrapRoom Room, RequestFailure Failure)> Refused { get; } = [];
    /// <summary>Chunks that may be sent until the test opens the window again.</summary>
    public int Window { get; set; } = int.MaxValue;
    public Action? OnFail { get; set; }
    public TimeSpan? NextDeadline { get; set; }
    public bool IsDisposed { get; private set; }

    public void Claim(ulong room)
    {
        _claimed.Add(new BootstrapRoom(room));
        _pending.Add(new KvSenderEvent(KvSenderEventKind.Claimed, new BootstrapRoom(room), null));
    }

    public void Deliver(ulong room) => Forget(KvSenderEventKind.Delivered, room, null);

    public void Break(ulong room, FailureReason reason) => Forget(KvSenderEventKind.Failed, room, RequestFailure.Of(reason, "The decode side said so."));

    void IKvSender.Open(BootstrapRoom room, int promptTokens) => Open.Add(room, promptTokens);

    public bool CanSend(BootstrapRoom room, int payloadBytes)
    {
        Assert.Contains(room, Open.Keys);
        if (!_claimed.Contains(room) || Window == 0) return false;
        Window--;
        _promised++;
        return true;
    }

    public void SendChunk(BootstrapRoom room, KvRange range, KvBuffer payload)
    {
        Assert.True(_promised-- > 0, "A chunk was sent without CanSend.");
        Chunks.Add((room, range));
        payload.Dispose();
    }

    public void SendLast(BootstrapRoom room, FirstToken first) => Lasts.Add((room, first));

    public void Fail(BootstrapRoom room, RequestFailure failure)
    {
        if (!Open.Remove(room))
        {
            Refused.Add((room, failure));
            return;
        }
        OnFail?.Invoke();
        _claimed.Remove(room);
        Failed.Add((room, failure));
    }

    public void Poll(TimeSpan now, List<KvSenderEvent> events)
    {
        _promised = 0;
        events.AddRange(_pending);
        _pending.Clear();
    }

    public void Dispose() => IsDisposed = true;

    private void Forget(KvSenderEventKind kind, ulong room, RequestFailure? failure)
    {
        Open.Remove(new BootstrapRoom(room));
        _claimed.Remove(new BootstrapRoom(room));
        _pending.Add(new KvSenderEvent(kind, new BootstrapRoom(room), failure));
    }
}
