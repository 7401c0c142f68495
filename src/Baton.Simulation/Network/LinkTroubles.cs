using Baton.Core.Randomness;
using Baton.Simulation.Faults;

namespace Baton.Simulation.Network;

/// <summary>A link fault that is going on. Its own random source: other faults do not shift which frames it hits.</summary>
internal sealed class ActiveTrouble(Fault.Link fault, SeededRandom random)
{
    public Fault.Link Fault => fault;

    public SeededRandom Random => random;

    public bool Hits() => random.NextBool(fault.Chance);
}

/// <summary>Which link faults are going on between which hosts.</summary>
internal sealed class LinkTroubles
{
    private static readonly List<ActiveTrouble> None = [];
    private readonly Dictionary<(string Prefill, string Decode), List<ActiveTrouble>> _active = [];

    public IReadOnlyList<ActiveTrouble> Between(string prefill, string decode) => _active.GetValueOrDefault((prefill, decode), None);

    public void Add(ActiveTrouble trouble)
    {
        (string, string) hosts = HostsOf(trouble.Fault);
        if (!_active.TryGetValue(hosts, out List<ActiveTrouble>? list)) _active[hosts] = list = [];
        list.Add(trouble);
    }

    public void Remove(ActiveTrouble trouble)
    {
        List<ActiveTrouble> list = _active[HostsOf(trouble.Fault)];
        list.Remove(trouble);
        if (list.Count == 0) _active.Remove(HostsOf(trouble.Fault));
    }

    private static (string Prefill, string Decode) HostsOf(Fault.Link fault) => ($"{FaultWorker.Prefill(fault.Prefill)}", $"{FaultWorker.Decode(fault.Decode)}");
}
