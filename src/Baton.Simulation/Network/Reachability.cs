namespace Baton.Simulation.Network;

/// <summary>Which hosts can talk to each other now. Hosts are named as in fault scripts: <c>prefill 0</c>, <c>decode 1</c>, <c>bootstrap</c>.</summary>
public sealed class Reachability
{
    private readonly HashSet<string> _down = new(StringComparer.Ordinal);
    private readonly HashSet<(string, string)> _cut = [];

    public bool IsUp(string host) => !_down.Contains(host);

    public bool CanTalk(string a, string b) => IsUp(a) && IsUp(b) && !_cut.Contains(Pair(a, b));

    public void SetDown(string host, bool isDown)
    {
        if (isDown) _down.Add(host);
        else _down.Remove(host);
    }

    public void SetCut(string a, string b, bool isCut)
    {
        if (isCut) _cut.Add(Pair(a, b));
        else _cut.Remove(Pair(a, b));
    }

    private static (string, string) Pair(string a, string b) => string.CompareOrdinal(a, b) < 0 ? (a, b) : (b, a);
}
