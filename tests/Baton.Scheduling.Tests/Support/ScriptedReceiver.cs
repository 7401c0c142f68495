using Baton.Core.Failures;
using Baton.Core.Handover;
using Baton.Core.Ids;
using Baton.Core.Kv;

namespace Baton.Scheduling.Tests.Support;

/// <summary>A KV receiver whose prefill side is the test.</summary>
internal sealed class ScriptedReceiver : IKvReceiver
{
    private readonly List<KvReceiverEvent> _pending = [];
    private readonly HashSet<BootstrapRoom> _forgotten = [];
    private int _returned;

    public List<(BootstrapRoom Room, KvEndpoint Endpoint, int PromptTokens)> Claims { get; } = [];
    public List<BootstrapRoom> Acknowledged { get; } = [];
    public List<(BootstrapRoom Room, RequestFailure Failure)> Failed { get; } = [];
    public int Given { get; private set; }
    /// <summary>Payloads that came back to the pool.</summary>
    public int Returned => _returned;
    public Action? OnFail { get; set; }
    public bool IsDisposed { get; private set; }
    public long BufferedBytes => 0;

    public void Claim(BootstrapRoom room, KvEndpoint endpoint, int promptTokens) => Claims.Add((room, endpoint, promptTokens));

    public void Acknowledge(BootstrapRoom room)
    {
        Assert.DoesNotContain(room, _forgotten);
        Acknowledged.Add(room);
    }

    public void Fail(BootstrapRoom room, RequestFailure failure)
    {
        OnFail?.Invoke();
        Failed.Add((room, failure));
    }

    public void Poll(TimeSpan now, List<KvReceiverEvent> events)
    {
        events.AddRange(_pending);
        if (_pending.Count == 0) return;
        _forgotten.UnionWith(_pending.Where(e => e.Kind is KvReceiverEventKind.Failed).Select(e => e.Room));
        _pending.Clear();
    }

    public void Dispose() => IsDisposed = true;

    public void GiveChunk(ulong room, int start, byte[] payload)
    {
        KvBuffer buffer = KvBuffer.Rent(payload.Length);
        payload.CopyTo(buffer.Span);
        buffer.Returned = _ => _returned++;
        Given++;
        _pending.Add(new KvReceiverEvent(KvReceiverEventKind.Chunk, new BootstrapRoom(room))
        {
            Range = new KvRange(start, start + payload.Length / 16),
            Payload = buffer,
        });
    }

    public void GiveLast(ulong room, FirstToken first) =>
        _pending.Add(new KvReceiverEvent(KvReceiverEventKind.Last, new BootstrapRoom(room)) { First = first });

    public void GiveFailure(ulong room, FailureReason reason) => _pending.Add(new KvReceiverEvent(KvReceiverEventKind.Failed, new BootstrapRoom(room))
    {
        Failure = RequestFailure.Of(reason, "The prefill side said so."),
    });

    public void GiveWrongRank(ulong room, int right) =>
        _pending.Add(new KvReceiverEvent(KvReceiverEventKind.WrongRank, new BootstrapRoom(room)) { RightRank = new DpRank(right) });
}
