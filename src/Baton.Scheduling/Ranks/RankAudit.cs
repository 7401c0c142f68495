using Baton.Core.Ids;

namespace Baton.Scheduling.Ranks;

/// <summary>Everything that is live in a rank, for a checker between two turns: requests, the cells that they hold, and what they wait for.</summary>
/// <remarks>On the thread that turns the crank. Reused: <see cref="Clear"/> keeps the lists' memory.</remarks>
internal sealed class RankAudit
{
    public List<RequestAudit> Requests { get; } = [];

    /// <summary>By slot number.</summary>
    public List<SlotAudit> Slots { get; } = [];

    public int CellCount { get; set; }

    public int FreeCells { get; set; }

    /// <summary>Rooms that the scheduler knows: those of its live requests and no others.</summary>
    public int KnownRooms { get; set; }

    public void Clear()
    {
        Requests.Clear();
        Slots.Clear();
        (CellCount, FreeCells, KnownRooms) = (0, 0, 0);
    }
}

/// <summary>A live request.</summary>
/// <param name="Stage">Names its queue, for messages.</param>
/// <param name="Deadline">When its present wait ends at the latest; null while it computes.</param>
/// <param name="Slot">Of the engine, or -1.</param>
internal readonly record struct RequestAudit(RequestId Id, bool IsHandedOver, string Stage, TimeSpan? Deadline, int Slot);

/// <summary>An engine slot and the cells that the ledger has set aside for it.</summary>
/// <param name="Owner">Null when nobody has it, or its request has ended.</param>
/// <param name="IsClosing">Its request has ended and the engine frees it in the next step.</param>
internal readonly record struct SlotAudit(int Cells, RequestId? Owner, bool IsClosing);

/// <summary>A scheduler that shows itself to a checker.</summary>
internal interface IAuditedScheduler
{
    /// <summary>Adds to the empty <paramref name="audit"/>.</summary>
    void Audit(RankAudit audit);
}
