using Baton.Core.Failures;
using Baton.Core.Ids;

namespace Baton.Scheduling.Dispatch;

/// <summary>Where a request went, or why nowhere.</summary>
/// <param name="Rank">The rank that has it. When <paramref name="Failure"/> is set: the rank that was tried.</param>
/// <param name="Failure">Null when the rank took it and will end it; else the request's sink hears nothing and the caller answers.</param>
/// <param name="IsRoomRegistered">The bootstrap server was told, because decode cannot infer the rank.</param>
public readonly record struct DispatchResult(DpRank Rank, RequestFailure? Failure, bool IsRoomRegistered);
