namespace Baton.Simulation.Network;

/// <summary>Which hosts can talk to each other now. Hosts are named as in fault scripts: <c>prefill 0</c>, <c>decode 1</c>, <c>bootstrap 0</c>.</summary>
/// <remarks>Faults may overlap: a host is up again when everything that took it down has given it back.</remarks>
public sealed class Reachability
{
    private readonly Dictionary<string, int> _down = new(StringComparer.Ordinal);
    private readonly Dictionary<(string, string), int> _cut = [];

    public bool IsUp(string host) => !_down.ContainsKey(host);

    public bool CanTalk(string a, string b) => IsUp(a) && IsUp(b) && (_cut.Count == 0 || !_cut.ContainsKey(Pair(a, b)));

    public void SetDown(string host, bool isDown) => Count(_down, host, isDown);

    public void SetCut(string a, string b, bool isCut) => Count(_cut, Pair(a, b), isCut);

    private static void Count<T>(Dictionary<T, int> counts, T key, bool isMore) where T : notnull
    {
        int count = counts.GetValueOrDefault(key) + (isMore ? 1 : -1);
        if (count > 0) counts[key] = count;
        else counts.Remove(key);
    }

    private static (string, string) Pair(string a, string b) => string.CompareOrdinal(a, b) < 0 ? (a, b) : (b, a);
}
