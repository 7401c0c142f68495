using System.IO.Pipelines;
using Baton.Bootstrap.Client;
using Baton.Bootstrap.Prefill;
using Baton.Bootstrap.Registry;
using Baton.Core.Engine.Simulated;
using Baton.Core.Failures;
using Baton.Core.Handover;
using Baton.Core.Ids;
using Baton.Core.Ranks;
using Baton.Core.Requests;
using Baton.Scheduling.Dispatch;
using Baton.Scheduling.Prefill;
using Baton.Simulation.Events;
using Baton.Simulation.Network;
using Baton.Simulation.Swarm;
using Baton.Transfer;
using Baton.Transfer.Links;
using Baton.Transfer.Sending;

namespace Baton.Simulation.Cluster;

/// <summary>One prefill worker: the ranks, DP controller, KV senders, room registrar and bootstrap server of the product, on the virtual clock and network.</summary>
internal sealed class PrefillWorker : IAsyncDisposable
{
    private readonly PrefillRooms _rooms;
    private readonly List<IRankDriver> _drivers = [];
    private readonly CentralQueue? _central;
    private readonly RoomRegistrar _registrar;
    private readonly EventLoop _loop;
    private readonly ClusterProbes _probes;

    public PrefillWorker(EventLoop loop, ClusterOptions options, int index, int life, VirtualKvNetwork links, Func<string, IBootstrapApi> apis, Random random, ClusterProbes probes)
    {
        (_loop, _probes) = (loop, probes);
        Name = $"prefill {index}";
        BootstrapName = $"bootstrap {index}";
        Address = new BootstrapAddress($"10.0.0.{index + 1}", BootstrapAddress.DefaultPort);
        Table = new BootstrapTable($"server-{index}-{life}", BootstrapTable.DefaultClashWindow, new RoomTableOptions());
        RoomQueries queries = new(Table.Rooms, new RoomQueryLimits(), loop.Time, TaskCreationOptions.None);
        Bootstrap = new LocalBootstrapApi(Table, queries, loop.Time);
        _registrar = new RoomRegistrar(new RoomRegistrarOptions(), Address, apis(Name), loop.Time, random, PipeScheduler.Inline, probes.Logger<RoomRegistrar>());
        _rooms = new PrefillRooms(Ranks, probes.Plant == Plant.RegisterLate ? new LateRegistration(loop, _registrar, TimeSpan.FromSeconds(400)) : _registrar);
        for (int rank = 0; rank < options.PrefillDpSize; rank++) AddRank(options, rank, life, links);
        LoadBalanceMethod method = options.PrefillMethod ?? LoadBalanceMethod.RoundRobin;
        DpControllerOptions dispatch = new()
        {
            Role = WorkerRole.Prefill,
            Method = method,
            ForceQueryPrefillDpRank = options.ForceQuery,
            RanksStepTogether = options.PrefillSteps == StepModel.Lockstep,
        };
        Controller = new DpController(Ranks, dispatch, _rooms);
        int stepBudget = options.PrefillScheduler.StepTokenBudget ?? options.PrefillScheduler.ChunkedPrefillSize;
        if (options.PrefillMethod is null) _central = new CentralQueue(Ranks, options.PrefillSteps == StepModel.Lockstep, stepBudget, Give);
        AddDrivers(options.PrefillSteps);
        IReadOnlyList<int> ports = [.. Enumerable.Range(0, options.PrefillDpSize).Select(PortOf)];
        foreach (RankRegistration registration in PrefillRegistration.RanksOf(Address.Host, ports, null, method, httpPort: null))
        {
            if (!Table.Ranks.TryRegister(registration, $"life-{life}", loop.Now, out string? clash)) throw new InvalidOperationException(clash);
        }
    }

    public string Name { get; }
    /// <summary>The bootstrap server's name in fault scripts: it can be cut off while the worker goes on.</summary>
    public string BootstrapName { get; }
    public BootstrapAddress Address { get; }
    public BootstrapTable Table { get; }
    public LocalBootstrapApi Bootstrap { get; }
    public List<PrefillRank> Ranks { get; } = [];
    public List<SimulatedEngine> Engines { get; } = [];
    public DpController Controller { get; }
    public double SlowDown { get; set; } = 1;
    public bool IsDead { get; private set; }
    /// <summary>Computing time of all ranks.</summary>
    public TimeSpan Busy => TimeSpan.FromTicks(_drivers.Sum(driver => driver.Busy.Ticks));

    /// <summary>Takes in one prefill leg.</summary>
    public void Accept(GenerationRequest request)
    {
        if (_central is null)
        {
            Give(request);
            return;
        }
        _central.Add(request);
        foreach (IRankDriver driver in _drivers) driver.Wake();
    }

    public void Abort(RequestId id, RequestFailure failure)
    {
        foreach (PrefillRank rank in Ranks) rank.Inbox.Abort(id, failure);
    }

    public void Kill()
    {
        IsDead = true;
        foreach (IRankDriver driver in _drivers) driver.Kill();
        _ = DisposeAsync().AsTask();
    }

    public ValueTask DisposeAsync() => _registrar.DisposeAsync();

    public KvEndpoint EndpointOf(int rank) => new(Address.Host, PortOf(rank), new DpRank(rank));

    public static int PortOf(int rank) => 9000 + rank;

    private void Give(GenerationRequest request)
    {
        DispatchResult result = Controller.Dispatch(request with { Sink = new RoomEnd(_rooms, request) }, _loop.Now);
        if (result.Failure is not null) request.Sink.OnEnd(new GenerationEnd { Kind = FinishKind.Abort, Failure = result.Failure, DpRank = result.Rank });
    }

    private void AddRank(ClusterOptions options, int rank, int life, VirtualKvNetwork links)
    {
        SimulatedEngine engine = new(options.PrefillEngine);
        // The driver is made after the ranks: nothing wakes before the first event.
        KvInbox inbox = new(100_000, () => DriverOf(rank).Wake());
        KvIdentity identity = KvIdentity.Of(engine.Info, WorkerRole.Prefill, new DpRank(rank), $"{Name}-{life}", Transfer(options));
        KvSender sender = new(inbox, identity, Transfer(options), _rooms.RankOf, _probes.Logger<KvSender>());
        links.Listen(EndpointOf(rank), Name, inbox, identity);
        Engines.Add(engine);
        PrefillRank made = new(new DpRank(rank), _probes.Wrap(engine), _probes.Wrap(sender), options.PrefillScheduler);
        made.Inbox.Wake = () => DriverOf(rank).Wake();
        Ranks.Add(made);
    }

    private void AddDrivers(StepModel steps)
    {
        if (steps == StepModel.Lockstep)
        {
            _drivers.Add(new LockstepDriver(_loop, Ranks, () => SlowDown, _probes.Plant != Plant.NoDeadlines, _central is null ? null : () => _central.HandOut(null)));
            return;
        }
        foreach (PrefillRank rank in Ranks)
        {
            _drivers.Add(new IndependentDriver(_loop, rank, () => SlowDown, _probes.Plant != Plant.NoDeadlines, _central is null ? null : () => _central.HandOut(rank)));
        }
    }

    private IRankDriver DriverOf(int rank) => _drivers[_drivers.Count == 1 ? 0 : rank];

    /// <summary>Passes on what a rank says of a request, and tells the room's end.</summary>
    private sealed class RoomEnd(PrefillRooms rooms, GenerationRequest request) : IGenerationSink
    {
        public void OnToken(in OutputToken token) => request.Sink.OnToken(token);

        public void OnEnd(GenerationEnd end)
        {
            rooms.Ended(request.Bootstrap!, end.Failure);
            request.Sink.OnEnd(end);
        }
    }

    internal static TransferOptions Transfer(ClusterOptions options) => new()
    {
        MaxChunkTokens = Math.Max(options.PrefillScheduler.ChunkedPrefillSize, 16),
        WindowBytes = options.WindowBytes,
        EarlyClaimTimeout = options.PrefillScheduler.BootstrapTimeout,
    };
}
