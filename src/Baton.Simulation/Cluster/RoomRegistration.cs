using Baton.Core.Failures;
using Baton.Core.Ids;
using Baton.Core.Rooms;
using Baton.Simulation.Events;

namespace Baton.Simulation.Cluster;

/// <summary>Between a prefill worker's rooms and its registrar: remembers what was told, for a check of the order.</summary>
/// <param name="delay">Zero, or how late a planted bug registers.</param>
internal sealed class RoomRegistration(EventLoop loop, IRoomRegistration registrar, TimeSpan delay) : IRoomRegistration
{
    /// <summary>The room that the registrar was told about last.</summary>
    public BootstrapRoom LastTold { get; private set; }

    public bool Register(BootstrapRoom room, DpRank rank)
    {
        if (delay == TimeSpan.Zero) return Tell(room, rank);
        loop.After(delay, () => Tell(room, rank));
        return true;
    }

    public void NotifyFailed(BootstrapRoom room, RequestFailure failure) => registrar.NotifyFailed(room, failure);

    public void NotifyEnded(BootstrapRoom room) => registrar.NotifyEnded(room);

    private bool Tell(BootstrapRoom room, DpRank rank)
    {
        LastTold = room;
        return registrar.Register(room, rank);
    }
}
