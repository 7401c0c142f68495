using Baton.Core.Failures;
using Baton.Core.Ids;
using Baton.Core.Requests;

namespace Baton.Scheduling.Dispatch;

/// <summary>Tells the bootstrap server which rank holds a room. Posts in the background: neither call may block or throw.</summary>
public interface IRoomRegistration
{
    /// <summary>Called before the rank sees the request.</summary>
    /// <returns>False when no more rooms can be told: the request is refused, as decode would never find it.</returns>
    bool Register(BootstrapInfo bootstrap, DpRank rank);

    /// <summary>The request ended at dispatch: decode must hear of it at once and not at its timeout.</summary>
    void Refuse(BootstrapInfo bootstrap, RequestFailure failure);
}
