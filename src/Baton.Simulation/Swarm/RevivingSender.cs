using Baton.Core.Ids;
using Baton.Transfer;
using Baton.Transfer.Links;
using Baton.Transfer.Sending;
using Microsoft.Extensions.Logging;

namespace Baton.Simulation.Swarm;

/// <summary>A KV sender with <see cref="Plant.ReviveRoom"/>: no claim comes too late for it.</summary>
internal sealed class RevivingSender(KvInbox inbox, KvIdentity self, TransferOptions options, Func<BootstrapRoom, DpRank?> directory, ILogger logger)
    : KvSender(inbox, self, options, directory, logger)
{
    internal override bool HasEnded(BootstrapRoom room, out EndedRooms.EndedRoom ended)
    {
        ended = default;
        return false;
    }
}
