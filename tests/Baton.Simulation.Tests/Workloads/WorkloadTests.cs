using Baton.Core.Randomness;
using Baton.Core.Requests;
using Baton.Simulation.Workloads;

namespace Baton.Simulation.Tests.Workloads;

public sealed class WorkloadTests
{
    private static readonly LengthDistribution Prompt = new LengthDistribution.Fixed(3500);
    private static readonly LengthDistribution Output = new LengthDistribution.Fixed(5);

    [Fact]
    public void The_generator_gives_the_published_reference_numbers()
    {
        SeededRandom random = new(1234567);

        Assert.Equal([6457827717110365317, 3203168211198807973, 9817491932198370423], new[] { random.NextUInt64(), random.NextUInt64(), random.NextUInt64() });
    }

    [Fact]
    public void The_same_seed_draws_the_same_workload_and_another_seed_another()
    {
        Workload a = Workload.Draw(50, new ArrivalProcess.Poisson(2.6), Prompt, Output, seed: 7);
        Workload b = Workload.Draw(50, new ArrivalProcess.Poisson(2.6), Prompt, Output, seed: 7);
        Workload c = Workload.Draw(50, new ArrivalProcess.Poisson(2.6), Prompt, Output, seed: 8);

        Assert.Equal(a.Requests.Select(r => r.ArrivesAt), b.Requests.Select(r => r.ArrivesAt));
        Assert.NotEqual(a.Requests.Select(r => r.ArrivesAt), c.Requests.Select(r => r.ArrivesAt));
    }

    [Fact]
    public void Another_length_distribution_leaves_the_arrivals_where_they_were()
    {
        Workload fixedLengths = Workload.Draw(50, new ArrivalProcess.Poisson(2), Prompt, Output, seed: 7);
        Workload mixed = Workload.Draw(50, new ArrivalProcess.Poisson(2), new LengthDistribution.LogNormal(3500, 1, 32000), Output, seed: 7);

        Assert.Equal(fixedLengths.Requests.Select(r => r.ArrivesAt), mixed.Requests.Select(r => r.ArrivesAt));
    }

    [Fact]
    public void Poisson_arrivals_come_at_the_rate_that_was_asked_for()
    {
        Workload workload = Workload.Draw(20_000, new ArrivalProcess.Poisson(4), Prompt, Output, seed: 1);

        double rate = workload.Requests.Count / workload.Requests[^1].ArrivesAt.TotalSeconds;

        Assert.InRange(rate, 3.9, 4.1); // three standard errors are 0.085
    }

    [Fact]
    public void An_infinite_rate_is_everything_at_once()
    {
        Workload workload = Workload.Draw(10, new ArrivalProcess.Poisson(double.PositiveInfinity), Prompt, Output, seed: 1);

        Assert.All(workload.Requests, r => Assert.Equal(TimeSpan.Zero, r.ArrivesAt));
    }

    [Fact]
    public void Bursts_pause_after_each_full_burst()
    {
        Workload workload = Workload.Draw(5, new ArrivalProcess.Burst(2, TimeSpan.FromSeconds(3)), Prompt, Output, seed: 1);

        Assert.Equal([0, 0, 3, 3, 6], workload.Requests.Select(r => (int)r.ArrivesAt.TotalSeconds));
    }

    [Fact]
    public void Log_normal_lengths_have_the_mean_that_was_asked_for()
    {
        SeededRandom random = new(3);
        LengthDistribution lengths = new LengthDistribution.LogNormal(3500, 0.8, 1_000_000);

        double mean = Enumerable.Range(0, 50_000).Average(_ => lengths.Draw(random));

        Assert.InRange(mean, 3500 * 0.97, 3500 * 1.03);
    }

    [Fact]
    public void Each_turn_of_a_conversation_begins_with_the_blocks_of_the_turn_before()
    {
        Workload workload = new Conversations { Count = 20 }.Draw(seed: 5);

        Assert.Equal(80, workload.Requests.Count);
        Assert.Equal(workload.Requests.OrderBy(r => r.ArrivesAt).Select(r => r.Index), workload.Requests.Select(r => r.Index));
        Assert.All(workload.Requests.GroupBy(r => r.Conversation), turns =>
        {
            foreach ((WorkloadRequest earlier, WorkloadRequest later) in turns.Zip(turns.Skip(1)))
            {
                Assert.True(later.PromptTokens > earlier.PromptTokens + earlier.OutputTokens);
                Assert.Equal(earlier.HashIds, later.HashIds.Take(earlier.HashIds.Count));
            }
        });
    }

    [Fact]
    public void A_trace_is_played_as_it_was_recorded_or_stretched()
    {
        TracedRequest[] trace = [new(TimeSpan.FromSeconds(1), 600, 20, [3, 4]), new(TimeSpan.FromSeconds(2), 7, 1, [])];

        Workload workload = Workload.OfTrace("t", trace), twiceAsFast = Workload.OfTrace("t", trace, slowdown: 0.5);

        Assert.Equal([1.0, 2.0], workload.Requests.Select(r => r.ArrivesAt.TotalSeconds));
        Assert.Equal([0.5, 1.0], twiceAsFast.Requests.Select(r => r.ArrivesAt.TotalSeconds));
        Assert.Equal([(0, 600, 20, 2), (1, 7, 1, 0)], workload.Requests.Select(r => (r.Index, r.PromptTokens, r.OutputTokens, r.HashIds.Count)));
        Assert.Throws<FormatException>(() => Workload.OfTrace("t", trace, slowdown: 0));
    }

    [Theory]
    [InlineData("3500", "3500")]
    [InlineData("fixed:7", "7")]
    [InlineData("uniform:100,4000", "uniform 100..4000")]
    [InlineData("log-normal:3500,0.8", "log-normal mean 3500 sigma 0.8")]
    [InlineData("log-normal:3500, 0.8, 9000", "log-normal mean 3500 sigma 0.8")]
    public void Lengths_are_read_from_text(string text, string expected) => Assert.Equal(expected, LengthDistribution.Parse(text).ToString());

    [Theory]
    [InlineData("")]
    [InlineData("0")]
    [InlineData("-3")]
    [InlineData("uniform:5")]
    [InlineData("uniform:5,4")]
    [InlineData("log-normal:100")]
    [InlineData("log-normal:100,0")]
    [InlineData("log-normal:100,9")]
    [InlineData("zipf:1,2")]
    public void A_length_that_makes_no_sense_is_refused_with_the_forms_that_do(string text) =>
        Assert.Contains("uniform:LOW,HIGH", Assert.Throws<FormatException>(() => LengthDistribution.Parse(text)).Message, StringComparison.Ordinal);

    [Fact]
    public void Uniform_lengths_reach_both_ends_and_go_no_further()
    {
        SeededRandom random = new(8);
        LengthDistribution lengths = LengthDistribution.Parse("uniform:10,13");

        Assert.Equal([10, 11, 12, 13], Enumerable.Range(0, 200).Select(_ => lengths.Draw(random)).Distinct().Order());
    }

    [Fact]
    public void Constant_arrivals_are_evenly_spaced()
    {
        Workload workload = Workload.Draw(4, new ArrivalProcess.Constant(8), Prompt, Output, seed: 1);

        Assert.Equal([0, 125, 250, 375], workload.Requests.Select(r => r.ArrivesAt.TotalMilliseconds));
    }
}
