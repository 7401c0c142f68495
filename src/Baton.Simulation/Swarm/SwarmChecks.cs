using Baton.Core.Engine.Simulated;
using Baton.Core.Failures;
using Baton.Core.Ids;
using Baton.Scheduling;
using Baton.Scheduling.Ranks;
using Baton.Simulation.Cluster;
using Baton.Simulation.Network;
using Baton.Transfer;
using Baton.Transfer.Receiving;
using Baton.Transfer.Sending;

namespace Baton.Simulation.Swarm;

/// <summary>The invariants of a cluster, looked at after every event: docs/simulation.md lists them.</summary>
internal sealed class SwarmChecks(SimulatedCluster cluster, ClusterOptions options)
{
    /// <summary>Early claims are looked through once in this time.</summary>
    private static readonly TimeSpan ReviewInterval = new TransferOptions().DirectoryInterval;
    private readonly RankAudit _audit = new();

    /// <exception cref="SwarmException">One does not hold.</exception>
    public void AfterEvent()
    {
        foreach (PrefillWorker worker in cluster.Prefills)
        {
            if (worker.IsDead) continue;
            int live = 0;
            for (int i = 0; i < worker.Ranks.Count; i++)
            {
                CheckRank(worker.Name, worker.Ranks[i], worker.Engines[i], options.PrefillScheduler, worker.IsBusy(i));
                CheckSender(worker.Name, i, worker.Senders[i], worker.IsBusy(i));
                live += worker.Ranks[i].Inbox.LiveRequests;
            }
            CheckLegs(worker.Name, worker.OpenLegs, live);
            CheckBound(worker.Name, "rooms to register", worker.Registrar.RoomCount, options.Bounds.RegisteredRooms);
            CheckBound(worker.BootstrapName, "rooms", worker.Table.Rooms.Count, options.Bounds.TableRooms);
        }
        foreach (DecodeWorker worker in cluster.Decodes)
        {
            if (worker.IsDead) continue;
            int live = 0;
            for (int i = 0; i < worker.Ranks.Count; i++)
            {
                CheckRank(worker.Name, worker.Ranks[i], worker.Engines[i], options.DecodeScheduler, worker.IsBusy(i));
                live += worker.Ranks[i].Inbox.LiveRequests;
            }
            CheckLegs(worker.Name, worker.OpenLegs, live);
            CheckBound(worker.Name, "rooms to resolve", worker.Resolver.PendingCount, options.Bounds.PendingRooms);
            if (worker.Resolver.NextDeadline is { } due) CheckDeadline(due, worker.Name, "a room to resolve");
        }
        CheckLinks();
    }

    /// <summary>A client was told an end.</summary>
    public static void CheckEnd(RequestRecord record)
    {
        if (record.Failure is { } failure && (failure.Reason == FailureReason.None || string.IsNullOrWhiteSpace(failure.Message)))
            throw new SwarmException($"request {record.Index} failed without a reason");
    }

    private void CheckRank(string worker, EngineRank rank, SimulatedEngine engine, SchedulerOptions scheduler, bool isBusy)
    {
        string Name() => $"{worker} rank {rank.DpRank}";
        if (rank.Fault is { } fault) throw new SwarmException($"{Name()}: {fault}");
        int capacity = scheduler.InboxCapacity(engine.Info);
        if (rank.Inbox.LiveRequests > capacity) throw new SwarmException($"{Name()} holds {rank.Inbox.LiveRequests} requests, more than {capacity}");
        if (rank.Inbox.UncomputedPromptTokens < 0) throw new SwarmException($"{Name()} has {rank.Inbox.UncomputedPromptTokens} prompt tokens to compute");
        _audit.Clear();
        rank.Audit(_audit);
        CheckCells(Name, engine);
        int handedOver = 0;
        foreach (RequestAudit request in _audit.Requests)
        {
            if (request.IsHandedOver) handedOver++;
            if (request.Slot >= 0 && _audit.Slots[request.Slot].Owner != request.Id) throw new SwarmException($"{Name()}: {request.Id} ({request.Stage}) uses slot {request.Slot}, which {_audit.Slots[request.Slot].Owner} owns");
            if (!isBusy && request.Deadline < cluster.Loop.Now) throw new SwarmException($"{Name()}: {request.Id} ({request.Stage}) waits beyond its deadline, {request.Deadline.Value.TotalSeconds:0.######} s");
        }
        if (handedOver != _audit.KnownRooms) throw new SwarmException($"{Name()} knows {_audit.KnownRooms} rooms and has {handedOver} requests with one");
    }

    private void CheckCells(Func<string> name, SimulatedEngine engine)
    {
        long held = 0;
        for (int slot = 0; slot < _audit.Slots.Count; slot++)
        {
            SlotAudit have = _audit.Slots[slot];
            held += have.Cells;
            if (have is { Cells: > 0, Owner: null, IsClosing: false }) throw new SwarmException($"{name()}: slot {slot} keeps {have.Cells} cells for a request that has ended");
            int used = engine.CellsOf(new SequenceId(slot));
            if (used > have.Cells) throw new SwarmException($"{name()}: slot {slot} uses {used} cells of the engine and owns {have.Cells}");
        }
        if (held + _audit.FreeCells != _audit.CellCount) throw new SwarmException($"{name()}: {held} cells are held and {_audit.FreeCells} free, of {_audit.CellCount}");
    }

    private void CheckSender(string worker, int rank, KvSender sender, bool isBusy)
    {
        SenderAudit audit = sender.Audit();
        if (audit.Revived is { } room) throw new SwarmException($"{worker} rank {rank}: {room} has ended and waits for its request again");
        if (audit.WindowExcessBytes > 0) throw new SwarmException($"{worker} rank {rank} has sent {audit.WindowExcessBytes} bytes more than a window");
        CheckBound(worker, "early claims", audit.EarlyClaims, options.Bounds.EarlyClaims);
        CheckBound(worker, "ended rooms", audit.EndedRooms, options.Bounds.EndedRooms);
        if (!isBusy && audit.OldestEarlyClaim is { } due) CheckDeadline(due + ReviewInterval, worker, "an early claim");
    }

    private void CheckLinks()
    {
        NetworkOptions network = options.Network;
        foreach (VirtualKvPair pair in cluster.Links.Pairs)
        {
            if (!pair.IsOpen) CheckDeadline(pair.ConnectingSince + (2 * network.Latency) + network.PeerTimeout, pair.DecodeHost, "a connection");
        }
    }

    /// <summary>Every leg that a worker took is in one of its ranks until its sink has heard its end.</summary>
    private static void CheckLegs(string worker, int open, int live)
    {
        if (open != live) throw new SwarmException($"{worker} took {open} requests that have not been told an end, and its ranks have {live}");
    }

    private static void CheckBound(string where, string what, int count, int bound)
    {
        if (count > bound) throw new SwarmException($"{where} keeps {count} {what}, more than {bound}");
    }

    private void CheckDeadline(TimeSpan due, string where, string what)
    {
        if (cluster.Loop.Now > due) throw new SwarmException($"{where}: {what} had to end by {due.TotalSeconds:0.######} s");
    }

    /// <summary>All requests have ended, all faults too, and time has passed: nothing is left anywhere.</summary>
    public void WhenQuiet()
    {
        foreach (PrefillWorker worker in cluster.Prefills)
        {
            if (worker.IsDead) continue;
            for (int i = 0; i < worker.Ranks.Count; i++)
            {
                CheckQuiet(worker.Name, worker.Ranks[i], worker.Engines[i]);
                CheckGone(worker.Name, "open rooms", worker.Senders[i].OpenRooms);
                CheckGone(worker.Name, "early claims", worker.Senders[i].EarlyClaims);
            }
            CheckGone(worker.BootstrapName, "watched rooms", worker.Table.Rooms.WatchedCount);
        }
        foreach (DecodeWorker worker in cluster.Decodes)
        {
            if (worker.IsDead) continue;
            for (int i = 0; i < worker.Ranks.Count; i++)
            {
                KvReceiver receiver = worker.Receivers[i];
                CheckQuiet(worker.Name, worker.Ranks[i], worker.Engines[i]);
                CheckGone(worker.Name, "claimed rooms", receiver.ClaimedRooms);
                CheckGone(worker.Name, "bytes of chunks", receiver.BufferedBytes);
            }
            CheckGone(worker.Name, "rooms to resolve", worker.Resolver.PendingCount);
        }
    }

    private static void CheckQuiet(string worker, EngineRank rank, SimulatedEngine engine)
    {
        string name = $"{worker} rank {rank.DpRank}";
        CheckGone(name, "requests", rank.Inbox.LiveRequests);
        CheckGone(name, "cells in the ledger", rank.Load.UsedCells);
        CheckGone(name, "cells in the engine", engine.UsedCells);
        CheckGone(name, "sequences in the engine", engine.OpenSequences);
        CheckGone(name, "prompt tokens to compute", rank.Inbox.UncomputedPromptTokens);
        CheckGone(name, "prompt tokens", rank.Inbox.LivePromptTokens);
    }

    private static void CheckGone(string where, string what, long count)
    {
        if (count != 0) throw new SwarmException($"{where} still has {count} {what} after everything has ended");
    }
}
