using Baton.Bootstrap.Registry;

namespace Baton.Bootstrap.Tests.Registry;

public sealed class RankTableTests
{
    private static readonly TimeSpan Window = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan Start = TimeSpan.FromSeconds(100);

    [Fact]
    public void A_group_is_ready_when_every_distinct_rank_has_registered_and_not_when_one_registers_twice()
    {
        RankTable table = new("server", Window);

        Assert.True(table.TryRegister(Rank(0, dpSize: 2), null, Start, out _));
        Assert.True(table.TryRegister(Rank(0, dpSize: 2), null, Start, out _));
        Assert.Null(table.ReadyTopology);
        Assert.True(table.TryRegister(Rank(1, dpSize: 2), null, Start, out _));

        Assert.Equal(2, table.ReadyTopology!.DpSize);
        Assert.Equal(2, table.RegisteredCount);
    }

    [Fact]
    public void All_dimensions_count_for_readiness()
    {
        RankTable table = new("server", Window);
        for (int rank = 0; rank < 16; rank++)
        {
            Assert.Null(table.ReadyTopology);
            RankRegistration one = new()
            {
                AttnTpSize = 2,
                AttnTpRank = rank & 1,
                AttnCpSize = 2,
                AttnCpRank = (rank >> 1) & 1,
                AttnDpSize = 2,
                AttnDpRank = (rank >> 2) & 1,
                PpSize = 2,
                PpRank = (rank >> 3) & 1,
                RankIp = "10.0.0.1",
                RankPort = 1000 + rank,
            };

            Assert.True(table.TryRegister(one, null, Start, out _));
        }

        Assert.NotNull(table.ReadyTopology);
        Assert.Equal(new RankEndpoint("10.0.0.1", 1015), table.Find(new RankKey(1, 1, 1, 1)));
    }

    [Fact]
    public void Plain_data_parallel_ranks_are_told_apart_by_their_system_rank()
    {
        RankTable table = new("server", Window);

        table.TryRegister(Rank(0, dpSize: 2), null, Start, out _);
        table.TryRegister(Rank(1, dpSize: 2), null, Start, out _);

        Assert.Equal(new RankEndpoint("10.0.0.1", 4000), table.Find(new RankKey(0, 0, 0, 0)));
        Assert.Equal(new RankEndpoint("10.0.0.1", 4001), table.Find(new RankKey(1, 0, 0, 0)));
    }

    [Theory]
    [InlineData(9.999, false)]
    [InlineData(10.0, true)]
    public void An_sglang_rank_may_take_a_taken_place_only_after_the_clash_window(double secondsLater, bool isTaken)
    {
        RankTable table = new("server", Window);
        table.TryRegister(Rank(0, dpSize: 1), null, Start, out _);

        bool accepted = table.TryRegister(Rank(0, dpSize: 1, port: 5000), null, Start + TimeSpan.FromSeconds(secondsLater), out string? conflict);

        Assert.Equal(isTaken, accepted);
        Assert.Equal(isTaken, conflict is null);
        Assert.Equal(new RankEndpoint("10.0.0.1", isTaken ? 5000 : 4000), table.Find(new RankKey(0, 0, 0, 0)));
        Assert.Equal(isTaken ? "server.1" : "server", table.InstanceId);
    }

    [Fact]
    public void A_restarted_baton_worker_replaces_all_ranks_of_its_former_life_at_once()
    {
        RankTable table = new("server", Window);
        table.TryRegister(Rank(0, dpSize: 2), "first", Start, out _);
        table.TryRegister(Rank(1, dpSize: 2), "first", Start, out _);

        bool accepted = table.TryRegister(Rank(0, dpSize: 2, port: 5000), "second", Start, out _);

        Assert.True(accepted);
        Assert.Null(table.ReadyTopology);
        Assert.Null(table.Find(new RankKey(1, 0, 0, 0)));
        Assert.Equal("server.1", table.InstanceId);
    }

    [Fact]
    public void A_worker_that_was_replaced_is_refused_for_ever()
    {
        RankTable table = new("server", Window);
        table.TryRegister(Rank(0, dpSize: 1), "first", Start, out _);
        table.TryRegister(Rank(0, dpSize: 1, port: 5000), "second", Start, out _);

        bool accepted = table.TryRegister(Rank(0, dpSize: 1), "first", Start + TimeSpan.FromHours(1), out string? conflict);

        Assert.False(accepted);
        Assert.Contains("replaced", conflict, StringComparison.Ordinal);
        Assert.Equal(new RankEndpoint("10.0.0.1", 5000), table.Find(new RankKey(0, 0, 0, 0)));
    }

    [Fact]
    public void A_restart_on_the_same_port_also_forgets_the_siblings_and_changes_the_instance()
    {
        RankTable table = new("server", Window);
        table.TryRegister(Rank(0, dpSize: 2), "first", Start, out _);
        table.TryRegister(Rank(1, dpSize: 2), "first", Start, out _);

        table.TryRegister(Rank(0, dpSize: 2), "second", Start, out _);

        Assert.Null(table.ReadyTopology);
        Assert.Equal("server.1", table.InstanceId);
    }

    [Fact]
    public void One_worker_cannot_give_one_rank_two_endpoints()
    {
        RankTable table = new("server", Window);
        table.TryRegister(Rank(0, dpSize: 1), "first", Start, out _);

        bool accepted = table.TryRegister(Rank(0, dpSize: 1, port: 5000), "first", Start + TimeSpan.FromHours(1), out string? conflict);

        Assert.False(accepted);
        Assert.Contains("10.0.0.1:5000", conflict, StringComparison.Ordinal);
    }

    [Fact]
    public void Two_workers_that_share_a_group_do_not_disturb_each_other()
    {
        RankTable table = new("server", Window);
        table.TryRegister(Rank(0, dpSize: 2), "left", Start, out _);
        table.TryRegister(Rank(1, dpSize: 2), "right", Start, out _);

        table.TryRegister(Rank(1, dpSize: 2, port: 5001), "right restarted", Start, out _);

        Assert.NotNull(table.ReadyTopology);
        Assert.Equal(new RankEndpoint("10.0.0.1", 4000), table.Find(new RankKey(0, 0, 0, 0)));
    }

    [Theory]
    [InlineData("page_size")]
    [InlineData("kv_cache_dtype")]
    [InlineData("the dp size")]
    [InlineData("load_balance_method")]
    public void A_rank_that_disagrees_with_the_living_group_is_refused_by_name(string field)
    {
        RankTable table = new("server", Window);
        table.TryRegister(Rank(0, dpSize: 2), "left", Start, out _);
        RankRegistration other = field switch
        {
            "page_size" => Rank(1, dpSize: 2) with { PageSize = 64 },
            "kv_cache_dtype" => Rank(1, dpSize: 2) with { KvCacheDtype = "f32" },
            "the dp size" => Rank(1, dpSize: 3),
            _ => Rank(1, dpSize: 2) with { LoadBalanceMethod = "round_robin" },
        };

        bool accepted = table.TryRegister(other, "right", Start + TimeSpan.FromHours(1), out string? conflict);

        Assert.False(accepted);
        Assert.Contains(field, conflict, StringComparison.Ordinal);
        Assert.Equal(1, table.RegisteredCount);
    }

    [Fact]
    public void A_restart_with_other_options_starts_a_new_group()
    {
        RankTable table = new("server", Window);
        for (int rank = 0; rank < 4; rank++) table.TryRegister(Rank(rank, dpSize: 4), null, Start, out _);

        bool early = table.TryRegister(Rank(0, dpSize: 2, port: 5000), null, Start + TimeSpan.FromSeconds(9), out _);
        bool late = table.TryRegister(Rank(0, dpSize: 2, port: 5000), null, Start + TimeSpan.FromSeconds(10), out _);
        table.TryRegister(Rank(1, dpSize: 2, port: 5001), null, Start + TimeSpan.FromSeconds(10), out _);

        Assert.False(early);
        Assert.True(late);
        Assert.Equal(2, table.ReadyTopology!.DpSize);
        Assert.Null(table.Find(new RankKey(3, 0, 0, 0)));
    }

    [Fact]
    public void A_worker_that_stops_takes_its_own_ranks_and_no_others()
    {
        RankTable table = new("server", Window);
        table.TryRegister(Rank(0, dpSize: 3), "one", Start, out _);
        table.TryRegister(Rank(1, dpSize: 3), "one", Start, out _);
        table.TryRegister(Rank(2, dpSize: 3), "two", Start, out _);
        List<string> instances = [];
        table.InstanceChanged = () => instances.Add(table.InstanceId);

        int taken = table.Unregister("one");
        int again = table.Unregister("one");

        Assert.Equal((2, 0, 1), (taken, again, table.RegisteredCount));
        Assert.NotNull(table.Find(new RankKey(2, 0, 0, 0)));
        Assert.Equal("server.1", Assert.Single(instances));
        Assert.Equal(3, table.ExpectedCount);
        table.Unregister("two");
        Assert.Equal((0, 0L), (table.RegisteredCount, table.ExpectedCount));
    }

    internal static RankRegistration Rank(int rank, int dpSize, int? port = null) => new()
    {
        SystemDpSize = dpSize,
        SystemDpRank = rank,
        // SGLang says 1/0 here under plain data parallelism; with one rank both readings give rank 0.
        RankIp = "10.0.0.1",
        RankPort = port ?? 4000 + rank,
        KvCacheDtype = "f16",
    };
}
