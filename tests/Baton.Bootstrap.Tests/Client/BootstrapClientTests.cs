using System.IO.Pipelines;
using System.Net;
using System.Net.Sockets;
using Baton.Bootstrap.Client;
using Baton.Bootstrap.Decode;
using Baton.Bootstrap.Prefill;
using Baton.Bootstrap.Registry;
using Baton.Bootstrap.Tests.Server;
using Baton.Core.Failures;
using Baton.Core.Ids;
using Baton.Core.Ranks;
using Baton.Core.Requests;
using Baton.Core.Resolution;
using Baton.Simulation.Clock;
using Microsoft.Extensions.Logging.Abstractions;

namespace Baton.Bootstrap.Tests.Client;

/// <summary>The HTTP client against both kinds of server, and both halves of Baton through it, over real sockets.</summary>
public sealed class BootstrapClientTests
{
    private const ulong Room = 9_007_199_254_740_993;

    [Fact]
    public async Task Every_call_gets_through_to_a_baton_server()
    {
        await using TestServer server = await TestServer.StartAsync(o => o with { WriteToken = "secret" });
        using BootstrapClient client = new(new BootstrapClientOptions { WriteToken = "secret" }, TimeProvider.System);
        IReadOnlyList<RankRegistration> ranks = PrefillRegistration.RanksOf("10.0.0.1", [4000, 4001], "f16", LoadBalanceMethod.RoundRobin, 30001);

        BootstrapReply<PrefillTopology> early = await client.GetTopologyAsync(server.Address, default);
        foreach (RankRegistration rank in ranks) Assert.True((await client.RegisterRankAsync(server.Address, rank, "one", default)).IsOk);
        BootstrapReply<PrefillTopology> topology = await client.GetTopologyAsync(server.Address, default);
        BootstrapReply<RankEndpoint> endpoint = await client.GetRankAsync(server.Address, new DpRank(1), default);
        BootstrapReply<RankEndpoint> unknown = await client.GetRankAsync(server.Address, new DpRank(2), default);
        BootstrapReply<Done> registered = await client.RegisterRoomAsync(server.Address, new BootstrapRoom(Room), new DpRank(1), default);
        BootstrapReply<Done> updated = await client.UpdateRoomsAsync(server.Address, new RoomUpdate
        {
            Registered = [new(new BootstrapRoom(2), DpRank.Zero)],
            Failed = [new(new BootstrapRoom(3), new RequestFailure(FailureReason.OutOfCells, "\"no\" cells \u00fc"))],
        }, default);
        BootstrapReply<RoomQueryReply> query = await client.QueryRoomsAsync(server.Address, [new(Room), new(2), new(3)], default);
        BootstrapReply<RoomQueryReply> watch = await client.WatchRoomsAsync(server.Address, new RoomQuery { Rooms = [new(Room), new(3), new(4)] }, default);
        BootstrapReply<Done> health = await client.CheckHealthAsync(server.Address, default);

        Assert.Equal(BootstrapStatus.NotReady, early.Status);
        Assert.Equal(new PrefillTopology(2, false, 1, "f16", topology.InstanceId, true), topology.Value);
        Assert.NotNull(topology.InstanceId);
        Assert.Equal(new RankEndpoint("10.0.0.1", 4001), endpoint.Value);
        Assert.Equal(BootstrapStatus.NotFound, unknown.Status);
        Assert.True(registered.IsOk && updated.IsOk && health.IsOk);
        Assert.Equal([(Room, 1), (2UL, 0)], query.Value!.Answers.Select(a => (a.Key.Value, a.Value.Rank!.Value.Value)));
        Assert.Equal(new RequestFailure(FailureReason.OutOfCells, "\"no\" cells \u00fc"), watch.Value!.Answers.Single(a => a.Key.Value == 3).Value.Failure);
        Assert.Equal(1, watch.Value.PendingCount);
    }

    [Fact]
    public async Task A_worker_that_took_its_ranks_back_is_known_from_one_that_is_still_to_come()
    {
        await using TestServer server = await TestServer.StartAsync();
        using BootstrapClient client = new(new BootstrapClientOptions(), TimeProvider.System);
        RankRegistration rank = PrefillRegistration.RanksOf("10.0.0.1", [4000], "f16", LoadBalanceMethod.RoundRobin, 30001)[0];

        BootstrapReply<PrefillTopology> early = await client.GetTopologyAsync(server.Address, default);
        await client.RegisterRankAsync(server.Address, rank, "one", default);
        await client.UnregisterAsync(server.Address, "one", default);
        BootstrapReply<PrefillTopology> late = await client.GetTopologyAsync(server.Address, default);
        BootstrapReply<RankEndpoint> endpoint = await client.GetRankAsync(server.Address, DpRank.Zero, default);

        Assert.Equal(BootstrapStatus.NotReady, early.Status);
        Assert.Equal((BootstrapStatus.PrefillStopped, BootstrapStatus.PrefillStopped), (late.Status, endpoint.Status));
        Assert.Equal(BootstrapStatus.PrefillStopped, (await server.Server.Local.GetTopologyAsync(server.Address, default)).Status);
    }

    [Theory]
    [InlineData(false, 5000)]
    [InlineData(true, 15_000)]
    public async Task A_server_that_takes_a_request_and_says_nothing_is_given_up_after_5_s_and_the_wait_that_was_asked_for(bool isParked, int milliseconds)
    {
        using TcpListener mute = new(IPAddress.Loopback, 0);
        mute.Start();
        BootstrapAddress address = new("127.0.0.1", ((IPEndPoint)mute.LocalEndpoint).Port);
        VirtualTimeProvider time = new();
        using BootstrapClient client = new(new BootstrapClientOptions(), time);

        Task<BootstrapStatus> asked = isParked
            ? StatusOf(client.WatchRoomsAsync(address, new RoomQuery { Rooms = [new(1)], Wait = TimeSpan.FromSeconds(10) }, default))
            : StatusOf(client.CheckHealthAsync(address, default));
        using TcpClient taken = await mute.AcceptTcpClientAsync();
        time.Advance(TimeSpan.FromMilliseconds(milliseconds) - TimeSpan.FromTicks(1));
        TimeSpan? due = time.NextDue;
        bool isEarly = asked.IsCompleted;
        time.Advance(TimeSpan.FromTicks(1));

        Assert.Equal(TimeSpan.FromMilliseconds(milliseconds), due);
        Assert.False(isEarly);
        Assert.Equal(BootstrapStatus.Unreachable, await asked.WaitAsync(TimeSpan.FromSeconds(30)));
    }

    private static async Task<BootstrapStatus> StatusOf<T>(ValueTask<BootstrapReply<T>> call) => (await call).Status;

    [Fact]
    public async Task A_wrong_token_is_a_refusal_and_nobody_there_is_unreachable()
    {
        await using TestServer server = await TestServer.StartAsync(o => o with { WriteToken = "secret" });
        using BootstrapClient client = new(new BootstrapClientOptions { WriteToken = "wrong" }, TimeProvider.System);
        // The system hands this port out to nobody, which it may do with one that was free a moment ago.
        BootstrapAddress nobody = new("127.0.0.1", 1);

        BootstrapReply<Done> refused = await client.RegisterRoomAsync(server.Address, new BootstrapRoom(1), DpRank.Zero, default);
        BootstrapReply<Done> unreachable = await client.CheckHealthAsync(nobody, default);

        Assert.Equal(BootstrapStatus.Refused, refused.Status);
        Assert.Contains("401", refused.Detail, StringComparison.Ordinal);
        Assert.Equal(BootstrapStatus.Unreachable, unreachable.Status);
    }

    [Fact]
    public async Task An_sglang_server_is_read_tolerantly_and_has_no_baton_routes()
    {
        await using SglangServer server = new();
        using BootstrapClient client = new(new BootstrapClientOptions(), TimeProvider.System);

        BootstrapReply<PrefillTopology> topology = await client.GetTopologyAsync(server.Address, default);
        BootstrapReply<RankEndpoint> endpoint = await client.GetRankAsync(server.Address, new DpRank(1), default);
        BootstrapReply<RoomQueryReply> watch = await client.WatchRoomsAsync(server.Address, new RoomQuery { Rooms = [new(1)] }, default);
        BootstrapReply<Done> update = await client.UpdateRoomsAsync(server.Address, new RoomUpdate(), default);

        Assert.Equal(new PrefillTopology(2, false, 1, "auto", null, false), topology.Value);
        Assert.Equal(new RankEndpoint("10.0.0.9", 4001), endpoint.Value);
        Assert.Equal((BootstrapStatus.RouteMissing, BootstrapStatus.RouteMissing), (watch.Status, update.Status));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_room_that_prefill_registers_after_decode_asked_is_resolved_on_either_server(bool isSglang)
    {
        await using TestServer baton = await TestServer.StartAsync();
        await using SglangServer sglang = new();
        BootstrapAddress address = isSglang ? sglang.Address : baton.Address;
        using BootstrapClient client = new(new BootstrapClientOptions(), TimeProvider.System);
        foreach (RankRegistration rank in PrefillRegistration.RanksOf("10.0.0.9", [4000, 4001], "auto", LoadBalanceMethod.RoundRobin, null))
            await client.RegisterRankAsync(address, rank, "one", default);
        await using RankResolver resolver = new(new RankResolverOptions(), client, TimeProvider.System, new Random(1), PipeScheduler.ThreadPool, NullLogger<RankResolver>.Instance);
        await using RoomRegistrar registrar = new(
            new RoomRegistrarOptions(), address, client, TimeProvider.System, new Random(2), PipeScheduler.ThreadPool, NullLogger<RoomRegistrar>.Instance);
        Answer answer = new();

        resolver.Begin(new BootstrapInfo(address, new BootstrapRoom(Room), null), answer);
        registrar.Register(new BootstrapRoom(Room), new DpRank(1));
        ResolvedRank resolved = await answer.Resolved.WaitAsync(TimeSpan.FromSeconds(30));

        Assert.Equal(("10.0.0.9", 4001, 1, RankSource.Query), (resolved.Endpoint.Host, resolved.Endpoint.Port, resolved.Endpoint.Rank.Value, resolved.Source));
    }

    private sealed class Answer : IRankResolutionSink
    {
        private readonly TaskCompletionSource<ResolvedRank> _source = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task<ResolvedRank> Resolved => _source.Task;

        public void OnResolved(BootstrapRoom room, ResolvedRank resolved) => _source.SetResult(resolved);

        public void OnResolveFailed(BootstrapRoom room, RequestFailure failure) => _source.SetException(new InvalidOperationException(failure.ToString()));
    }
}
