using Baton.Bootstrap.Client;
using Baton.Core.Engine.Simulated;
using Baton.Core.Failures;
using Baton.Core.Ids;
using Baton.Core.Ranks;
using Baton.Core.Requests;
using Baton.Core.Resolution;
using Baton.Scheduling;
using Baton.Simulation.Cluster;
using Baton.Simulation.Events;
using Baton.Simulation.Network;

namespace Baton.Simulation.Tests.Resolution;

/// <summary>One prefill and one decode worker of the product in virtual time, and no router: the test sends each leg when and how it wants.</summary>
/// <remarks>Of the prefill ranks only <see cref="Holding"/> takes requests, so every method that may choose chooses it.</remarks>
internal sealed class ResolutionRig : IRankResolutionSink, IDisposable
{
    private static readonly SimulatedEngineOptions Engine = new() { VocabSize = 100, ContextTokens = 64, CellCount = 1024, MaxSequences = 4, MaxBatchTokens = 64 };
    private static readonly SchedulerOptions Scheduler = new() { ChunkedPrefillSize = 16 };
    private static readonly int[] Prompt = [1, 2, 3, 4, 5, 6, 7, 8];
    private readonly EventLoop _loop = new();
    private readonly PrefillWorker _prefill;
    private readonly DecodeWorker _decode;
    private readonly CountingBootstrapApi _decodeApi;
    private readonly int _prefillRanks;
    private int _sent;

    public ResolutionRig(LoadBalanceMethod method, bool isForced, int prefillRanks, int decodeRanks, bool isSglang)
    {
        _prefillRanks = prefillRanks;
        Holding = prefillRanks - 1;
        NetworkOptions network = new();
        Reachability hosts = new();
        VirtualKvNetwork links = new(_loop, network, hosts);
        ClusterOptions options = new()
        {
            PrefillMethod = method,
            ForceQuery = isForced,
            PrefillDpSize = prefillRanks,
            DecodeDpSize = decodeRanks,
            PrefillEngine = Engine,
            DecodeEngine = Engine,
            PrefillScheduler = Scheduler,
            DecodeScheduler = Scheduler,
            Network = network,
        };
        CountingBootstrapApi ApiOf(string host) => new(new VirtualBootstrapApi(_loop, network, hosts, host, FindServer), isSglang);
        _prefill = new PrefillWorker(_loop, options, 0, 0, links, ApiOf, new Random(81), ClusterProbes.None);
        _decodeApi = ApiOf("decode 0");
        _decode = new DecodeWorker(_loop, options, 0, 1, links, _ => _decodeApi, new Random(82), ClusterProbes.None);
        for (int rank = 0; rank < prefillRanks - 1; rank++) _prefill.Ranks[rank].Inbox.Drain();
    }

    /// <summary>The rank that takes requests.</summary>
    public int Holding { get; }

    /// <summary>Sends both legs, and runs until both have ended.</summary>
    /// <param name="modulo">What the room is modulo the prefill ranks.</param>
    /// <param name="lead">How long one leg comes before the other: decode's when positive.</param>
    /// <param name="patience">From the second leg; a prefill leg that nobody has claimed by then is given up, as a router does.</param>
    public Ends Run(int modulo, int? routed, int? prefillHint, int? decodeHint, TimeSpan lead, TimeSpan patience)
    {
        WarmUp();
        ulong room = 9_000_000_000_000_000_000 + ((ulong)++_sent * 64);
        room += (ulong)_prefillRanks - (room % (ulong)_prefillRanks) + (ulong)modulo;
        Leg prefill = new(), decode = new();
        RequestId id = new($"r{_sent}");
        TimeSpan start = _loop.Now, second = start + lead.Duration();
        _loop.At(lead > TimeSpan.Zero ? second : start, () => _prefill.Accept(Request(id, room, routed, prefillHint, prefill)));
        _loop.At(lead > TimeSpan.Zero ? start : second, () => _decode.Accept(Request(id, room, null, decodeHint, decode)));
        int before = _decodeApi.Requests;

        _loop.Run(second + patience, () => decode.End is not null && prefill.End is not null);
        int requests = _decodeApi.Requests - before;
        bool isUnclaimed = prefill.End is null;
        TimeSpan took = _loop.Now - second;
        if (isUnclaimed) _prefill.Abort(id, RequestFailure.Of(FailureReason.Aborted, "Decode's leg has failed."));
        _loop.Run(_loop.Now + TimeSpan.FromSeconds(1), () => prefill.End is not null);
        return new Ends(prefill.End, isUnclaimed, decode.End, requests, took, _decode.Resolver.PendingCount);
    }

    public void Dispose()
    {
        _prefill.Kill();
        _decode.Kill();
    }

    void IRankResolutionSink.OnResolved(BootstrapRoom room, ResolvedRank resolved)
    {
    }

    void IRankResolutionSink.OnResolveFailed(BootstrapRoom room, RequestFailure failure) => Assert.Fail(failure.ToString());

    /// <summary>Topology and all endpoints are cached, and the topology is old enough to be doubted.</summary>
    private void WarmUp()
    {
        // By an event: the resolver's awaits must continue on the loop.
        _loop.Soon(() =>
        {
            for (int rank = 0; rank < _prefillRanks; rank++) _decode.Resolver.Begin(new BootstrapInfo(_prefill.Address, new BootstrapRoom(1 + (ulong)rank), new DpRank(rank)), this);
        });
        // The loop's clock stops at its last event.
        TimeSpan later = _loop.Now + TimeSpan.FromSeconds(2);
        _loop.At(later, () => { });
        _loop.Run(later);
        Assert.Equal(0, _decode.Resolver.PendingCount);
    }

    private GenerationRequest Request(RequestId id, ulong room, int? routed, int? hint, IGenerationSink sink) => new()
    {
        Id = id,
        PromptTokens = Prompt,
        Sampling = SamplingOptions.Greedy with { MaxNewTokens = 2 },
        Bootstrap = new BootstrapInfo(_prefill.Address, new BootstrapRoom(room), hint is { } rank ? new DpRank(rank) : null),
        RoutedDpRank = routed is { } pinned ? new DpRank(pinned) : null,
        Sink = sink,
    };

    private (string, IBootstrapApi)? FindServer(BootstrapAddress address) => address == _prefill.Address ? (_prefill.BootstrapName, _prefill.Bootstrap) : null;

    /// <summary>How both legs of one request ended.</summary>
    /// <param name="Requests">What decode asked the bootstrap server, heartbeats left out.</param>
    /// <param name="Took">From the second leg's arrival.</param>
    internal sealed record Ends(GenerationEnd? Prefill, bool IsUnclaimed, GenerationEnd? Decode, int Requests, TimeSpan Took, int StillPending);

    private sealed class Leg : IGenerationSink
    {
        public GenerationEnd? End { get; private set; }

        public void OnToken(in OutputToken token) => Assert.Null(End);

        public void OnEnd(GenerationEnd end)
        {
            Assert.Null(End);
            End = end;
        }
    }
}
