using Baton.Bootstrap.Prefill;
using Baton.Core.Failures;
using Baton.Core.Ids;
using Baton.Core.Requests;
using Baton.Scheduling.Dispatch;

namespace Baton.Simulation.Cluster;

/// <summary>Between the DP controller and the registrar, and the directory of who has which room on this worker.</summary>
internal sealed class RoomRegistration(RoomRegistrar registrar) : IRoomRegistration
{
    public bool Register(BootstrapInfo bootstrap, DpRank rank) => registrar.Register(bootstrap.Room, rank);

    public void Refuse(BootstrapInfo bootstrap, RequestFailure failure) => registrar.NotifyFailed(bootstrap.Room, failure);
}
