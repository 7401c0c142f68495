using System.Text;

namespace Baton.Router.Choice;

/// <summary>A session key always goes to the same candidate while that one can take it; a candidate that leaves moves only its own keys.</summary>
/// <remarks>
/// The key is the explicit session header and nothing else: an API key or an address would send everybody behind one gateway
/// to one worker. Without a key the least loaded candidate is taken. With a bound, candidates far above the mean are walked past.
/// </remarks>
public sealed class ConsistentHashPolicy(PolicyOptions options, bool isBounded) : IRoutingPolicy
{
    private readonly Lock _lock = new();
    private Ring _ring = new([], []);

    private sealed record Ring(Candidate[] Candidates, (ulong At, int Index)[] Points);

    public string Name => isBounded ? "bounded_consistent_hashing" : "consistent_hash";

    public double? Score(in Candidate candidate, in PolicyRequest request) => candidate.Load;

    public PolicyPick Pick(IReadOnlyList<Candidate> candidates, in PolicyRequest request)
    {
        if (request.Key is not { Length: > 0 } key) return new PolicyPick(LeastLoaded(candidates), "no_key");
        Ring ring = RingOf(candidates);
        double limit = isBounded ? options.HashLoadFactor * (TotalLoad(candidates) + 1) / candidates.Count : double.PositiveInfinity;
        int start = FirstAtOrAfter(ring.Points, Hash(key));
        for (int step = 0; step < ring.Points.Length; step++)
        {
            int index = ring.Points[(start + step) % ring.Points.Length].Index;
            if (candidates[index].Load <= limit) return new PolicyPick(index, step == 0 ? "ring" : "ring_next");
        }
        return new PolicyPick(ring.Points[start % ring.Points.Length].Index, "ring");
    }

    // Built over the candidates at hand: leaving out an unavailable one is the same as stepping over its points.
    private Ring RingOf(IReadOnlyList<Candidate> candidates)
    {
        lock (_lock)
        {
            if (_ring.Candidates.AsSpan().SequenceEqual(candidates is Candidate[] array ? array : [.. candidates])) return _ring;
            (ulong At, int Index)[] points = new (ulong, int)[candidates.Count * options.VirtualNodes];
            for (int i = 0; i < candidates.Count; i++)
                for (int v = 0; v < options.VirtualNodes; v++) points[i * options.VirtualNodes + v] = (Hash($"{candidates[i]}#{v}"), i);
            Array.Sort(points);
            return _ring = new Ring([.. candidates], points);
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

    private static int TotalLoad(IReadOnlyList<Candidate> candidates)
    {
        int total = 0;
        for (int i = 0; i < candidates.Count; i++) total += candidates[i].Load;
        return total;
    }

    private static int LeastLoaded(IReadOnlyList<Candidate> candidates)
    {
        int best = 0;
        for (int i = 1; i < candidates.Count; i++)
            if ((candidates[i].Load, candidates[i].State.Sent).CompareTo((candidates[best].Load, candidates[best].State.Sent)) < 0) best = i;
        return best;
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
