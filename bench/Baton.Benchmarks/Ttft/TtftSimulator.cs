using Baton.Core.Engine.Simulated;
using Baton.Core.Ranks;
using Baton.Scheduling;
using Baton.Simulation.Cluster;
using Baton.Simulation.Events;
using Baton.Simulation.Network;
using Baton.Simulation.Workloads;

namespace Baton.Benchmarks.Ttft;

/// <summary>One run in virtual time, in order of arrival: TTFT in ms on the published scale, and the prefill rank of each request.</summary>
internal sealed record SimulatedRun(double[] TtftMs, int[] Ranks);

/// <summary>The same arrivals, lengths, costs and scheduler options as the real processes, without processes, HTTP and sockets.</summary>
/// <remarks>Nothing takes time but the engines' steps, so the difference to a real run is what the real way costs.</remarks>
internal static class TtftSimulator
{
    /// <param name="method">A name of <see cref="TtftPlan.AllMethods"/>, or <c>oracle</c>: one central queue.</param>
    /// <param name="arrivals">On the published scale.</param>
    public static SimulatedRun Run(TtftPlan plan, string method, IReadOnlyList<TimeSpan> arrivals, IReadOnlyList<int> promptTokens, int seed)
    {
        WorkloadRequest[] requests = [.. arrivals.Select((at, i) => new WorkloadRequest(i, at, promptTokens[i], plan.OutputTokens, []))];
        SimulatedCluster cluster = new(new EventLoop(), Options(plan, method), (ulong)seed);
        cluster.Play(new Workload("measured arrivals", requests), TimeSpan.FromHours(24));
        if (cluster.EndedCount < requests.Length || cluster.Records.Exists(record => record.Failure is not null))
            throw new InvalidOperationException($"{method}: the simulation did not complete all {requests.Length} requests.");
        RequestRecord[] ended = [.. cluster.Records.OrderBy(record => record.Index)];
        return new SimulatedRun([.. ended.Select(record => record.Ttft!.Value.TotalMilliseconds)], [.. ended.Select(record => record.PrefillRank?.Value ?? -1)]);
    }

    private static ClusterOptions Options(TtftPlan plan, string method)
    {
        SimulatedEngineOptions engine = new()
        {
            ContextTokens = plan.ContextTokens,
            CellCount = 1_000_000,
            MaxSequences = 256,
            MaxBatchTokens = plan.ChunkTokens + 256,
            VocabSize = 256,
            Cost = plan.Cost,
        };
        SchedulerOptions scheduler = new() { ChunkedPrefillSize = plan.ChunkTokens, MaxRunningRequests = 256 };
        return new ClusterOptions
        {
            PrefillDpSize = plan.Ranks,
            PrefillMethod = method switch
            {
                "oracle" => null,
                "follow_bootstrap_room" => LoadBalanceMethod.FollowBootstrapRoom,
                "round_robin" => LoadBalanceMethod.RoundRobin,
                _ => LoadBalanceMethod.LeastWork,
            },
            RouterPinsRanks = method == "default",
            PrefillEngine = engine,
            DecodeEngine = engine,
            PrefillScheduler = scheduler,
            DecodeScheduler = scheduler,
            Network = new NetworkOptions { Latency = TimeSpan.Zero },
        };
    }
}
