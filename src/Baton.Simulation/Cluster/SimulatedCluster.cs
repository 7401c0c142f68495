using Baton.Bootstrap.Client;
using Baton.Core.Failures;
using Baton.Core.Ids;
using Baton.Core.Randomness;
using Baton.Core.Requests;
using Baton.Router;
using Baton.Router.Bodies;
using Baton.Router.Choice;
using Baton.Router.Rooms;
using Baton.Router.Workers;
using Baton.Simulation.Events;
using Baton.Simulation.Faults;
using Baton.Simulation.Figures;
using Baton.Simulation.Network;
using Baton.Simulation.Workloads;

namespace Baton.Simulation.Cluster;

/// <summary>Router, prefill and decode workers in virtual time. Everything that decides is the product's own class.</summary>
public sealed class SimulatedCluster
{
    private readonly ClusterOptions _options;
    private readonly Random _random;
    private readonly List<PrefillWorker> _prefills = [];
    private readonly List<DecodeWorker> _decodes = [];
    private readonly VirtualKvNetwork _links;
    private readonly PdRouter _router;
    private readonly Worker[] _prefillEntries;
    private readonly Worker[] _decodeEntries;
    private readonly ulong _tokenSeed;
    private readonly ClusterProbes _probes;
    // In order of the requests, so that what ends many of them ends them in the same order in every run.
    private readonly SortedDictionary<int, Legs> _open = [];
    private readonly Dictionary<FaultWorker, List<double>> _slowness = [];
    private int _lives;

    public SimulatedCluster(EventLoop loop, ClusterOptions options, ulong seed)
        : this(loop, options, seed, ClusterProbes.None)
    {
    }

    internal SimulatedCluster(EventLoop loop, ClusterOptions options, ulong seed, ClusterProbes probes)
    {
        (Loop, _options, _probes) = (loop, options, probes);
        SeededRandom random = new(seed);
        _random = new Random((int)random.NextUInt64());
        _tokenSeed = random.NextUInt64();
        Trace = probes.Log ?? new EventLog();
        _links = new VirtualKvNetwork(loop, options.Network, Hosts, Trace);
        for (int i = 0; i < options.PrefillWorkers; i++) _prefills.Add(MakePrefill(i));
        for (int i = 0; i < options.DecodeWorkers; i++) _decodes.Add(MakeDecode(i));

        WorkerFleet fleet = new();
        _prefillEntries = [.. _prefills.Select((p, i) => Enter(fleet, WorkerRole.Prefill, $"http://{p.Address.Host}:30001", options.PrefillDpSize))];
        _decodeEntries = [.. _decodes.Select((_, i) => Enter(fleet, WorkerRole.Decode, $"http://10.0.1.{i + 1}:30101", options.DecodeDpSize))];
        RouterOptions routing = new() { DpMode = options.RouterPinsRanks ? DpMode.Auto : DpMode.Off, RoomMode = options.RouterPinsRanks ? RoomMode.Aligned : RoomMode.Random };
        _router = new PdRouter(routing, fleet, random.NextUInt64());
    }

    public EventLoop Loop { get; }
    public Reachability Hosts { get; } = new();
    /// <summary>What happened, line by line, and the hash over it.</summary>
    public EventLog Trace { get; }
    public List<RequestRecord> Records { get; } = [];
    /// <summary>Between two tokens of an answer, as clients saw them.</summary>
    public GapHistogram Gaps { get; } = new();
    public int EndedCount { get; private set; }
    /// <summary>Share of the time so far in which prefill ranks computed.</summary>
    public double PrefillUtilisation => Share(_prefills.Sum(worker => worker.Busy.Ticks), _prefills.Count * _options.PrefillDpSize);
    /// <summary>The same of decode ranks.</summary>
    public double DecodeUtilisation => Share(_decodes.Sum(worker => worker.Busy.Ticks), _decodes.Count * _options.DecodeDpSize);
    internal IReadOnlyList<PrefillWorker> Prefills => _prefills;
    internal IReadOnlyList<DecodeWorker> Decodes => _decodes;
    internal VirtualKvNetwork Links => _links;

    /// <summary>Called when a request has ended for its client.</summary>
    public Action<RequestRecord>? Ended { get; set; }

    /// <summary>Plays a workload from now on and runs until every request has ended.</summary>
    /// <param name="limit">Virtual time after which the run stops, ended or not.</param>
    public void Play(Workload workload, TimeSpan limit)
    {
        TimeSpan start = Loop.Now;
        new Arrivals(this, workload).Schedule();
        Loop.Run(start + limit, () => EndedCount == workload.Requests.Count);
    }

    /// <summary>One request, from now.</summary>
    public RequestRecord Submit(WorkloadRequest request)
    {
        RequestRecord record = new() { Index = request.Index, ArrivedAt = Loop.Now, PromptTokens = request.PromptTokens };
        Records.Add(record);
        Trace.Add(Loop.Now, $"request {record.Index} arrives: {record.PromptTokens} prompt tokens, {request.OutputTokens} to draw");
        RequestFacts facts = new() { Endpoint = DataEndpoint.Generate, PromptTokens = request.PromptTokens };
        (Route? route, var error) = _router.Choose(new RouteQuery(facts, Key: null, Prompt: default), Loop.Now);
        if (route is null)
        {
            End(record, null, RequestFailure.Of(FailureReason.RankUnavailable, error!.Message));
            return record;
        }
        record.Room = route.Rooms[0];
        Legs legs = new(this, record, route);
        Trace.Detail(Loop.Now, $"request {record.Index} is {record.Room}, for {legs.PrefillName} and {legs.DecodeName}");
        _open.Add(record.Index, legs);
        legs.Start(PromptOf(request), request.OutputTokens);
        return record;
    }

    /// <summary>The client of a request goes away.</summary>
    public void HangUp(int request)
    {
        if (_open.TryGetValue(request, out Legs? legs)) legs.HangUp();
    }

    public void KillPrefill(int index)
    {
        PrefillWorker worker = _prefills[index];
        if (worker.IsDead) return;
        worker.Kill();
        for (int rank = 0; rank < worker.Ranks.Count; rank++) _links.StopListening(worker.EndpointOf(rank));
        Hosts.SetDown(worker.BootstrapName, isDown: true);
        Lose(worker.Name);
    }

    public void RestartPrefill(int index)
    {
        if (!_prefills[index].IsDead) return;
        Hosts.SetDown(_prefills[index].Name, isDown: false);
        Hosts.SetDown(_prefills[index].BootstrapName, isDown: false);
        _prefills[index] = MakePrefill(index);
    }

    public void KillDecode(int index)
    {
        if (_decodes[index].IsDead) return;
        _decodes[index].Kill();
        Lose(_decodes[index].Name);
    }

    public void RestartDecode(int index)
    {
        if (!_decodes[index].IsDead) return;
        Hosts.SetDown(_decodes[index].Name, isDown: false);
        _decodes[index] = MakeDecode(index);
    }

    /// <summary>A process ended: the system resets its connections, so peers and router hear of it after one latency.</summary>
    private void Lose(string host)
    {
        Hosts.SetDown(host, isDown: true);
        RequestFailure gone = RequestFailure.Of(FailureReason.LinkLost, $"{host} reset the connection.");
        foreach (VirtualKvPair pair in _links.Pairs.Where(p => p.PrefillHost == host || p.DecodeHost == host).ToArray()) Loop.After(Latency, () => pair.Break(gone));
        foreach (Legs legs in _open.Values.ToArray()) Loop.After(Latency, () => legs.Lose(host));
    }

    // A step that was still running at the end has been counted whole.
    private double Share(long busyTicks, int ranks) => Loop.Now == TimeSpan.Zero ? 0 : Math.Min(1, (double)busyTicks / Loop.Now.Ticks / ranks);

    /// <summary>From now on every step of a worker takes so many times as long. Of several factors the largest counts.</summary>
    internal void SlowDown(FaultWorker worker, double factor)
    {
        if (!_slowness.TryGetValue(worker, out List<double>? factors)) _slowness[worker] = factors = [];
        factors.Add(factor);
    }

    /// <summary>Takes one <see cref="SlowDown"/> back.</summary>
    internal void EndSlowDown(FaultWorker worker, double factor) => _slowness[worker].Remove(factor);

    private double SlownessOf(FaultWorker worker) => _slowness.TryGetValue(worker, out List<double>? factors) && factors.Count > 0 ? factors.Max() : 1;

    private PrefillWorker MakePrefill(int index) =>
        new(Loop, _options, index, _lives++, _links, ApiOf, _random, _probes, () => SlownessOf(FaultWorker.Prefill(index)), Trace);

    private DecodeWorker MakeDecode(int index) =>
        new(Loop, _options, index, _lives++, _links, ApiOf, _random, _probes, () => SlownessOf(FaultWorker.Decode(index)), Trace);

    internal void End(RequestRecord record, GenerationEnd? end, RequestFailure? failure)
    {
        if (record.EndedAt is not null) throw new InvalidOperationException($"request {record.Index} ended twice for its client");
        (record.EndedAt, record.Failure) = (Loop.Now, failure);
        (record.ClaimedRank, record.RankSource) = (end?.PrefillDpRank, end?.RankSource ?? RankSource.None);
        if (failure is null) Trace.Add(Loop.Now, $"request {record.Index} ends: {record.OutputTokens} tokens, answer {record.AnswerHash:x16}");
        else Trace.Add(Loop.Now, $"request {record.Index} fails after {record.OutputTokens} tokens: {failure}");
        EndedCount++;
        _open.Remove(record.Index);
        Ended?.Invoke(record);
    }

    internal PrefillWorker PrefillOf(Candidate candidate) => _prefills[Array.IndexOf(_prefillEntries, candidate.Worker)];

    internal DecodeWorker DecodeOf(Candidate candidate) => _decodes[Array.IndexOf(_decodeEntries, candidate.Worker)];

    internal ClusterOptions Options => _options;

    internal TimeSpan Latency => _options.Network.Latency;

    private VirtualBootstrapApi ApiOf(string host) => new VirtualBootstrapApi(Loop, _options.Network, Hosts, host, FindServer, Trace);

    private (string, IBootstrapApi)? FindServer(BootstrapAddress address)
    {
        foreach (PrefillWorker prefill in _prefills)
        {
            if (prefill.Address == address && !prefill.IsDead) return (prefill.BootstrapName, prefill.Bootstrap);
        }
        return null;
    }

    private static Worker Enter(WorkerFleet fleet, WorkerRole role, string url, int dpSize)
    {
        Worker worker = fleet.Add(new WorkerSpec { Url = new Uri(url), Role = role, DpSize = dpSize, BootstrapPort = BootstrapAddress.DefaultPort })!;
        worker.Status = WorkerStatus.Ready;
        return worker;
    }

    /// <summary>Tokens of a prompt: blocks with a name have the tokens of that name, what follows is the request's own.</summary>
    internal int[] PromptOf(WorkloadRequest request)
    {
        int[] tokens = new int[request.PromptTokens];
        int at = 0;
        foreach (long id in request.HashIds)
        {
            int length = Math.Min(RequestTrace.BlockTokens, tokens.Length - at);
            if (length == 0) break;
            // Another stream than a request's own, or request 7 would share its tokens with block 7.
            Fill(tokens.AsSpan(at, length), ~_tokenSeed ^ SeededRandom.Mix((ulong)id + 1));
            at += length;
        }
        Fill(tokens.AsSpan(at), _tokenSeed ^ SeededRandom.Mix((ulong)request.Index + 1));
        return tokens;
    }

    private void Fill(Span<int> tokens, ulong state)
    {
        ulong vocab = (ulong)_options.PrefillEngine.VocabSize;
        for (int i = 0; i < tokens.Length; i++)
        {
            state += 0x9E3779B97F4A7C15;
            tokens[i] = (int)(SeededRandom.Mix(state) % vocab);
        }
    }
}
