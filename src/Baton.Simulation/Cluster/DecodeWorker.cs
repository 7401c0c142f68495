using System.IO.Pipelines;
using Baton.Bootstrap.Client;
using Baton.Bootstrap.Decode;
using Baton.Core.Engine;
using Baton.Core.Engine.Simulated;
using Baton.Core.Failures;
using Baton.Core.Handover;
using Baton.Core.Ids;
using Baton.Core.Requests;
using Baton.Scheduling.Decode;
using Baton.Scheduling.Dispatch;
using Baton.Simulation.Events;
using Baton.Simulation.Network;
using Baton.Simulation.Swarm;
using Baton.Transfer.Links;
using Baton.Transfer.Receiving;

namespace Baton.Simulation.Cluster;

/// <summary>One decode worker: the ranks, DP controller, KV receivers and rank resolver of the product, on the virtual clock and network.</summary>
internal sealed class DecodeWorker : IAsyncDisposable
{
    private readonly List<RankDriver> _drivers = [];
    private readonly EventLoop _loop;
    private readonly Func<double> _slowness;
    private readonly ClusterProbes _probes;
    private readonly EventLog _log;

    public DecodeWorker(EventLoop loop, ClusterOptions options, int index, int life, VirtualKvNetwork links, Func<string, IBootstrapApi> apis, Random random, ClusterProbes probes, Func<double>? slowness = null, EventLog? log = null)
    {
        (_loop, _slowness, _probes, _log) = (loop, slowness ?? (static () => 1), probes, log ?? new EventLog());
        Name = $"decode {index}";
        RankResolverOptions resolving = new() { ResolveTimeout = options.ResolveTimeout, ForceQuery = options.ForceQuery, MaxPendingRooms = probes.Plant == Plant.UnboundedPending ? int.MaxValue : options.Bounds.PendingRooms };
        Resolver = new RankResolver(resolving, apis(Name), loop.Time, random, PipeScheduler.Inline, probes.Logger<RankResolver>());
        for (int rank = 0; rank < options.DecodeDpSize; rank++) AddRank(options, rank, life, links);
        Controller = new DpController(Ranks, new DpControllerOptions { Role = WorkerRole.Decode, Method = options.DecodeMethod });
    }

    public string Name { get; }
    public RankResolver Resolver { get; }
    public List<DecodeRank> Ranks { get; } = [];
    public List<SimulatedEngine> Engines { get; } = [];
    public DpController Controller { get; }
    public List<KvReceiver> Receivers { get; } = [];
    public bool IsDead { get; private set; }
    /// <summary>Computing time of all ranks.</summary>
    public TimeSpan Busy => TimeSpan.FromTicks(_drivers.Sum(driver => driver.Busy.Ticks));

    /// <summary>Legs that came in and have not ended.</summary>
    public int OpenLegs { get; private set; }

    /// <summary>A step of the rank is under way.</summary>
    public bool IsBusy(int rank) => _drivers[rank].IsBusy;

    public void Accept(GenerationRequest request)
    {
        OpenLegs++;
        request = _probes.Plants(request);
        DispatchResult result = Controller.Dispatch(request, _loop.Now);
        if (result.Failure is null) return;
        request.Sink.OnEnd(new GenerationEnd { Kind = FinishKind.Abort, Failure = result.Failure, DpRank = result.Rank });
    }

    /// <summary>The leg has ended.</summary>
    public void Ended() => OpenLegs--;

    public void Abort(RequestId id, RequestFailure failure)
    {
        foreach (DecodeRank rank in Ranks) rank.Inbox.Abort(id, failure);
    }

    public void Kill()
    {
        IsDead = true;
        foreach (RankDriver driver in _drivers) driver.Kill();
        _ = DisposeAsync().AsTask();
    }

    public ValueTask DisposeAsync() => Resolver.DisposeAsync();

    private void WakeByLink(int rank)
    {
        if (_probes.Plant != Plant.LostWake) _drivers[rank].Wake();
    }

    private void AddRank(ClusterOptions options, int rank, int life, VirtualKvNetwork links)
    {
        SimulatedEngine engine = new(options.DecodeEngine);
        KvInbox inbox = new(options.Bounds.InboxFrames, () => WakeByLink(rank));
        KvIdentity identity = KvIdentity.Of(engine.Info, WorkerRole.Decode, new DpRank(rank), $"{Name}-{life}", PrefillWorker.Transfer(options));
        KvReceiver receiver = new(inbox, links.For(Name, identity), identity, _probes.Logger<KvReceiver>());
        Receivers.Add(receiver);
        string name = $"{Name} rank {rank}";
        (IEngine checkedEngine, IKvReceiver checkedReceiver) = _probes.WatchDecode(ClusterProbes.LogSteps(engine, name, _loop, _log), receiver, name);
        DecodeRank made = _probes.MakeDecodeRank(new DpRank(rank), _probes.Plants(checkedEngine), _probes.Plants(checkedReceiver), Resolver, options.DecodeScheduler);
        _drivers.Add(new IndependentDriver(_loop, made, _slowness, _probes.Plant != Plant.NoDeadlines));
        made.Inbox.Wake = _drivers[rank].Wake;
        Engines.Add(engine);
        Ranks.Add(made);
    }
}
