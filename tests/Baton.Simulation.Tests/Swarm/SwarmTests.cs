using Baton.Simulation.Swarm;

namespace Baton.Simulation.Tests.Swarm;

public sealed class SwarmTests
{
    /// <summary>The first seed that finds each planted bug. <c>.ci/run</c> looks for each within seeds 1 to 500, also when the generator changes.</summary>
    private static readonly Dictionary<Plant, ulong> FoundBy = new()
    {
        [Plant.UnboundedPending] = 13,
        [Plant.UnboundedQueue] = 123,
        [Plant.ReviveRoom] = 54,
        [Plant.SwallowAck] = 3,
        [Plant.LostWake] = 2,
    };

    [Fact]
    public void No_seed_of_the_fixed_set_violates_an_invariant()
    {
        // .ci/run plays 2,000.
        IReadOnlyList<SwarmOutcome> outcomes = SwarmSweep.Run(1, 200);

        Assert.All(outcomes, outcome => Assert.True(outcome.Violation is null, $"baton simulate swarm --seeds {outcome.Seed}..{outcome.Seed}: {outcome.Violation}"));
        Assert.True(outcomes.Sum(o => o.Succeeded) > outcomes.Sum(o => o.Requests) / 2, "Most requests failed: the swarm tests little.");
    }

    public static TheoryData<string> OnceBad() => [.. Directory.EnumerateFiles(Path.Combine(AppContext.BaseDirectory, "OnceBad"), "*.json").Select(path => Path.GetFileName(path))];

    [Theory]
    [MemberData(nameof(OnceBad))]
    public void Plans_that_were_bad_once_stay_good(string file)
    {
        StoredPlan stored = StoredPlan.FromJson(File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "OnceBad", file)));

        Assert.Null(SwarmRun.Run(stored.ToPlan()).Violation);
    }

    [Fact]
    public void A_plan_that_was_stored_runs_the_same_way()
    {
        for (ulong seed = 1; seed <= 10; seed++)
        {
            SwarmPlan plan = SwarmPlan.Draw(seed);

            SwarmPlan read = StoredPlan.FromJson(StoredPlan.Of(plan, "2026-11-21", "nothing").ToJson()).ToPlan();

            Assert.Equal(SwarmRun.Run(plan), SwarmRun.Run(read));
        }
    }

    [Fact]
    public void The_same_seed_writes_the_same_event_log()
    {
        for (ulong seed = 1; seed <= 10; seed++)
        {
            using StringWriter one = new(), two = new();

            SwarmOutcome first = SwarmRun.Run(SwarmPlan.Draw(seed), trace: one), second = SwarmRun.Run(SwarmPlan.Draw(seed), trace: two);

            Assert.Equal(one.ToString(), two.ToString());
            Assert.Equal(first, second);
            Assert.Equal(first.TraceHash, SwarmRun.Run(seed).TraceHash);
            Assert.NotEqual(first.TraceHash, SwarmRun.Run(seed + 100).TraceHash);
        }
    }

    [Fact]
    public void The_event_log_has_one_line_an_event_with_its_virtual_time_first()
    {
        using StringWriter log = new();

        SwarmOutcome outcome = SwarmRun.Run(SwarmPlan.Draw(2), trace: log);

        string[] lines = log.ToString().Split(Environment.NewLine, StringSplitOptions.RemoveEmptyEntries);
        double[] times = [.. lines.Select(line => double.Parse(line.Split(' ')[0], System.Globalization.CultureInfo.InvariantCulture))];
        Assert.Equal(times.Order(), times);
        Assert.True(lines.Count(line => line.Contains(" arrives: ", StringComparison.Ordinal)) >= outcome.Requests);
        Assert.Contains(lines, line => line.Contains(" steps: ", StringComparison.Ordinal));
        Assert.Contains(lines, line => line.Contains(" brings decode ", StringComparison.Ordinal));
    }

    public static TheoryData<Plant> EveryPlant() => [.. Plants.All];

    [Theory]
    [MemberData(nameof(EveryPlant))]
    public void A_planted_bug_is_found(Plant plant)
    {
        ulong seed = FoundBy.GetValueOrDefault(plant, 1UL);

        SwarmOutcome outcome = SwarmRun.Run(seed, plant);

        Assert.NotNull(outcome.Violation);
        Assert.Null(SwarmRun.Run(seed).Violation);
    }
}
