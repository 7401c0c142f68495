using Baton.Core.Failures;
using Baton.Core.Handover;
using Baton.Core.Ids;
using Baton.Core.Kv;

namespace Baton.Transfer.Fake;

/// <summary>A hand-over to nobody, for health checks and warm-ups (<c>bootstrap_host</c> 2.2.2.2, or the <c>fake</c> backend).</summary>
/// <remarks>As SGLang's: claimed at once, takes everything, done when the last frame is sent. Knows no rooms, so many may be room 0.</remarks>
public sealed class FakeKvSender(Action wake) : IKvSender
{
    private readonly List<KvSenderEvent> _pending = [];

    public void Open(BootstrapRoom room, int promptTokens) => Report(KvSenderEventKind.Claimed, room);

    public bool CanSend(BootstrapRoom room, int payloadBytes) => true;

    public void SendChunk(BootstrapRoom room, KvRange range, KvBuffer payload) => payload.Dispose();

    public void SendLast(BootstrapRoom room, FirstToken first) => Report(KvSenderEventKind.Delivered, room);

    public void Fail(BootstrapRoom room, RequestFailure failure)
    {
        int at = _pending.FindIndex(pending => pending.Room == room);
        if (at >= 0) _pending.RemoveAt(at);
    }

    public void Poll(TimeSpan now, List<KvSenderEvent> events)
    {
        events.AddRange(_pending);
        _pending.Clear();
    }

    public void Dispose() => _pending.Clear();

    private void Report(KvSenderEventKind kind, BootstrapRoom room)
    {
        _pending.Add(new KvSenderEvent(kind, room, null));
        wake();
    }
}
