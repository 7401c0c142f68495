using Baton.Bootstrap.Prefill;
using Baton.Core.Failures;
using Baton.Core.Ids;
using Baton.Core.Requests;
using Baton.Scheduling.Dispatch;
using Baton.Simulation.Events;

namespace Baton.Simulation.Cluster;

/// <summary>Between the DP controller and the registrar, and the directory of who has which room on this worker.</summary>
/// <param name="delay">Zero, or how late a planted bug registers.</param>
internal sealed class RoomRegistration(EventLoop loop, RoomRegistrar registrar, TimeSpan delay) : IRoomRegistration
{
    public bool Register(BootstrapInfo bootstrap, DpRank rank)
    {
        if (delay == TimeSpan.Zero) return registrar.Register(bootstrap.Room, rank);
        loop.After(delay, () => registrar.Register(bootstrap.Room, rank));
        return true;
    }

    public void Refuse(BootstrapInfo bootstrap, RequestFailure failure) => registrar.NotifyFailed(bootstrap.Room, failure);
}
