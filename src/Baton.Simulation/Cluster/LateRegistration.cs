using Baton.Core.Failures;
using Baton.Core.Ids;
using Baton.Core.Rooms;
using Baton.Simulation.Events;

namespace Baton.Simulation.Cluster;

/// <summary>A planted bug: rooms are registered long after their dispatch.</summary>
internal sealed class LateRegistration(EventLoop loop, IRoomRegistration inner, TimeSpan delay) : IRoomRegistration
{
    public bool Register(BootstrapRoom room, DpRank rank)
    {
        loop.After(delay, () => inner.Register(room, rank));
        return true;
    }

    public void NotifyFailed(BootstrapRoom room, RequestFailure failure) => inner.NotifyFailed(room, failure);

    public void NotifyEnded(BootstrapRoom room) => inner.NotifyEnded(room);
}
