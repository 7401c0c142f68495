using Baton.Core.Engine;
using Baton.Core.Failures;
using Baton.Core.Handover;
using Baton.Core.Ids;

namespace Baton.Simulation.Swarm;

/// <summary>No decode step before full coverage: what one decode rank's engine was given, against what its links brought.</summary>
/// <remarks>It counts for itself and asks neither the scheduler nor the receiver.</remarks>
internal sealed class HandoverCheck(string rank)
{
    private readonly Dictionary<BootstrapRoom, int> _promptTokens = [];
    private readonly HashSet<BootstrapRoom> _complete = [];
    private readonly Dictionary<SequenceId, (BootstrapRoom Room, int Covered)> _imported = [];
    private readonly HashSet<SequenceId> _mayDecode = [];

    public void Claimed(BootstrapRoom room, int promptTokens) => _promptTokens[room] = promptTokens;

    public void Heard(in KvReceiverEvent happened)
    {
        if (happened.Kind == KvReceiverEventKind.Last) _complete.Add(happened.Room);
    }

    /// <summary>The room is over for the receiver; what was imported lives on in the engine.</summary>
    public void Left(BootstrapRoom room)
    {
        _promptTokens.Remove(room);
        _complete.Remove(room);
    }

    public void Check(StepPlan plan)
    {
        foreach (SequenceId closing in plan.Closing)
        {
            _imported.Remove(closing);
            _mayDecode.Remove(closing);
        }
        foreach (KvImport import in plan.Imports)
        {
            int covered = _imported.TryGetValue(import.Sequence, out (BootstrapRoom Room, int Covered) had) ? had.Covered : 0;
            if (import.Range.Start != covered) throw new SwarmException($"{rank}: {import.Room} has positions [0,{covered}) and imports {import.Range}");
            if (covered > 0 && had.Room != import.Room) throw new SwarmException($"{rank}: cells of {import.Room} go to {import.Sequence}, which belongs to {had.Room}");
            if (_mayDecode.Contains(import.Sequence)) throw new SwarmException($"{rank}: {import.Room} imports {import.Range} after its first decode step");
            _imported[import.Sequence] = (import.Room, import.Range.End);
        }
        foreach (DecodeRow row in plan.Rows)
        {
            if (_mayDecode.Add(row.Sequence)) CheckFirstRow(plan, row);
        }
    }

    private void CheckFirstRow(StepPlan plan, in DecodeRow row)
    {
        if (!_imported.TryGetValue(row.Sequence, out (BootstrapRoom Room, int Covered) have)) return; // the prompt was computed here
        SequenceId sequence = row.Sequence;
        int promptTokens = plan.Opening.Find(start => start.Sequence == sequence).PromptTokens.Length;
        if (have.Covered != promptTokens) throw new SwarmException($"{rank}: {have.Room} decodes with {have.Covered} of {promptTokens} positions");
        if (row.Position != promptTokens) throw new SwarmException($"{rank}: {have.Room} decodes position {row.Position} first, behind a prompt of {promptTokens}");
    }

    /// <summary>Decode says that it has everything.</summary>
    public void CheckAcknowledged(BootstrapRoom room)
    {
        if (!_complete.Contains(room)) throw new SwarmException($"{rank}: {room} was acknowledged before its last frame came");
        foreach ((BootstrapRoom Room, int Covered) have in _imported.Values)
        {
            if (have.Room == room && have.Covered == _promptTokens[room]) return;
        }
        throw new SwarmException($"{rank}: {room} was acknowledged before all of its {_promptTokens[room]} positions were imported");
    }
}

/// <summary>Shows each step to a <see cref="HandoverCheck"/>.</summary>
internal sealed class CheckedEngine(IEngine engine, HandoverCheck check) : IEngine
{
    public EngineInfo Info => engine.Info;

    public void Execute(StepPlan plan, StepResult result)
    {
        check.Check(plan);
        engine.Execute(plan, result);
    }

    public void Interrupt() => engine.Interrupt();

    public void Dispose() => engine.Dispose();
}

/// <summary>Shows claims and arrivals to a <see cref="HandoverCheck"/>.</summary>
internal sealed class CheckedReceiver(IKvReceiver receiver, HandoverCheck check) : IKvReceiver
{
    public long BufferedBytes => receiver.BufferedBytes;

    public void Claim(BootstrapRoom room, KvEndpoint endpoint, int promptTokens)
    {
        check.Claimed(room, promptTokens);
        receiver.Claim(room, endpoint, promptTokens);
    }

    public void Acknowledge(BootstrapRoom room)
    {
        check.CheckAcknowledged(room);
        check.Left(room);
        receiver.Acknowledge(room);
    }

    public void Fail(BootstrapRoom room, RequestFailure failure)
    {
        check.Left(room);
        receiver.Fail(room, failure);
    }

    public void Poll(TimeSpan now, List<KvReceiverEvent> events)
    {
        int before = events.Count;
        receiver.Poll(now, events);
        for (int i = before; i < events.Count; i++) check.Heard(events[i]);
    }

    public void Dispose() => receiver.Dispose();
}
