using System.IO.Pipelines;
using Baton.Bootstrap.Client;
using Baton.Bootstrap.Decode;
using Baton.Core.Engine.Simulated;
using Baton.Core.Failures;
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
    private readonly List<IRankDriver> _drivers = [];
    private readonly EventLoop _loop;
    private readonly ClusterProbes _probes;

    public DecodeWorker(EventLoop loop, ClusterOptions options, int index, int life, VirtualKvNetwork links, Func<string, IBootstrapApi> apis, Random random, ClusterProbes probes)
    {
        (_loop, _probes) = (loop, probes);
        Name = $"decode {index}";
        RankResolverOptions resolving = new() { ResolveTimeout = options.ResolveTimeout, ForceQuery = options.ForceQuery };
        Resolver = new RankResolver(resolving, apis(Name), loop.Time, random, PipeScheduler.Inline, probes.Logger<RankResolver>());
        for (int rank = 0; rank < options.DecodeDpSize; rank++) AddRank(options, rank, life, links);
        Controller = new DpController(Ranks, new DpControllerOptions { Role = WorkerRole.Decode, Method = options.DecodeMethod });
    }

    public string Name { get; }
    public RankResolver Resolver { get; }
    public List<DecodeRank> Ranks { get; } = [];
    public List<SimulatedEngine> Engines { get; } = [];
    public DpController Controller { get; }
    public double SlowDown { get; set; } = 1;
    public bool IsDead { get; private set; }
    /// <summary>Computing time of all ranks.</summary>
    public TimeSpan Busy => TimeSpan.FromTicks(_drivers.Sum(driver => driver.Busy.Ticks));

    public void Accept(GenerationRequest request)
    {
        DispatchResult result = Controller.Dispatch(request, _loop.Now);
        if (result.Failure is null) return;
        request.Sink.OnEnd(new GenerationEnd { Kind = FinishKind.Abort, Failure = result.Failure, DpRank = result.Rank });
    }

    public void Abort(RequestId id, RequestFailure failure)
    {
        foreach (DecodeRank rank in Ranks) rank.Inbox.Abort(id, failure);
    }

    public void Kill()
    {
        IsDead = true;
        foreach (IRankDriver driver in _drivers) driver.Kill();
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
        KvInbox inbox = new(100_000, () => WakeByLink(rank));
        KvIdentity identity = KvIdentity.Of(engine.Info, WorkerRole.Decode, new DpRank(rank), $"{Name}-{life}", PrefillWorker.Transfer(options));
        KvReceiver receiver = new(inbox, links.For(Name, identity), identity, _probes.Logger<KvReceiver>());
        DecodeRank made = new(new DpRank(rank), _probes.Wrap(engine), _probes.Wrap(receiver), Resolver, options.DecodeScheduler);
        _drivers.Add(new IndependentDriver(_loop, made, () => SlowDown, _probes.Plant != Plant.NoDeadlines));
        made.Inbox.Wake = _drivers[rank].Wake;
        Engines.Add(engine);
        Ranks.Add(made);
    }
}
