using Baton.Simulation.Swarm;

namespace Baton.Simulation.Tests.Swarm;

public sealed class SwarmTests
{
    [Fact]
    public void No_seed_of_the_fixed_set_violates_an_invariant()
    {
        IReadOnlyList<SwarmOutcome> outcomes = SwarmSweep.Run(1, 300);

        Assert.All(outcomes, outcome => Assert.True(outcome.Violation is null, $"baton simulate swarm --seeds {outcome.Seed}..{outcome.Seed}: {outcome.Violation}"));
        Assert.True(outcomes.Sum(o => o.Succeeded) > outcomes.Sum(o => o.Requests) / 2, "Most requests failed: the swarm tests little.");
    }

    [Theory]
    [InlineData(101UL)] // a link broke in the poll that brought the last frame: decode acknowledged a room that its receiver had forgotten
    public void Seeds_that_were_bad_once_stay_good(ulong seed) => Assert.Null(SwarmRun.Run(seed).Violation);

    [Fact]
    public void The_same_seed_runs_the_same_way()
    {
        for (ulong seed = 1; seed <= 20; seed++) Assert.Equal(SwarmRun.Run(seed), SwarmRun.Run(seed));
    }

    public static TheoryData<Plant> EveryPlant() => [.. Plants.All];

    [Theory]
    [MemberData(nameof(EveryPlant))]
    public void A_planted_bug_is_found_within_500_seeds(Plant plant)
    {
        IReadOnlyList<SwarmOutcome> outcomes = SwarmSweep.Run(1, 500, plant, stopAtViolation: true);

        Assert.Contains(outcomes, outcome => outcome.Violation is not null);
    }
}
