using Baton.Core.Engine.Simulated;
using Baton.Core.Ranks;
using Baton.Scheduling;
using Baton.Simulation.Cluster;
using Baton.Simulation.Events;
using Baton.Simulation.Network;
using Baton.Simulation.Workloads;

namespace Baton.Simulation.Tests.Ttft;

/// <summary>Prompts that are computed in one step each: until it ends nobody hears of any progress, so equal ranks have to be told apart by more than tokens.</summary>
public sealed class WholePromptStepTests
{
    private const int PromptTokens = 70;

    [Theory]
    [InlineData(false, 1)]
    [InlineData(false, 2)]
    [InlineData(false, 3)]
    [InlineData(true, 1)]
    [InlineData(true, 2)]
    [InlineData(true, 3)]
    public void Baton_is_as_good_as_one_central_queue_whether_the_worker_or_the_router_chooses_ranks(bool routerChooses, ulong seed)
    {
        foreach (double rate in new[] { 2, 2.6, 3.2 })
        {
            double oracle = MeanTtftMs(rate, seed, method: null, routerChooses: false);
            double ours = MeanTtftMs(rate, seed, LoadBalanceMethod.LeastWork, routerChooses);

            Assert.InRange(ours / oracle, 0, 1.01);
        }
    }

    private static double MeanTtftMs(double rate, ulong seed, LoadBalanceMethod? method, bool routerChooses)
    {
        SimulatedEngineOptions engine = new()
        {
            CellCount = 1 << 20,
            MaxSequences = 256,
            MaxBatchTokens = PromptTokens + 256,
            Cost = CostModel.Free with { PromptTokenMs = 21, FixedMs = 5 },
        };
        SchedulerOptions scheduler = new() { ChunkedPrefillSize = PromptTokens };
        ClusterOptions options = new()
        {
            PrefillMethod = method,
            RouterPinsRanks = routerChooses,
            PrefillEngine = engine,
            DecodeEngine = engine,
            PrefillScheduler = scheduler,
            DecodeScheduler = scheduler,
            Network = new NetworkOptions { Latency = TimeSpan.Zero },
        };
        Workload workload = Workload.Draw(200, new ArrivalProcess.Poisson(rate), new LengthDistribution.Fixed(PromptTokens), new LengthDistribution.Fixed(5), seed);
        SimulatedCluster cluster = new(new EventLoop(), options, seed);
        cluster.Play(workload, TimeSpan.FromHours(1));
        return cluster.Records.Average(record => record.Ttft!.Value.TotalMilliseconds);
    }
}
