using Baton.Router.Rooms;

namespace Baton.Router.Choice;

/// <summary>Uniform choice.</summary>
public sealed class RandomPolicy(RouterRandom random) : IRoutingPolicy
{
    public string Name => "random";

    public PolicyPick Pick(IReadOnlyList<Candidate> candidates, in PolicyRequest request) => new(random.NextBelow(candidates.Count), "random");
}

/// <summary>A counter modulo the number of candidates.</summary>
public sealed class RoundRobinPolicy : IRoutingPolicy
{
    private uint _next;

    public string Name => "round_robin";

    public PolicyPick Pick(IReadOnlyList<Candidate> candidates, in PolicyRequest request) =>
        new((int)((Interlocked.Increment(ref _next) - 1) % (uint)candidates.Count), "turn");
}

/// <summary>Two distinct random candidates; the one with less in flight wins, the first drawn on a tie.</summary>
public sealed class PowerOfTwoPolicy(RouterRandom random) : IRoutingPolicy
{
    public string Name => "power_of_two";

    public PolicyPick Pick(IReadOnlyList<Candidate> candidates, in PolicyRequest request)
    {
        if (candidates.Count == 1) return new PolicyPick(0, "only");
        int first = random.NextBelow(candidates.Count);
        int second = random.NextBelow(candidates.Count - 1);
        if (second >= first) second++;
        return new PolicyPick(candidates[second].Load < candidates[first].Load ? second : first, "in_flight");
    }
}
