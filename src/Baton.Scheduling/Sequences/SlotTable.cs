using Baton.Core.Engine;
using Baton.Core.Ids;
using Baton.Core.Kv;
using Baton.Scheduling.Ranks;

namespace Baton.Scheduling.Sequences;

/// <summary>The engine's sequence slots and cells, and who has them. A slot that was given back is taken again only after the engine closed it.</summary>
internal sealed class SlotTable<T> where T : LiveSequence
{
    private readonly KvLedger _cells;
    private readonly T?[] _owners;
    private readonly Stack<int> _free = new();
    private readonly List<SequenceId> _closing = [];

    public SlotTable(EngineInfo engine, SchedulerOptions options)
    {
        int count = Math.Min(engine.MaxSequences, options.MaxRunningRequests ?? engine.MaxSequences);
        _cells = new KvLedger(engine.CellCount, count);
        _owners = new T?[count];
        for (int slot = count - 1; slot >= 0; slot--) _free.Push(slot);
    }

    public int SlotCount => _owners.Length;
    public bool HasFreeSlot => _free.Count > 0;
    public int FreeCells => _cells.FreeCount;
    public int UsedCells => _cells.UsedCount;
    public int CellCount => _cells.CellCount;
    public bool HasClosings => _closing.Count > 0;

    /// <summary>Who owns the slot, or null when its sequence has ended in the meantime.</summary>
    public T? Owner(SequenceId sequence) => _owners[sequence.Value];

    public int CellsOf(T sequence) => _cells.HeldBy(sequence.Sequence);

    /// <summary>Gives the sequence a slot and its first cells, or neither.</summary>
    public bool TryTake(T sequence, int cells)
    {
        if (_free.Count == 0 || cells > _cells.FreeCount) return false;
        sequence.Slot = _free.Pop();
        _owners[sequence.Slot] = sequence;
        return _cells.TryReserve(sequence.Sequence, cells);
    }

    public bool TryGrow(T sequence, int cells) => _cells.TryReserve(sequence.Sequence, cells);

    /// <summary>Takes slot and cells back. When the engine knows the sequence they come free with the next <see cref="PlanClosings"/>.</summary>
    public void Release(T sequence)
    {
        SequenceId slot = sequence.Sequence;
        _owners[slot.Value] = null;
        if (sequence.IsInEngine) _closing.Add(slot);
        else Free(slot);
        (sequence.Slot, sequence.IsInEngine, sequence.HasSampler) = (-1, false, false);
    }

    /// <summary>Lets this step close what was released: the engine does that before anything else of the plan.</summary>
    public void PlanClosings(StepPlan plan)
    {
        foreach (SequenceId slot in _closing)
        {
            plan.Closing.Add(slot);
            Free(slot);
        }
        _closing.Clear();
    }

    public void Audit(RankAudit audit)
    {
        (audit.CellCount, audit.FreeCells) = (_cells.CellCount, _cells.FreeCount);
        for (int slot = 0; slot < _owners.Length; slot++)
        {
            RequestId? owner = _owners[slot] is { HasEnded: false } live ? live.Id : null;
            audit.Slots.Add(new SlotAudit(_cells.HeldBy(new SequenceId(slot)), owner, _closing.Contains(new SequenceId(slot))));
        }
    }

    private void Free(SequenceId slot)
    {
        _cells.ReleaseAll(slot);
        _free.Push(slot.Value);
    }
}
