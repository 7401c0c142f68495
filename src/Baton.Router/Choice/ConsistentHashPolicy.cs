namespace Baton.Router.Choice;

/// <summary>A session key always goes to the same candidate while that one can take it; a candidate that leaves moves only its own keys.</summary>
/// <remarks>
/// The key is the explicit session header and nothing else: an API key or an address would send everybody behind one gateway
/// to one worker. Without a key the least loaded candidate is taken. With a bound, candidates far above the mean are walked past, and
/// so a key that many share does no harm: there the body's <c>user</c> is a key too.
/// </remarks>
public sealed class ConsistentHashPolicy(PolicyOptions options, bool isBounded) : IRoutingPolicy
{
    private readonly HashRing _ring = new(options.VirtualNodes);

    public string Name => isBounded ? "bounded_consistent_hashing" : "consistent_hash";

    public bool HonoursTarget => true;

    public double? Score(in Candidate candidate, in PolicyRequest request) => candidate.Load;

    public PolicyPick Pick(IReadOnlyList<Candidate> candidates, in PolicyRequest request)
    {
        string? key = string.IsNullOrEmpty(request.Key) && isBounded ? request.Facts.User : request.Key;
        if (string.IsNullOrEmpty(key)) return new PolicyPick(Loads.Least(candidates), "no_key");
        double limit = isBounded ? Loads.Bound(candidates, options.HashLoadFactor) : double.PositiveInfinity;
        int first = -1;
        foreach (int index in _ring.Walk(candidates, key))
        {
            if (candidates[index].Load <= limit) return new PolicyPick(index, first < 0 ? "ring" : "ring_next");
            if (first < 0) first = index;
        }
        return new PolicyPick(first, "ring");
    }
}
