using Baton.Bootstrap.Prefill;
using Baton.Bootstrap.Registry;
using Baton.Bootstrap.Tests.Decode;
using Baton.Core.Ids;
using Baton.Core.Ranks;
using Baton.Simulation.Clock;
using Microsoft.Extensions.Logging.Abstractions;

namespace Baton.Bootstrap.Tests.Prefill;

public sealed class PrefillRegistrationTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);
    private readonly VirtualTimeProvider _time = new();
    private readonly VirtualBootstrap _server;
    private int _replaced;

    public PrefillRegistrationTests() => _server = new VirtualBootstrap(_time);

    public static TheoryData<double, double> BothEnds => Jitter.BothEnds;

    private PrefillRegistration Create(string incarnation = "one", int firstPort = 4000, int dpSize = 2, Random? random = null) => new(
        new PrefillRegistrationOptions(), new BootstrapAddress("10.0.0.1", 8998),
        PrefillRegistration.RanksOf("0.0.0.0", [.. Enumerable.Range(firstPort, dpSize)], "f16", LoadBalanceMethod.TotalTokens, 30001),
        incarnation, _server, _time, random ?? new Random(81), NullLogger<PrefillRegistration>.Instance, () => _replaced++);

    [Fact]
    public void Every_rank_is_registered_as_plain_data_parallel_with_page_size_one()
    {
        PrefillRegistration registration = Create();

        registration.Start();
        _time.Advance(TimeSpan.FromMilliseconds(1));

        Assert.True(registration.IsRegistered);
        Assert.True(registration.Registered.IsCompletedSuccessfully);
        GroupTopology topology = _server.Table.Ranks.ReadyTopology!;
        Assert.Equal((2, 1, "f16", false, 30001), (topology.DpSize, topology.PageSize, topology.KvCacheDtype, topology.FollowsBootstrapRoom, topology.PrefillHttpPort));
        Assert.Equal(new RankEndpoint("127.0.0.1", 4001), _server.Table.Ranks.Find(new RankKey(1, 0, 0, 0)));
    }

    [Fact]
    public void A_server_that_comes_up_late_is_tried_until_it_is_there()
    {
        PrefillRegistration registration = Create();
        _server.IsDown = true;

        registration.Start();
        _time.Advance(TimeSpan.FromMinutes(10));
        int tries = _server.Calls["put"];
        _server.Restart();
        _server.IsDown = false;
        _time.Advance(TimeSpan.FromSeconds(11));

        Assert.InRange(tries, 50, 100);
        Assert.True(registration.IsRegistered);
        Assert.NotNull(_server.Table.Ranks.ReadyTopology);
    }

    [Theory]
    [MemberData(nameof(BothEnds))]
    public void A_rank_is_registered_again_after_200_ms_and_then_twice_as_long_up_to_10_s(double fraction, double factor)
    {
        _server.Latency = TimeSpan.Zero;
        _server.IsDown = true;

        Create(random: new FixedRandom(fraction)).Start();
        _time.Advance(TimeSpan.FromMinutes(2));

        Assert.Equal(Jitter.Tries(200, 10_000, factor, 120_000), _server.TimesOf("put", TimeSpan.Zero));
    }

    [Fact]
    public void Registered_ranks_are_looked_at_every_5_s_and_put_again_in_the_same_moment_when_they_are_lost()
    {
        _server.Latency = TimeSpan.Zero;
        Create(dpSize: 1).Start();
        _time.AdvanceTo(TimeSpan.FromSeconds(7));

        _server.Restart();
        _time.AdvanceTo(TimeSpan.FromSeconds(16));

        Assert.Equal([5000, 10_000, 15_000], _server.TimesOf("rank", TimeSpan.Zero));
        Assert.Equal([0, 10_000], _server.TimesOf("put", TimeSpan.Zero));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_restarted_server_gets_the_ranks_again_and_rooms_are_told_again(bool isSglang)
    {
        _server.IsSglang = isSglang;
        PrefillRegistration registration = Create();
        registration.Start();
        _time.Advance(TimeSpan.FromSeconds(6));

        _server.Restart();
        _time.Advance(TimeSpan.FromSeconds(5.1));

        Assert.NotNull(_server.Table.Ranks.ReadyTopology);
        Assert.Equal(1, _replaced);
        Assert.True(registration.IsRegistered);
    }

    [Fact]
    public void A_healthy_registration_is_only_looked_at()
    {
        PrefillRegistration registration = Create();
        registration.Start();

        _time.Advance(TimeSpan.FromSeconds(60));

        Assert.Equal(2, _server.Calls["put"]);
        Assert.InRange(_server.Calls["rank"], 22, 24);
        Assert.Equal(0, _replaced);
    }

    [Fact]
    public void An_sglang_server_is_not_sent_a_second_put_while_other_workers_are_missing()
    {
        _server.IsSglang = true;
        PrefillRegistration registration = new(
            new PrefillRegistrationOptions(), new BootstrapAddress("10.0.0.1", 8998),
            [.. PrefillRegistration.RanksOf("10.0.0.1", [4000, 4001], null, LoadBalanceMethod.RoundRobin, null).Take(1)],
            "one", _server, _time, new Random(81), NullLogger<PrefillRegistration>.Instance);

        registration.Start();
        _time.Advance(TimeSpan.FromSeconds(60));

        Assert.Equal(1, _server.Calls["put"]);
    }

    [Fact]
    public void The_worker_that_started_last_keeps_the_ranks()
    {
        PrefillRegistration first = Create("one");
        PrefillRegistration second = Create("two", firstPort: 5000);
        first.Start();
        _time.Advance(TimeSpan.FromSeconds(1));

        second.Start();
        _time.Advance(TimeSpan.FromMinutes(5));

        Assert.Equal(new RankEndpoint("127.0.0.1", 5001), _server.Table.Ranks.Find(new RankKey(1, 0, 0, 0)));
        Assert.True(second.IsRegistered);
        Assert.False(first.IsRegistered);
    }

    /// <summary>The end of the worker's loop goes over the thread pool, which virtual time does not wait for: only time that stands still may be
    /// waited for in this way.</summary>
    private async Task UnregisteringAsync()
    {
        using CancellationTokenSource deadline = new(Patience);
        while (!_server.Calls.ContainsKey("unregister")) await Task.Delay(TimeSpan.FromMilliseconds(1), deadline.Token);
    }

    [Fact]
    public async Task A_worker_that_stops_takes_its_ranks_with_it_and_decode_sees_another_instance()
    {
        PrefillRegistration registration = Create();
        registration.Start();
        _time.Advance(TimeSpan.FromSeconds(6));
        string before = _server.Table.Ranks.InstanceId;

        // Whichever thread it ends on: it must not need the clock, which nobody moves then.
        _server.Latency = TimeSpan.Zero;
        await registration.DisposeAsync().AsTask().WaitAsync(Patience);

        Assert.Equal(0, _server.Table.Ranks.RegisteredCount);
        Assert.Null(_server.Table.Ranks.ReadyTopology);
        Assert.NotEqual(before, _server.Table.Ranks.InstanceId);
        Assert.Null(_time.NextDue);
    }

    [Fact]
    public async Task A_worker_that_stops_leaves_an_sglang_server_alone()
    {
        _server.IsSglang = true;
        PrefillRegistration registration = Create();
        registration.Start();
        _time.Advance(TimeSpan.FromSeconds(6));

        // Whichever thread it ends on: it must not need the clock, which nobody moves then.
        _server.Latency = TimeSpan.Zero;
        await registration.DisposeAsync().AsTask().WaitAsync(Patience);

        Assert.Equal(2, _server.Table.Ranks.RegisteredCount);
        Assert.Null(_time.NextDue);
    }

    [Fact]
    public async Task A_server_that_does_not_answer_holds_a_stopping_worker_up_for_a_second_and_no_longer()
    {
        PrefillRegistration registration = Create();
        registration.Start();
        _time.Advance(TimeSpan.FromSeconds(6));
        _server.Latency = TimeSpan.FromMinutes(1);

        Task stop = registration.DisposeAsync().AsTask();
        await UnregisteringAsync();
        _time.Advance(TimeSpan.FromMilliseconds(999));
        bool isEarly = stop.IsCompleted;
        _time.Advance(TimeSpan.FromMilliseconds(1));
        await stop.WaitAsync(Patience);

        Assert.False(isEarly);
    }
}
