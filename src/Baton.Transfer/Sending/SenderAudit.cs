using Baton.Core.Ids;

namespace Baton.Transfer.Sending;

/// <summary>What a sender keeps beside its open rooms, for a checker.</summary>
/// <param name="EarlyClaims">Claims whose requests have not come.</param>
/// <param name="OldestEarlyClaim">When the first of them has to be refused.</param>
/// <param name="Revived">A room that ended here and waits as an early claim again; never, unless there is a bug.</param>
/// <param name="WindowExcessBytes">Bytes under way beyond a link's window; 0, unless there is a bug.</param>
internal readonly record struct SenderAudit(int EarlyClaims, TimeSpan? OldestEarlyClaim, int EndedRooms, BootstrapRoom? Revived, long WindowExcessBytes);
