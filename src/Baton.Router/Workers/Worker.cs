using Baton.Core.Ids;
using Baton.Router.Bodies;
using Baton.Router.KvEvents;
using Baton.Router.Trouble;

namespace Baton.Router.Workers;

/// <summary>One physical worker as the router sees it now. Its members may be read from any thread.</summary>
public sealed class Worker
{
    private readonly Lock _lock = new();
    private readonly BreakerOptions _breaker;
    private readonly PromptSpeed _speed = new();
    private readonly Uri[] _targets;
    private RankState[] _ranks;
    private WorkerSpec _spec;
    private WorkerInfo _info = WorkerInfo.Unknown;
    private int _restarts;
    private int _status = (int)WorkerStatus.Pending;

    public Worker(string id, WorkerSpec spec, BreakerOptions? breaker = null)
    {
        _breaker = breaker ?? new BreakerOptions();
        Id = id;
        _spec = spec;
        Url = spec.Url.GetLeftPart(UriPartial.Authority);
        _targets = [.. Enum.GetValues<DataEndpoint>().Select(endpoint => new Uri(Url + endpoint.Path))];
        BootstrapHost = spec.Url.Host;
        _ranks = [.. Enumerable.Range(0, spec.DpSize ?? 1).Select(_ => NewRank())];
        if (spec.DpSize is { } size) _info = _info with { DpSize = size };
    }

    /// <summary>Stable name in the control plane, for example <c>w3</c>.</summary>
    public string Id { get; }

    public WorkerSpec Spec => Volatile.Read(ref _spec);

    /// <summary>Takes another specification with the same URL and role; requests in flight stay counted.</summary>
    public void Respec(WorkerSpec spec)
    {
        if (spec.Role != Role || spec.Url != Spec.Url) throw new ArgumentException("URL and role of a worker do not change: replace it.", nameof(spec));
        lock (_lock)
        {
            Volatile.Write(ref _spec, spec);
            foreach (RankState rank in _ranks) rank.Breaker.FailureThreshold = BreakerThreshold;
        }
    }

    public WorkerRole Role => Spec.Role;

    /// <summary>Base URL without a trailing slash; every HTTP call goes to it.</summary>
    public string Url { get; }

    /// <summary>Where requests of an endpoint go; parsed once.</summary>
    public Uri Target(DataEndpoint endpoint) => _targets[(int)endpoint];

    /// <summary>What both legs carry as <c>bootstrap_host</c>: the URL's host, IPv6 in brackets, no port.</summary>
    public string BootstrapHost { get; }

    public int? BootstrapPort => Spec.BootstrapPort ?? Info.BootstrapPort;

    public WorkerInfo Info => Volatile.Read(ref _info);

    public int DpSize => Info.DpSize;

    public WorkerStatus Status
    {
        get => (WorkerStatus)Volatile.Read(ref _status);
        set => Volatile.Write(ref _status, (int)value);
    }

    /// <summary>Changes the status unless somebody else has changed it before.</summary>
    public bool TryMove(WorkerStatus from, WorkerStatus to) => Interlocked.CompareExchange(ref _status, (int)to, (int)from) == (int)from;

    /// <summary>Why it is not ready, for the worker list; null when it is.</summary>
    public string? Problem { get; set; }

    /// <summary>Whose word keeps it; the workers file takes over what it names.</summary>
    public WorkerSource Source { get; set; }

    /// <summary>One state a rank; a request without a rank is booked on the first.</summary>
    public IReadOnlyList<RankState> Ranks => Volatile.Read(ref _ranks);

    public RankState Rank(int? rank)
    {
        RankState[] ranks = Volatile.Read(ref _ranks);
        return ranks[rank is { } r && r < ranks.Length ? r : 0];
    }

    /// <summary>Sequences in flight over all ranks.</summary>
    public int InFlight
    {
        get
        {
            int sum = 0;
            foreach (RankState rank in Volatile.Read(ref _ranks)) sum += rank.Requests;
            return sum;
        }
    }

    /// <summary>The process behind the URL was replaced: what was known of it no longer holds.</summary>
    public void Forget()
    {
        foreach (RankState rank in Volatile.Read(ref _ranks))
        {
            rank.Breaker.Reset();
            rank.Report = null;
            rank.Blocks.Forget(KvForgotten.Restarted);
        }
        Interlocked.Increment(ref _restarts);
    }

    /// <summary>Replacements seen so far.</summary>
    public int Restarts => Volatile.Read(ref _restarts);

    /// <summary>Takes over what the worker said about itself. A changed dp size keeps the ledgers that both have, so credits stay exact.</summary>
    public void Learn(WorkerInfo info)
    {
        lock (_lock)
        {
            if (info.DpSize != _ranks.Length)
            {
                RankState[] before = _ranks;
                Volatile.Write(ref _ranks, [.. Enumerable.Range(0, info.DpSize).Select(r => r < before.Length ? before[r] : NewRank())]);
            }
            Volatile.Write(ref _info, info);
        }
    }

    private int BreakerThreshold => Spec.Tuning.BreakerThreshold ?? _breaker.FailureThreshold;

    private RankState NewRank() => new(_breaker, _speed) { Breaker = { FailureThreshold = BreakerThreshold } };

    public bool Serves(string model)
    {
        if (Spec.Models.Count > 0) return Spec.Models.Contains(model);
        WorkerInfo info = Info;
        return model == info.ServedModelName || model == info.ModelPath || model == info.ModelName;
    }

    /// <summary>The name to write into a leg's <c>model</c>.</summary>
    public string? ModelName => Spec.Models.Count > 0 ? Spec.Models[0] : Info.ModelName;

    public override string ToString() => $"{Role} {Url}";
}
