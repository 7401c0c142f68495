using System.Text;

namespace Baton.Router.Choice;

/// <summary>Places candidates on a ring of hashes, each at many points, so that a candidate that leaves moves only what was its own.</summary>
/// <param name="pointsEach">Points of one candidate.</param>
internal sealed class HashRing(int pointsEach)
{
    private readonly Lock _lock = new();
    private Placed _placed = new([], []);

    private sealed record Placed(Candidate[] Candidates, (ulong At, int Index)[] Points);

    /// <summary>The candidates in the order in which a key meets them, as indexes; one may come several times.</summary>
    public IEnumerable<int> Walk(IReadOnlyList<Candidate> candidates, string key)
    {
        (ulong At, int Index)[] points = PlacedOf(candidates).Points;
        int start = FirstAtOrAfter(points, Hash(key));
        for (int step = 0; step < points.Length; step++) yield return points[(start + step) % points.Length].Index;
    }

    // Built over the candidates at hand: leaving out an unavailable one is the same as stepping over its points.
    private Placed PlacedOf(IReadOnlyList<Candidate> candidates)
    {
        lock (_lock)
        {
            if (_placed.Candidates.AsSpan().SequenceEqual(candidates is Candidate[] array ? array : [.. candidates])) return _placed;
            (ulong At, int Index)[] points = new (ulong, int)[candidates.Count * pointsEach];
            for (int i = 0; i < candidates.Count; i++)
                for (int v = 0; v < pointsEach; v++) points[i * pointsEach + v] = (Hash($"{candidates[i]}#{v}"), i);
            Array.Sort(points);
            return _placed = new Placed([.. candidates], points);
        }
    }

    private static int FirstAtOrAfter((ulong At, int Index)[] points, ulong at)
    {
        int low = 0, high = points.Length;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (points[middle].At < at) low = middle + 1;
            else high = middle;
        }
        return low % points.Length;
    }

    // FNV-1a with a finalizer that spreads its weak low bits over the ring. Stable across processes, so two routers agree.
    private static ulong Hash(string text)
    {
        ulong hash = 14695981039346656037;
        foreach (byte b in Encoding.UTF8.GetBytes(text)) hash = (hash ^ b) * 1099511628211;
        hash = (hash ^ (hash >> 33)) * 0xff51afd7ed558ccd;
        hash = (hash ^ (hash >> 33)) * 0xc4ceb9fe1a85ec53;
        return hash ^ (hash >> 33);
    }
}

/// <summary>Loads that several policies compare alike.</summary>
internal static class Loads
{
    public static int Total(IReadOnlyList<Candidate> candidates)
    {
        int total = 0;
        for (int i = 0; i < candidates.Count; i++) total += candidates[i].Load;
        return total;
    }

    /// <summary>The one with the least in flight, then the fewest sent, then the first.</summary>
    public static int Least(IReadOnlyList<Candidate> candidates)
    {
        int best = 0;
        for (int i = 1; i < candidates.Count; i++)
            if ((candidates[i].Load, candidates[i].State.Sent).CompareTo((candidates[best].Load, candidates[best].State.Sent)) < 0) best = i;
        return best;
    }

    /// <summary>What a candidate may hold at most to be given one more: a multiple of the mean that this one more makes.</summary>
    public static double Bound(IReadOnlyList<Candidate> candidates, double factor) => factor * (Total(candidates) + 1) / candidates.Count;
}
