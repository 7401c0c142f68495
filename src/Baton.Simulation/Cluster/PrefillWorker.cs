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
    private static readonly TimeSpan SweepInterval = TimeSpan.FromSeconds(5);
    private readonly PrefillRooms _rooms;
    private readonly List<RankDriver> _drivers = [];
    private readonly CentralQueue? _central;
    private readonly RoomRegistrar _registrar;
    private readonly EventLoop _loop;
    private readonly Func<double> _slowness;
    private readonly ClusterProbes _probes;
    private readonly EventLog _log;
    private readonly RoomRegistration _told;
    private readonly ITimer _sweeper;

    public PrefillWorker(EventLoop loop, ClusterOptions options, int index, int life, VirtualKvNetwork links, Func<string, IBootstrapApi> apis, Random random, ClusterProbes probes, Func<double>? slowness = null, EventLog? log = null)
    {
        (_loop, _slowness, _probes, _log) = (loop, slowness ?? (static () => 1), probes, log ?? new EventLog());
        Name = $"prefill {index}";
        BootstrapName = $"bootstrap {index}";
        Address = new BootstrapAddress($"10.0.0.{index + 1}", BootstrapAddress.DefaultPort);
        Table = new BootstrapTable($"server-{index}-{life}", BootstrapTable.DefaultClashWindow, new RoomTableOptions { Capacity = options.Bounds.TableRooms });
        RoomQueries queries = new(Table.Rooms, new RoomQueryLimits(), loop.Time, TaskCreationOptions.None);
        Bootstrap = new LocalBootstrapApi(Table, queries, loop.Time);
        // As the server does, only less often: each sweep is an event.
        _sweeper = loop.Time.CreateTimer(_ => Sweep(queries), null, SweepInterval, SweepInterval);
        _registrar = new RoomRegistrar(new RoomRegistrarOptions { MaxRooms = options.Bounds.RegisteredRooms }, Address, apis(Name), loop.Time, random, PipeScheduler.Inline, probes.Logger<RoomRegistrar>());
        _told = new RoomRegistration(loop, _registrar, probes.Plant == Plant.RegisterAfterDispatch ? TimeSpan.FromMilliseconds(1) : TimeSpan.Zero);
        _rooms = new PrefillRooms(Ranks, _told);
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
    public List<KvSender> Senders { get; } = [];
    public RoomRegistrar Registrar => _registrar;
    public bool IsDead { get; private set; }
    /// <summary>Computing time of all ranks.</summary>
    public TimeSpan Busy => TimeSpan.FromTicks(_drivers.Sum(driver => driver.Busy.Ticks));

    /// <summary>Legs that came in and have not ended.</summary>
    public int OpenLegs { get; private set; }

    /// <summary>A leg has been told its end.</summary>
    public void Ended() => OpenLegs--;

    /// <summary>A step of the rank is under way.</summary>
    public bool IsBusy(int rank) => DriverOf(rank).IsBusy;

    /// <summary>Takes in one prefill leg.</summary>
    public void Accept(GenerationRequest request)
    {
        OpenLegs++;
        request = _probes.Plants(request);
        if (_central is null)
        {
            Give(request);
            return;
        }
        _central.Add(request);
        foreach (RankDriver driver in _drivers) driver.Wake();
    }

    public void Abort(RequestId id, RequestFailure failure)
    {
        foreach (PrefillRank rank in Ranks) rank.Inbox.Abort(id, failure);
    }

    public void Kill()
    {
        IsDead = true;
        foreach (RankDriver driver in _drivers) driver.Kill();
        _ = DisposeAsync().AsTask();
    }

    public async ValueTask DisposeAsync()
    {
        await _sweeper.DisposeAsync();
        await _registrar.DisposeAsync();
    }

    public KvEndpoint EndpointOf(int rank) => new(Address.Host, PortOf(rank), new DpRank(rank));

    public static int PortOf(int rank) => 9000 + rank;

    private void Sweep(RoomQueries queries)
    {
        Table.Rooms.Sweep(_loop.Now);
        queries.CloseIdleWatches();
    }

    private void Give(GenerationRequest request)
    {
        DispatchResult result = Controller.Dispatch(request with { Sink = new RoomEnd(_rooms, request) }, _loop.Now);
        if (result.IsRoomRegistered && _told.LastTold != request.Bootstrap!.Room)
            throw new SwarmException($"{request.Bootstrap.Room}: {Name} gave it to rank {result.Rank} before the registrar knew of it.");
        if (result.Failure is not null) request.Sink.OnEnd(new GenerationEnd { Kind = FinishKind.Abort, Failure = result.Failure, DpRank = result.Rank });
    }

    private void AddRank(ClusterOptions options, int rank, int life, VirtualKvNetwork links)
    {
        SimulatedEngine engine = new(options.PrefillEngine);
        // The driver is made after the ranks: nothing wakes before the first event.
        KvInbox inbox = new(options.Bounds.InboxFrames, () => DriverOf(rank).Wake());
        KvIdentity identity = KvIdentity.Of(engine.Info, WorkerRole.Prefill, new DpRank(rank), $"{Name}-{life}", Transfer(options));
        KvSender sender = _probes.MakeSender(inbox, identity, Transfer(options), _rooms.RankOf);
        Senders.Add(sender);
        links.Listen(EndpointOf(rank), Name, inbox, identity);
        Engines.Add(engine);
        PrefillRank made = new(new DpRank(rank), _probes.Plants(ClusterProbes.LogSteps(engine, $"{Name} rank {rank}", _loop, _log)), _probes.Plants(sender), options.PrefillScheduler);
        made.Inbox.Wake = () => DriverOf(rank).Wake();
        Ranks.Add(made);
    }

    private void AddDrivers(StepModel steps)
    {
        if (steps == StepModel.Lockstep)
        {
            _drivers.Add(new LockstepDriver(_loop, Ranks, _slowness, _probes.Plant != Plant.NoDeadlines, _central is null ? null : () => _central.HandOut(null)));
            return;
        }
        foreach (PrefillRank rank in Ranks)
        {
            _drivers.Add(new IndependentDriver(_loop, rank, _slowness, _probes.Plant != Plant.NoDeadlines, _central is null ? null : () => _central.HandOut(rank)));
        }
    }

    private RankDriver DriverOf(int rank) => _drivers[_drivers.Count == 1 ? 0 : rank];

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
        MaxEarlyClaims = options.Bounds.EarlyClaims,
        MaxEndedRooms = options.Bounds.EndedRooms,
    };
}
