using Baton.Core.Ids;

namespace Baton.Router.Workers;

/// <summary>One physical worker as the router sees it now. Its members may be read from any thread.</summary>
public sealed class Worker
{
    private readonly Lock _lock = new();
    private RankLedger[] _ranks;
    private WorkerInfo _info = WorkerInfo.Unknown;
    private int _status = (int)WorkerStatus.Pending;

    public Worker(string id, WorkerSpec spec)
    {
        Id = id;
        Spec = spec;
        Url = spec.Url.GetLeftPart(UriPartial.Authority);
        BootstrapHost = spec.Url.Host;
        _ranks = [.. Enumerable.Range(0, spec.DpSize ?? 1).Select(_ => new RankLedger())];
        if (spec.DpSize is { } size) _info = _info with { DpSize = size };
    }

    /// <summary>Stable name in the control plane, for example <c>w3</c>.</summary>
    public string Id { get; }

    public WorkerSpec Spec { get; }

    public WorkerRole Role => Spec.Role;

    /// <summary>Base URL without a trailing slash; every HTTP call goes to it.</summary>
    public string Url { get; }

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

    /// <summary>One ledger a rank; a request without a rank is booked on the first.</summary>
    public IReadOnlyList<RankLedger> Ranks => Volatile.Read(ref _ranks);

    public RankLedger Ledger(int? rank)
    {
        RankLedger[] ranks = Volatile.Read(ref _ranks);
        return ranks[rank is { } r && r < ranks.Length ? r : 0];
    }

    /// <summary>Sequences in flight over all ranks.</summary>
    public int InFlight
    {
        get
        {
            int sum = 0;
            foreach (RankLedger rank in Volatile.Read(ref _ranks)) sum += rank.Requests;
            return sum;
        }
    }

    /// <summary>Takes over what the worker said about itself. A changed dp size keeps the ledgers that both have, so credits stay exact.</summary>
    public void Learn(WorkerInfo info)
    {
        lock (_lock)
        {
            if (info.DpSize != _ranks.Length)
            {
                RankLedger[] before = _ranks;
                Volatile.Write(ref _ranks, [.. Enumerable.Range(0, info.DpSize).Select(r => r < before.Length ? before[r] : new RankLedger())]);
            }
            Volatile.Write(ref _info, info);
        }
    }

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
