using Baton.Core.Failures;
using Baton.Core.Ids;

namespace Baton.Core.Rooms;

/// <summary>Tells the bootstrap server about the rooms of a prefill worker. Posts in the background: no call may block or throw.</summary>
public interface IRoomRegistration
{
    /// <summary>This rank works on the room from now on. Called before the rank sees the request.</summary>
    /// <returns>False when no more rooms can be told: the request is refused, as decode would never find it.</returns>
    bool Register(BootstrapRoom room, DpRank rank);

    /// <summary>The room failed: whoever waits for it is told why.</summary>
    void NotifyFailed(BootstrapRoom room, RequestFailure failure);

    /// <summary>The room ended well: the server may forget it.</summary>
    void NotifyEnded(BootstrapRoom room);
}
