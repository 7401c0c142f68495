using Baton.Core.Engine.Simulated;
using Baton.Core.Failures;
using Baton.Core.Ids;
using Baton.Core.Randomness;
using Baton.Core.Requests;
using Baton.Scheduling.Tests.Support;
using Baton.Scheduling.Unified;

namespace Baton.Scheduling.Tests;

/// <summary>Random traffic over tight ranks; the engine throws at the first broken rule. Prefill and decode have theirs in the simulator's swarm.</summary>
public sealed class RandomUnifiedRunTests
{
    [Fact]
    public void Every_request_ends_once_and_every_cell_comes_back()
    {
        for (ulong seed = 1; seed <= 200; seed++) Run(seed);
    }

    private static void Run(ulong seed)
    {
        SeededRandom random = new(seed);
        SimulatedEngineOptions tight = new()
        {
            CellCount = random.NextBetween(64, 200),
            ContextTokens = random.NextBetween(40, 200),
            MaxSequences = random.NextBetween(1, 6),
            MaxBatchTokens = 64,
            VocabSize = 2000,
            EndProbability = random.NextBool(0.5) ? 0.02 : 0,
            Cost = new CostModel { FixedMs = 1 },
        };
        SchedulerOptions options = new()
        {
            ChunkedPrefillSize = random.NextBetween(4, 32),
            ReservedDecodeTokens = random.NextBetween(1, 20),
            MaxQueuedRequests = 20,
            QueueTimeout = TimeSpan.FromMilliseconds(random.NextBetween(50, 5000)),
        };
        ProbeEngine engine = new(tight);
        using UnifiedRank rank = new(DpRank.Zero, engine, options);
        Crank crank = new(rank);
        List<(GenerationRequest Request, RecordingSink Sink)> all = [];

        for (int turn = 0; turn < 300; turn++)
        {
            if (turn < 200 && random.NextBool(0.3)) Submit();
            if (all.Count > 0 && random.NextBool(0.05))
            {
                rank.Inbox.Abort(all[random.NextInt32(all.Count)].Request.Id, RequestFailure.Of(FailureReason.Aborted, "By chance."));
            }
            crank.Turn();
            Check();
        }
        crank.Run();

        Assert.All(all, one => Assert.True(one.Sink.End is not null, $"seed {seed}: {one.Request.Id} never ended"));
        Assert.Equal((0, 0, 0, 0L, 0L), (engine.UsedCells, engine.OpenSequences, rank.Inbox.LiveRequests, rank.Inbox.UncomputedPromptTokens, rank.Inbox.LivePromptTokens));

        void Submit()
        {
            (GenerationRequest Request, RecordingSink Sink) one = TestRequest.Of(
                $"s{all.Count}", random.NextBetween(1, 120), random.NextBetween(0, 60), priority: random.NextInt32(2));
            if (rank.Inbox.TrySubmit(one.Request) is null) all.Add(one);
        }

        void Check()
        {
            Assert.True(rank.Load.UsedCells >= engine.UsedCells, $"seed {seed}: the engine holds cells that the ledger gave away");
            Assert.True(rank.Load.RunningRequests + rank.Load.WaitingRequests == rank.Inbox.LiveRequests || rank.Inbox.HasArrivals, $"seed {seed}: a request is in no queue");
            Assert.InRange(rank.Inbox.LiveRequests, 0, rank.Inbox.Capacity);
        }
    }
}
