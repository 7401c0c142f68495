using Baton.Core.Engine;
using Baton.Core.Engine.Simulated;
using Baton.Core.Randomness;
using Baton.Core.Requests;
using Baton.Simulation.Cluster;
using Baton.Simulation.Events;
using Baton.Simulation.Faults;
using Baton.Simulation.Workloads;

namespace Baton.Simulation.Swarm;

/// <summary>What one run came to.</summary>
/// <param name="Violation">Null when every invariant held.</param>
public sealed record SwarmOutcome(ulong Seed, string? Violation, string TraceHash, int Requests, int Succeeded, long Events);

/// <summary>Plays one plan, a fault phase and a healed phase, and checks the invariants after every event.</summary>
public sealed class SwarmRun
{
    private const int RecoveryRounds = 6;
    private static readonly TimeSpan Settle = TimeSpan.FromSeconds(120);
    private readonly EventLoop _loop = new();
    private readonly SwarmPlan _plan;
    private readonly SimulatedCluster _cluster;
    private readonly SwarmChecks _checks;
    private string? _alarm;
    private Action<SimulatedCluster>? _played;

    private SwarmRun(SwarmPlan plan, Plant plant, TextWriter? trace)
    {
        _plan = plan;
        ClusterProbes probes = new() { Plant = plant, Alarm = text => _alarm ??= text, Log = new EventLog(trace, isDetailed: true) };
        _cluster = new SimulatedCluster(_loop, plan.Cluster, plan.Seed, probes);
        _checks = new SwarmChecks(_cluster, plan.Cluster);
    }

    public static SwarmOutcome Run(ulong seed, Plant plant = Plant.None) => Run(SwarmPlan.Draw(seed), plant);

    /// <param name="trace">Gets the event log, or null.</param>
    /// <param name="played">Called when all requests of the plan have ended, before the healed phase.</param>
    public static SwarmOutcome Run(SwarmPlan plan, Plant plant = Plant.None, TextWriter? trace = null, Action<SimulatedCluster>? played = null)
    {
        SwarmRun run = new(plan, plant, trace) { _played = played };
        string? violation = null;
        try
        {
            run.Play();
        }
        catch (Exception broken)
        {
            violation = $"at {run._loop.Now.TotalSeconds:0.######} s: {(broken is SwarmException ? broken.Message : broken)}";
            run._cluster.Trace.Add(run._loop.Now, $"violation: {violation}");
        }
        RequestRecord[] records = [.. run._cluster.Records.Where(record => record.Index < plan.Workload.Requests.Count)];
        return new SwarmOutcome(plan.Seed, violation, run._cluster.Trace.ToString(), records.Length, records.Count(r => r is { EndedAt: not null, Failure: null }), run._loop.EventCount);
    }

    private void Play()
    {
        _loop.AfterEvent = CheckNow;
        _cluster.Ended = SwarmChecks.CheckEnd;
        new FaultInjector(_cluster, _plan.Seed).Schedule(_plan.Faults);
        _cluster.Play(_plan.Workload, _plan.Limit);
        CheckAllEnded(_plan.Limit);
        _played?.Invoke(_cluster);
        _loop.Run(_loop.Now + Settle);                              // every fault has ended by now, and everything drains
        _checks.WhenQuiet();
        foreach (RequestRecord record in _cluster.Records) CheckAnswer(record);
        if (_plan.IsHealed) CheckRecovery();
    }

    private void CheckNow()
    {
        if (_alarm is { } alarm) throw new SwarmException(alarm);
        _checks.AfterEvent();
    }

    private void CheckAllEnded(TimeSpan limit)
    {
        if (_cluster.Records.Find(record => record.EndedAt is null) is { } open)
            throw new SwarmException($"{_cluster.Records.Count - _cluster.EndedCount} requests had not ended after {limit.TotalSeconds:0} s, the first is request {open.Index} ({open.Room})");
    }

    /// <summary>The healed phase: after some tries at most, requests succeed again, one after the other, as if nothing had been.</summary>
    private void CheckRecovery()
    {
        int next = _plan.Workload.Requests.Count;
        for (int round = 1; ; round++)
        {
            List<RequestRecord> tried = [];
            for (int i = 0; i < 2 * _plan.Cluster.PrefillWorkers * _plan.Cluster.DecodeWorkers; i++)
            {
                tried.Add(_cluster.Submit(new WorkloadRequest(next++, _loop.Now, PromptTokens: 20, OutputTokens: 5, [])));
                _loop.Run(_loop.Now + TimeSpan.FromSeconds(5));
            }
            if (tried.TrueForAll(record => record is { EndedAt: not null, Failure: null })) break;
            if (round == RecoveryRounds) throw new SwarmException($"after {round} rounds in a healed cluster, requests still fail: {tried.Find(record => record.Failure is not null)?.Failure}");
            _loop.Run(_loop.Now + TimeSpan.FromSeconds(30));
        }
        _loop.Run(_loop.Now + Settle);
        CheckAllEnded(Settle);
        _checks.WhenQuiet();
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
