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

    public PolicyPick Pick(IReadOnlyList<Candidate> candidates, in PolicyRequest request)
    {
        uint turn = request.IsDryRun ? Volatile.Read(ref _next) : Interlocked.Increment(ref _next) - 1;
        return new PolicyPick((int)(turn % (uint)candidates.Count), "turn");
    }
}

/// <summary>Two distinct random candidates; the less loaded wins, the first drawn on a tie.</summary>
/// <remarks>Load is the reported KV usage when both reported, else what this router has in flight: never one against the other.</remarks>
public sealed class PowerOfTwoPolicy(RouterRandom random) : IRoutingPolicy
{
    public string Name => "power_of_two";

    public double? Score(in Candidate candidate, in PolicyRequest request) => candidate.TokenUsage ?? candidate.Load;

    public PolicyPick Pick(IReadOnlyList<Candidate> candidates, in PolicyRequest request)
    {
        if (candidates.Count == 1) return new PolicyPick(0, "only");
        int first = random.NextBelow(candidates.Count);
        int second = random.NextBelow(candidates.Count - 1);
        if (second >= first) second++;
        if (candidates[first].TokenUsage is { } one && candidates[second].TokenUsage is { } two && one != two)
            return new PolicyPick(two < one ? second : first, "token_usage");
        return new PolicyPick(candidates[second].Load < candidates[first].Load ? second : first, "in_flight");
    }
}

/// <summary>No choice at all: the one worker of the role, which chooses its rank itself. Two workers are a mistake in the configuration.</summary>
public sealed class PassthroughPolicy : IRoutingPolicy
{
    public string Name => "passthrough";

    public bool ChoosesRanks => false;

    public PolicyPick Pick(IReadOnlyList<Candidate> candidates, in PolicyRequest request) => candidates.Count == 1
        ? new PolicyPick(0, "only")
        : new PolicyPick(-1, "several") { Refusal = $"The policy passthrough takes exactly one worker, and {candidates.Count} could take the request. Use another policy." };
}
