using Baton.Core.Failures;
using Baton.Core.Handover;
using Baton.Core.Ids;
using Baton.Core.Kv;

namespace Baton.Simulation.Swarm;

/// <summary>A KV sender with <see cref="Plant.IgnoreWindow"/> or <see cref="Plant.WrongFirstToken"/>.</summary>
internal sealed class PlantedSender(IKvSender sender, Plant plant) : IKvSender
{
    public TimeSpan? NextDeadline => sender.NextDeadline;

    public void Open(BootstrapRoom room, int promptTokens) => sender.Open(room, promptTokens);

    public bool CanSend(BootstrapRoom room, int payloadBytes) => plant == Plant.IgnoreWindow || sender.CanSend(room, payloadBytes);

    public void SendChunk(BootstrapRoom room, KvRange range, KvBuffer payload) => sender.SendChunk(room, range, payload);

    public void SendLast(BootstrapRoom room, FirstToken first) => sender.SendLast(
        room, plant == Plant.WrongFirstToken ? first with { Token = first.Token with { TokenId = first.Token.TokenId ^ 1 } } : first);

    public void Fail(BootstrapRoom room, RequestFailure failure) => sender.Fail(room, failure);

    public void Poll(TimeSpan now, List<KvSenderEvent> events) => sender.Poll(now, events);

    public void Dispose() => sender.Dispose();
}
