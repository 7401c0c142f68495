using Baton.Core.Failures;
using Baton.Core.Handover;
using Baton.Core.Ids;

namespace Baton.Simulation.Swarm;

/// <summary>A KV receiver with <see cref="Plant.CorruptChunk"/>, <see cref="Plant.SwapChunks"/> or <see cref="Plant.SwallowAck"/>.</summary>
internal sealed class PlantedReceiver(IKvReceiver receiver, Plant plant) : IKvReceiver
{
    public long BufferedBytes => receiver.BufferedBytes;

    public void Claim(BootstrapRoom room, KvEndpoint endpoint, int promptTokens) => receiver.Claim(room, endpoint, promptTokens);

    public void Acknowledge(BootstrapRoom room)
    {
        if (plant != Plant.SwallowAck) receiver.Acknowledge(room);
    }

    public void Fail(BootstrapRoom room, RequestFailure failure) => receiver.Fail(room, failure);

    public void Poll(TimeSpan now, List<KvReceiverEvent> events)
    {
        int before = events.Count;
        receiver.Poll(now, events);
        for (int i = before; i < events.Count; i++)
        {
            if (events[i].Payload is not { } payload) continue;
            if (plant == Plant.CorruptChunk) payload.Span[payload.Length / 2] ^= 1;
            if (plant == Plant.SwapChunks && i + 1 < events.Count && events[i + 1].Payload is { } next && next.Length == payload.Length && events[i + 1].Room == events[i].Room)
            {
                (events[i], events[i + 1]) = (events[i] with { Payload = next }, events[i + 1] with { Payload = payload });
                i++;
            }
        }
    }

    public void Dispose() => receiver.Dispose();
}
