using Baton.Core.Randomness;
using Baton.Simulation.Cluster;
using Baton.Simulation.Faults;
using Baton.Simulation.Workloads;

namespace Baton.Simulation.Swarm;

/// <summary>Draws a schedule in which every fault ends. It can be written as a fault script.</summary>
internal sealed class FaultDraw(SeededRandom random, ClusterOptions cluster, Workload workload)
{
    private readonly Dictionary<FaultWorker, List<(TimeSpan From, TimeSpan To)>> _lives = [];
    private readonly int _lengthMicroseconds = (int)(workload.Requests[^1].ArrivesAt + TimeSpan.FromSeconds(3)).TotalMicroseconds;

    public IReadOnlyList<Fault> Draw()
    {
        List<Fault> faults = [];
        for (int left = random.NextBetween(0, 6); left > 0; left--) faults.AddRange(Next());
        return faults;
    }

    private Fault[] Next()
    {
        TimeSpan at = TimeSpan.FromMicroseconds(random.NextInt32(_lengthMicroseconds));
        TimeSpan until = at + TimeSpan.FromMilliseconds(random.NextBetween(10, 15_000));
        FaultSpan span = new(at, until);
        int prefill = random.NextInt32(cluster.PrefillWorkers), decode = random.NextInt32(cluster.DecodeWorkers);
        return random.NextInt32(12) switch
        {
            0 => Kill(FaultWorker.Prefill(prefill), span),
            1 => Kill(FaultWorker.Decode(decode), span),
            2 => [new Fault.Partition(prefill, decode, span)],
            3 => [new Fault.DropBootstrap(random.NextBool(0.2) ? null : prefill, span)],
            4 => [new Fault.Slow(FaultWorker.Prefill(prefill), random.NextBetween(2, 30), span)],
            5 => [new Fault.Slow(FaultWorker.Decode(decode), random.NextBetween(2, 30), span)],
            6 => [new Fault.Link(LinkTrouble.Delay, prefill, decode, Chance(), TimeSpan.FromMilliseconds(random.NextBetween(1, 3000)), span)],
            7 => [new Fault.Link(LinkTrouble.Duplicate, prefill, decode, Chance(), TimeSpan.Zero, span)],
            8 => [new Fault.Link(LinkTrouble.Reorder, prefill, decode, Chance(), TimeSpan.Zero, span)],
            9 => [new Fault.Link(LinkTrouble.Corrupt, prefill, decode, Chance(), TimeSpan.Zero, span)],
            10 => [new Fault.BreakLink(prefill, decode, at)],
            _ => [new Fault.Abort(random.NextInt32(workload.Requests.Count), at)],
        };
    }

    private double Chance() => random.NextBetween(1, 30) / 100.0;

    /// <summary>Nothing when the worker is dead already at some time of it.</summary>
    private Fault[] Kill(FaultWorker worker, FaultSpan span)
    {
        (TimeSpan from, TimeSpan to) = (span.From, span.To!.Value);
        if (!_lives.TryGetValue(worker, out List<(TimeSpan From, TimeSpan To)>? dead)) _lives[worker] = dead = [];
        if (dead.Exists(other => from <= other.To && other.From <= to)) return [];
        dead.Add((from, to));
        return [new Fault.Kill(worker, from), new Fault.Restart(worker, to)];
    }
}
