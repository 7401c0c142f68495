using Baton.Core.Engine.Simulated;
using Baton.Core.Ranks;
using Baton.Scheduling;
using Baton.Simulation.Cluster;
using Baton.Simulation.Events;
using Baton.Simulation.Network;
using Baton.Simulation.Workloads;

namespace Baton.Simulation.Tests.Ttft;

/// <summary>Ranks have to be told apart by more than the tokens sent to them: by how far they are.</summary>
public sealed class RankChoiceTests
{
    /// <summary>One step each: until it ends nobody hears of any progress.</summary>
    private const int PromptTokens = 70;
    private const int ChunkTokens = 10;
    private static readonly LengthDistribution Mixed = new LengthDistribution.LogNormal(PromptTokens, 1, 2 * PromptTokens);

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

    [Fact]
    public void On_prompts_of_mixed_lengths_the_router_chooses_as_well_as_the_worker_that_sees_every_chunk_end()
    {
        ulong[] seeds = [1, 2, 3, 4, 5, 6];
        foreach (double rate in new[] { 2, 2.6, 3.2 })
        {
            double worker = seeds.Average(seed => MeanTtftMs(rate, seed, LoadBalanceMethod.LeastWork, routerChooses: false, Mixed, ChunkTokens));
            double router = seeds.Average(seed => MeanTtftMs(rate, seed, LoadBalanceMethod.LeastWork, routerChooses: true, Mixed, ChunkTokens));

            Assert.InRange(router / worker, 0, 1.01);
        }
    }

    private static double MeanTtftMs(double rate, ulong seed, LoadBalanceMethod? method, bool routerChooses, LengthDistribution? lengths = null, int chunkTokens = PromptTokens)
    {
        SimulatedEngineOptions engine = new()
        {
            CellCount = 1 << 20,
            MaxSequences = 256,
            MaxBatchTokens = chunkTokens + 256,
            Cost = CostModel.Free with { PromptTokenMs = 21, FixedMs = 5 },
        };
        SchedulerOptions scheduler = new() { ChunkedPrefillSize = chunkTokens };
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
        Workload workload = Workload.Draw(200, new ArrivalProcess.Poisson(rate), lengths ?? new LengthDistribution.Fixed(PromptTokens), new LengthDistribution.Fixed(5), seed);
        SimulatedCluster cluster = new(new EventLoop(), options, seed);
        cluster.Play(workload, TimeSpan.FromHours(1));
        return cluster.Records.Average(record => record.Ttft!.Value.TotalMilliseconds);
    }
}
