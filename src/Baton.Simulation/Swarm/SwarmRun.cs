using Baton.Core.Engine;
using Baton.Core.Engine.Simulated;
using Baton.Core.Randomness;
using Baton.Core.Requests;
using Baton.Scheduling.Ranks;
using Baton.Simulation.Cluster;
using Baton.Simulation.Events;
using Baton.Simulation.Faults;
using Baton.Simulation.Workloads;

namespace Baton.Simulation.Swarm;

/// <summary>What one seed came to.</summary>
/// <param name="Violation">Null when every invariant held.</param>
public sealed record SwarmOutcome(ulong Seed, string? Violation, string TraceHash, int Requests, int Succeeded, long Events);

/// <summary>Plays one seed and checks the invariants after every event: docs/simulation.md lists them.</summary>
public sealed class SwarmRun
{
    private static readonly TimeSpan Drain = TimeSpan.FromSeconds(900);
    private readonly EventLoop _loop = new();
    private readonly SwarmPlan _plan;
    private readonly SimulatedCluster _cluster;
    private string? _alarm;

    private SwarmRun(SwarmPlan plan, Plant plant)
    {
        _plan = plan;
        _cluster = new SimulatedCluster(_loop, plan.Cluster, plan.Seed, new ClusterProbes { Plant = plant, Alarm = text => _alarm ??= text });
    }

    public static SwarmOutcome Run(ulong seed, Plant plant = Plant.None)
    {
        SwarmPlan plan = SwarmPlan.Draw(seed);
        SwarmRun run = new(plan, plant);
        string? violation = null;
        try
        {
            run.Play();
        }
        catch (Exception broken)
        {
            violation = $"at {run._loop.Now.TotalSeconds:0.######} s: {(broken is SwarmException ? broken.Message : broken)}";
        }
        return new SwarmOutcome(
            seed, violation, run._cluster.Trace.ToString(), run._cluster.Records.Count, run._cluster.Records.Count(r => r is { EndedAt: not null, Failure: null }), run._loop.EventCount);
    }

    private void Play()
    {
        _loop.AfterEvent = CheckNow;
        foreach (Fault fault in _plan.Faults) new FaultInjector(_loop, _cluster, fault, _plan.Seed).Schedule();
        _cluster.Play(_plan.Workload, Drain);                       // the fault phase ends by itself: every fault has its end
        if (_cluster.EndedCount < _plan.Workload.Requests.Count)
        {
            RequestRecord open = _cluster.Records.First(r => r.EndedAt is null);
            throw new SwarmException($"{_plan.Workload.Requests.Count - _cluster.EndedCount} requests had not ended after {Drain.TotalSeconds:0} s, the first is request {open.Index} ({open.Room})");
        }
        _loop.Run(_loop.Now + TimeSpan.FromSeconds(120));           // everything heals and drains
        CheckQuiet();
        foreach (RequestRecord record in _cluster.Records) CheckAnswer(record);
    }

    private void CheckNow()
    {
        if (_alarm is { } alarm) throw new SwarmException(alarm);
        foreach (PrefillWorker worker in _cluster.Prefills)
        {
            for (int i = 0; i < worker.Ranks.Count; i++) CheckRank(worker.Name, worker.Ranks[i], worker.Engines[i]);
        }
        foreach (DecodeWorker worker in _cluster.Decodes)
        {
            for (int i = 0; i < worker.Ranks.Count; i++) CheckRank(worker.Name, worker.Ranks[i], worker.Engines[i]);
        }
    }

    private static void CheckRank(string worker, EngineRank rank, SimulatedEngine engine)
    {
        if (rank.Fault is { } fault) throw new SwarmException($"{worker} rank {rank.DpRank}: {fault}");
        if (rank.Inbox.LiveRequests > rank.Inbox.Capacity) throw new SwarmException($"{worker} rank {rank.DpRank} holds {rank.Inbox.LiveRequests} requests, more than {rank.Inbox.Capacity}");
        if (rank.Inbox.UncomputedPromptTokens < 0) throw new SwarmException($"{worker} rank {rank.DpRank} has {rank.Inbox.UncomputedPromptTokens} prompt tokens to compute");
        if (engine.UsedCells > engine.Info.CellCount) throw new SwarmException($"{worker} rank {rank.DpRank} uses {engine.UsedCells} of {engine.Info.CellCount} cells");
    }

    private void CheckQuiet()
    {
        foreach (PrefillWorker worker in _cluster.Prefills)
        {
            for (int i = 0; i < worker.Ranks.Count; i++) CheckQuiet(worker.Name, worker.Ranks[i], worker.Engines[i]);
        }
        foreach (DecodeWorker worker in _cluster.Decodes)
        {
            for (int i = 0; i < worker.Ranks.Count; i++) CheckQuiet(worker.Name, worker.Ranks[i], worker.Engines[i]);
            if (worker.Resolver.PendingCount > 0) throw new SwarmException($"{worker.Name} still resolves {worker.Resolver.PendingCount} rooms");
        }
    }

    private static void CheckQuiet(string worker, EngineRank rank, SimulatedEngine engine)
    {
        if (rank.Inbox.LiveRequests > 0) throw new SwarmException($"{worker} rank {rank.DpRank} still holds {rank.Inbox.LiveRequests} requests");
        if (rank.Load.UsedCells > 0) throw new SwarmException($"{worker} rank {rank.DpRank}: {rank.Load.UsedCells} cells of the ledger did not come back");
        if (engine.UsedCells > 0 || engine.OpenSequences > 0) throw new SwarmException($"{worker} rank {rank.DpRank}: the engine still has {engine.UsedCells} cells in {engine.OpenSequences} sequences");
        if (rank.Inbox.UncomputedPromptTokens != 0 || rank.Inbox.LivePromptTokens != 0) throw new SwarmException($"{worker} rank {rank.DpRank}: the work gauge stands at {rank.Inbox.UncomputedPromptTokens}");
    }

    private void CheckAnswer(RequestRecord record)
    {
        if (record.Failure is { } failure)
        {
            if (_plan.IsCalm) throw new SwarmException($"request {record.Index} failed although nothing went wrong: {failure}");
            return;
        }
        if (record.PrefillRank is { } held && record.ClaimedRank != held)
        {
            throw new SwarmException($"request {record.Index}: prefill rank {held} held the room and decode took it from rank {record.ClaimedRank}");
        }
        WorkloadRequest request = _plan.Workload.Requests[record.Index];
        (int count, ulong hash) = Expected(request);
        if (record.OutputTokens != count) throw new SwarmException($"request {record.Index} got {record.OutputTokens} tokens instead of {count}");
        if (record.AnswerHash != hash) throw new SwarmException($"request {record.Index} got another answer than its prompt has");
    }

    /// <summary>The answer by an engine that does nothing else.</summary>
    private (int Count, ulong Hash) Expected(WorkloadRequest request)
    {
        int[] prompt = _cluster.PromptOf(request);
        int limit = Math.Min(_plan.Cluster.DecodeEngine.ContextTokens, _plan.Cluster.DecodeEngine.CellCount);
        int count = Math.Min(request.OutputTokens, limit - prompt.Length);
        using SimulatedEngine engine = new(_plan.Cluster.DecodeEngine with { MaxBatchTokens = 1 << 20 });
        StepPlan step = new() { BatchTokens = prompt.Length };
        StepResult result = new();
        step.Opening.Add(new SequenceStart(default, SamplingOptions.Greedy, prompt, default));
        step.Chunks.Add(new PrefillChunk(default, prompt, 0, SampleLast: true));
        ulong hash = 0;
        for (int i = 0; i < count; i++)
        {
            engine.Execute(step, result);
            int token = result.Samples[0].TokenId;
            hash = SeededRandom.Mix(hash * 31 + (ulong)token + 1);
            step.Clear();
            step.Rows.Add(new DecodeRow(default, token, prompt.Length + i));
            step.BatchTokens = 1;
        }
        return (count, hash);
    }
}
