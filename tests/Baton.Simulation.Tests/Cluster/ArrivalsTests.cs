using Baton.Core.Engine.Simulated;
using Baton.Simulation.Cluster;
using Baton.Simulation.Events;
using Baton.Simulation.Workloads;

namespace Baton.Simulation.Tests.Cluster;

public sealed class ArrivalsTests
{
    private static readonly LengthDistribution Prompt = new LengthDistribution.Fixed(100);
    private static readonly LengthDistribution Output = new LengthDistribution.Fixed(8);

    [Fact]
    public void A_closed_loop_never_has_more_requests_under_way_than_it_has_clients_and_never_fewer_while_some_are_left()
    {
        SimulatedCluster cluster = Play(Workload.Draw(30, new ArrivalProcess.ClosedLoop(3), Prompt, Output, seed: 1));

        TimeSpan lastArrival = cluster.Records.Max(record => record.ArrivedAt);
        Assert.Equal(30, cluster.EndedCount);
        Assert.All(cluster.Records.Where(record => record.ArrivedAt < lastArrival), record => Assert.Equal(3, UnderWay(cluster, record.ArrivedAt)));
        // Each of the later ones came at the instant at which an earlier one ended.
        Assert.All(cluster.Records.Skip(3), record => Assert.Contains(cluster.Records, other => other.EndedAt == record.ArrivedAt));
    }

    [Fact]
    public void A_turn_is_not_sent_before_the_answer_to_the_turn_before_has_ended()
    {
        // Nobody thinks: without waiting, all turns of a conversation would come within milliseconds.
        Workload workload = new Conversations { Count = 6, Turns = 4, ThinkTime = TimeSpan.FromMilliseconds(1), SystemPromptTokens = 64, UserTokens = Prompt, AnswerTokens = Output }.Draw(seed: 2);

        SimulatedCluster cluster = Play(workload);

        Dictionary<int, RequestRecord> byIndex = cluster.Records.ToDictionary(record => record.Index);
        Assert.Equal(24, cluster.EndedCount);
        Assert.All(workload.Requests.GroupBy(request => request.Conversation), turns =>
        {
            foreach ((WorkloadRequest earlier, WorkloadRequest later) in turns.Zip(turns.Skip(1))) Assert.True(byIndex[later.Index].ArrivedAt >= byIndex[earlier.Index].EndedAt);
        });
    }

    [Fact]
    public void Requests_that_share_hash_ids_share_those_tokens_and_no_others()
    {
        SimulatedCluster cluster = new(new EventLoop(), new ClusterOptions(), seed: 9);
        int[] Prompt(int index, params long[] ids) => cluster.PromptOf(new WorkloadRequest(index, TimeSpan.Zero, 1200, 1, ids));

        int[] first = Prompt(0, 7, 8), second = Prompt(1, 7, 9), alone = Prompt(2);

        Assert.Equal(first[..512], second[..512]);
        Assert.NotEqual(first[512..1024], second[512..1024]);
        Assert.NotEqual(first[1024..], second[1024..]);
        Assert.NotEqual(first[..512], alone[..512]);
    }

    [Fact]
    public void A_block_that_the_prompt_does_not_fill_is_cut()
    {
        SimulatedCluster cluster = new(new EventLoop(), new ClusterOptions(), seed: 9);

        int[] cut = cluster.PromptOf(new WorkloadRequest(0, TimeSpan.Zero, 600, 1, [1, 2, 3])), whole = cluster.PromptOf(new WorkloadRequest(1, TimeSpan.Zero, 1536, 1, [1, 2, 3]));

        Assert.Equal(whole[..600], cut);
    }

    [Fact]
    public void Shared_blocks_are_computed_again_because_the_product_keeps_no_prefix_cache()
    {
        WorkloadRequest[] requests = [new(0, TimeSpan.Zero, 1024, 1, [1, 2]), new(1, TimeSpan.FromSeconds(10), 1024, 1, [1, 2])];

        SimulatedCluster cluster = Play(new Workload("twice the same", requests));

        Assert.Equal(cluster.Records[0].Ttft, cluster.Records[1].Ttft);
    }

    public static TheoryData<string> Kinds => ["poisson", "constant", "burst", "closed loop", "conversations"];

    [Theory]
    [MemberData(nameof(Kinds))]
    public void The_same_seed_gives_the_same_trace_and_another_gives_another(string kind)
    {
        Workload Drawn(ulong seed) => kind == "conversations"
            ? new Conversations { Count = 8, ThinkTime = TimeSpan.FromSeconds(1), UserTokens = Prompt, AnswerTokens = Output }.Draw(seed)
            : Workload.Draw(30, Process(kind), new LengthDistribution.LogNormal(300, 0.8, 2000), Output, seed);

        string first = Play(Drawn(1)).Trace.ToString();

        Assert.Equal(first, Play(Drawn(1)).Trace.ToString());
        Assert.NotEqual(first, Play(Drawn(2)).Trace.ToString());
    }

    private static ArrivalProcess Process(string kind) => kind switch
    {
        "constant" => new ArrivalProcess.Constant(20),
        "burst" => new ArrivalProcess.Burst(5, TimeSpan.FromMilliseconds(300)),
        "closed loop" => new ArrivalProcess.ClosedLoop(4),
        _ => new ArrivalProcess.Poisson(20),
    };

    private static int UnderWay(SimulatedCluster cluster, TimeSpan at) => cluster.Records.Count(record => record.ArrivedAt <= at && record.EndedAt > at);

    private static SimulatedCluster Play(Workload workload)
    {
        SimulatedEngineOptions engine = new() { Cost = CostModel.Parse("fixed=2,prompt=0.05,row=0.1") };
        SimulatedCluster cluster = new(new EventLoop(), new ClusterOptions { PrefillDpSize = 2, PrefillEngine = engine, DecodeEngine = engine }, seed: 5);
        cluster.Play(workload, TimeSpan.FromHours(1));
        return cluster;
    }
}
