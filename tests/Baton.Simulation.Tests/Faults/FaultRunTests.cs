using Baton.Core.Engine.Simulated;
using Baton.Core.Failures;
using Baton.Core.Ranks;
using Baton.Scheduling;
using Baton.Simulation.Cluster;
using Baton.Simulation.Faults;
using Baton.Simulation.Network;
using Baton.Simulation.Swarm;
using Baton.Simulation.Workloads;

namespace Baton.Simulation.Tests.Faults;

/// <summary>Each fault does what the script says, and nothing else; the swarm's invariants hold throughout.</summary>
public sealed class FaultRunTests
{
    private const int Requests = 40;
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(20);

    [Fact]
    public void Without_faults_every_request_succeeds()
    {
        Assert.All(Play(""), record => Assert.Null(record.Failure));
    }

    [Theory]
    [InlineData("kill prefill 0 at 1s\nrestart prefill 0 at 3s")]
    [InlineData("kill decode 0 at 1s\nrestart decode 0 at 3s")]
    public void A_killed_worker_fails_what_it_had_and_serves_again_after_its_restart(string script)
    {
        IReadOnlyList<RequestRecord> records = Play(script);

        Assert.All(records.Where(record => record.ArrivedAt.TotalSeconds is < 0.7 or >= 3), record => Assert.Null(record.Failure));
        Assert.All(records.Where(record => record.ArrivedAt.TotalSeconds is >= 1 and < 3), record => Assert.Equal(FailureReason.PeerFailed, record.Failure?.Reason));
    }

    [Fact]
    public void A_silent_bootstrap_server_makes_requests_wait_until_it_answers_again()
    {
        IReadOnlyList<RequestRecord> records = Play("drop bootstrap 0 from 1s to 4s");

        Assert.All(records, record => Assert.Null(record.Failure));
        Assert.All(records.Where(record => record.ArrivedAt is { TotalSeconds: > 1.01 and < 3.5 }), record => Assert.True(record.FirstTokenAt > TimeSpan.FromSeconds(4), $"{record.FirstTokenAt}"));
        Assert.True(Worst(records.Where(record => record.ArrivedAt.TotalSeconds < 0.9)) < 0.5);
    }

    [Fact]
    public void A_partition_longer_than_the_links_patience_fails_requests_and_heals()
    {
        IReadOnlyList<RequestRecord> records = Play("partition prefill 0 decode 0 from 1s to 18s");

        Assert.Contains(records, record => record.Failure is not null);
        Assert.All(records.Where(record => record.ArrivedAt.TotalSeconds < 0.7), record => Assert.Null(record.Failure));
    }

    [Fact]
    public void A_partition_shorter_than_that_only_delays()
    {
        IReadOnlyList<RequestRecord> records = Play("partition prefill 0 decode 0 from 1s to 3s");

        Assert.All(records, record => Assert.Null(record.Failure));
        Assert.True(Worst(records) > 1);
    }

    [Theory]
    [InlineData("slow prefill 0 x20 from 1s to 3s")]
    [InlineData("slow decode 0 x20 from 1s to 3s")]
    [InlineData("delay link prefill 0 decode 0 by 300ms from 1s to 3s")]
    public void Slow_workers_and_links_make_requests_slower_while_it_lasts(string script)
    {
        IReadOnlyList<RequestRecord> calm = Play(""), slow = Play(script);

        Assert.All(slow, record => Assert.Null(record.Failure));
        for (int i = 0; i < Requests; i++)
        {
            TimeSpan arrived = slow[i].ArrivedAt;
            if (arrived.TotalSeconds < 0.7) Assert.Equal(calm[i].EndedAt, slow[i].EndedAt);
            if (arrived.TotalSeconds is > 1.1 and < 2) Assert.True(slow[i].EndedAt > calm[i].EndedAt + TimeSpan.FromMilliseconds(100), $"request {i}: {slow[i].EndedAt} and {calm[i].EndedAt}");
        }
    }

    [Fact]
    public void Of_slow_downs_that_overlap_the_largest_counts_and_each_ends_at_its_own_time()
    {
        IReadOnlyList<RequestRecord> one = Play("slow prefill 0 x20 from 1s to 3s"), three = Play("slow prefill 0 x20 from 1s to 3s\nslow prefill 0 x5 from 1.5s to 2.5s\nslow prefill 0 x20 from 1.2s to 1.6s");

        Assert.Equal(one.Select(record => record.EndedAt), three.Select(record => record.EndedAt));
    }

    [Theory]
    [InlineData("corrupt link prefill 0 decode 0 100% from 1s to 1.5s", "")]
    [InlineData("duplicate link prefill 0 decode 0 100% from 1s to 1.5s", "where frame")]
    [InlineData("reorder link prefill 0 decode 0 30% from 1s to 1.5s", "where frame")]
    public void Frames_that_were_changed_repeated_or_swapped_end_the_link_and_never_reach_an_answer(string script, string sign)
    {
        IReadOnlyList<RequestRecord> records = Play(script);

        // That no answer is wrong, the run itself has checked.
        Assert.Contains(records, record => record.Failure is { Reason: FailureReason.TransferCorrupt } failure && failure.Message.Contains(sign, StringComparison.Ordinal));
        Assert.All(records.Where(record => record.ArrivedAt.TotalSeconds is < 0.7 or > 1.51), record => Assert.Null(record.Failure));
    }

    [Fact]
    public void A_changed_bit_is_found_by_the_checksum()
    {
        int found = 0;
        for (ulong seed = 1; seed <= 20; seed++)
            found += Play("corrupt link prefill 0 decode 0 100% from 1s to 1.5s", seed).Count(record => record.Failure?.Message.Contains("CRC-32C", StringComparison.Ordinal) == true);

        Assert.True(found > 0);
    }

    [Fact]
    public void A_broken_link_is_replaced_and_what_was_on_it_fails()
    {
        // Request 20 came at 1 s, and its four chunks take 8 ms each.
        IReadOnlyList<RequestRecord> records = Play("break link prefill 0 decode 0 at 1.01s", rate: 20);

        RequestRecord[] failed = [.. records.Where(record => record.Failure is not null)];
        Assert.NotEmpty(failed);
        Assert.All(failed, record => Assert.Equal(FailureReason.LinkLost, record.Failure!.Reason));
        Assert.All(records.Where(record => record.ArrivedAt.TotalSeconds is < 0.7 or > 1.01), record => Assert.Null(record.Failure));
    }

    [Fact]
    public void An_aborted_request_ends_and_the_others_go_on()
    {
        RequestRecord[] failed = [.. Play("abort request 20 at 1.01s", rate: 20).Where(record => record.Failure is not null)];

        Assert.Equal(20, Assert.Single(failed).Index);
    }

    [Fact]
    public void Faults_that_overlap_end_when_the_last_of_them_does()
    {
        Reachability hosts = new();
        hosts.SetDown("decode 0", isDown: true);
        hosts.SetDown("decode 0", isDown: true);
        hosts.SetCut("prefill 0", "decode 1", isCut: true);
        hosts.SetCut("decode 1", "prefill 0", isCut: true);

        hosts.SetDown("decode 0", isDown: false);
        hosts.SetCut("prefill 0", "decode 1", isCut: false);

        Assert.False(hosts.IsUp("decode 0"));
        Assert.False(hosts.CanTalk("prefill 0", "decode 1"));
        hosts.SetDown("decode 0", isDown: false);
        hosts.SetCut("prefill 0", "decode 1", isCut: false);
        Assert.True(hosts.IsUp("decode 0"));
        Assert.True(hosts.CanTalk("prefill 0", "decode 1"));
    }

    private static double Worst(IEnumerable<RequestRecord> records) => records.Max(record => record.Ttft!.Value.TotalSeconds);

    private static IReadOnlyList<RequestRecord> Play(string script, ulong seed = 1, double rate = 10)
    {
        SimulatedEngineOptions engine = new() { Cost = new CostModel { FixedMs = 5, PromptTokenMs = 0.1, RowMs = 0.1 } };
        SchedulerOptions scheduler = new() { ChunkedPrefillSize = 32, QueueTimeout = Timeout, BootstrapTimeout = Timeout, WaitingTimeout = Timeout };
        ClusterOptions cluster = new()
        {
            PrefillDpSize = 2,
            PrefillMethod = LoadBalanceMethod.RoundRobin, // so that rooms are looked up
            PrefillEngine = engine,
            DecodeEngine = engine,
            PrefillScheduler = scheduler,
            DecodeScheduler = scheduler,
            ResolveTimeout = Timeout,
            Network = new NetworkOptions { CarriesBytes = true },
        };
        Workload workload = Workload.Draw(Requests, new ArrivalProcess.Constant(rate), new LengthDistribution.Fixed(100), new LengthDistribution.Fixed(20), seed);
        IReadOnlyList<Fault> faults = FaultScript.Parse(script, new FaultTargets(1, 1, Requests));
        IReadOnlyList<RequestRecord> records = [];
        SwarmOutcome outcome = SwarmRun.Run(new SwarmPlan(seed, cluster, workload, faults), played: played => records = [.. played.Records]);
        Assert.Null(outcome.Violation);
        return records;
    }
}
