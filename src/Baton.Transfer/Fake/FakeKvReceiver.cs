using Baton.Core.Failures;
using Baton.Core.Handover;
using Baton.Core.Ids;
using Baton.Core.Kv;
using Baton.Core.Requests;

namespace Baton.Transfer.Fake;

/// <summary>A hand-over from nobody, for health checks and warm-ups (<c>bootstrap_host</c> 2.2.2.2, or the <c>fake</c> backend).</summary>
/// <remarks>
/// No byte is moved: the KV cache of the whole prompt is zeros that are made here, so that the coverage check and the engine see what
/// they always see, and the first token is 0. What is generated from that means nothing. Knows no rooms, so many may be room 0.
/// </remarks>
/// <param name="chunkTokens">Longest chunk to make.</param>
public sealed class FakeKvReceiver(KvLayout layout, int chunkTokens, Action wake) : IKvReceiver
{
    private static readonly FirstToken TokenZero = new(new OutputToken(0, float.NaN, null), IsEndOfGeneration: false, Seed: 0, CachedTokens: 0);

    private readonly Queue<(BootstrapRoom Room, int PromptTokens)> _claimed = new();
    private long _bufferedBytes;

    public long BufferedBytes => Interlocked.Read(ref _bufferedBytes);

    public void Claim(BootstrapRoom room, KvEndpoint endpoint, int promptTokens)
    {
        _claimed.Enqueue((room, promptTokens));
        wake();
    }

    public void Acknowledge(BootstrapRoom room)
    {
    }

    public void Fail(BootstrapRoom room, RequestFailure failure)
    {
        for (int left = _claimed.Count, removed = 0; left > 0; left--)
        {
            (BootstrapRoom Room, int PromptTokens) claim = _claimed.Dequeue();
            if (claim.Room == room && removed++ == 0) continue;
            _claimed.Enqueue(claim);
        }
    }

    public void Poll(TimeSpan now, List<KvReceiverEvent> events)
    {
        while (_claimed.TryDequeue(out (BootstrapRoom Room, int PromptTokens) claim))
        {
            for (int start = 0; start < claim.PromptTokens; start += chunkTokens)
                events.Add(Zeros(claim.Room, new KvRange(start, Math.Min(start + chunkTokens, claim.PromptTokens))));
            events.Add(new KvReceiverEvent(KvReceiverEventKind.Last, claim.Room) { First = TokenZero });
        }
    }

    public void Dispose() => _claimed.Clear();

    private KvReceiverEvent Zeros(BootstrapRoom room, KvRange range)
    {
        KvBuffer cells = KvBuffer.Rent((int)layout.PayloadBytes(range.TokenCount));
        cells.Span.Clear();
        cells.Returned = bytes => Interlocked.Add(ref _bufferedBytes, -bytes);
        Interlocked.Add(ref _bufferedBytes, cells.Length);
        return new KvReceiverEvent(KvReceiverEventKind.Chunk, room) { Range = range, Payload = cells };
    }
}
