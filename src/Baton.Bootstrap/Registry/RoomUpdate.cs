using Baton.Core.Failures;
using Baton.Core.Ids;

namespace Baton.Bootstrap.Registry;

/// <summary>A batch of news about rooms. Applied in the order ended, failed, registered, so that what makes space comes first; sending it twice is harmless.</summary>
public sealed record RoomUpdate
{
    public IReadOnlyList<KeyValuePair<BootstrapRoom, DpRank>> Registered { get; init; } = [];
    public IReadOnlyList<KeyValuePair<BootstrapRoom, RequestFailure>> Failed { get; init; } = [];
    public IReadOnlyList<BootstrapRoom> Ended { get; init; } = [];

    public int Count => Registered.Count + Failed.Count + Ended.Count;
}
