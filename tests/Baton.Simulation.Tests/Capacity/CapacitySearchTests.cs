using System.Text.Json;
using Baton.Core.Engine.Simulated;
using Baton.Simulation.Capacity;
using Baton.Simulation.Figures;
using Baton.Simulation.Workloads;

namespace Baton.Simulation.Tests.Capacity;

public sealed class CapacitySearchTests
{
    [Fact]
    public void The_answer_is_the_smallest_of_all_splits_that_hold()
    {
        CapacityQuestion question = Question(attainment: 0.95);
        CapacityTrial found = new CapacitySearch(question).FindSmallest()!;

        // Every cluster up to the answer's size, without the search's assumption.
        CapacitySearch all = new(question);
        for (int ranks = 2; ranks <= found.Split.Ranks; ranks++) all.TryAllSplits(ranks);

        Assert.True(found.Holds);
        Assert.InRange(found.Split.PrefillRanks, 2, 6);
        Assert.InRange(found.Split.DecodeRanks, 2, 6);
        Assert.DoesNotContain(all.Trials, trial => trial.Holds && trial.Split.Ranks < found.Split.Ranks);
        Assert.Equal(found.Figures.Attainment, all.Trials.Where(trial => trial.Split.Ranks == found.Split.Ranks).Max(trial => trial.Figures.Attainment));
    }

    [Fact]
    public void One_rank_less_on_either_side_misses_the_goals()
    {
        CapacityQuestion question = Question(attainment: 0.95);
        Split split = new CapacitySearch(question).FindSmallest()!.Split;

        ClusterFigures lessPrefill = Measure(question, Split.Of(split.PrefillRanks - 1, split.DecodeRanks, 8)), lessDecode = Measure(question, Split.Of(split.PrefillRanks, split.DecodeRanks - 1, 8));

        Assert.True(lessPrefill.Attainment < 0.95);
        Assert.True(lessDecode.Attainment < 0.95);
        Assert.True(lessPrefill.PrefillUtilisation > lessDecode.PrefillUtilisation);
        Assert.True(lessDecode.DecodeUtilisation > lessPrefill.DecodeUtilisation);
        Assert.True(lessDecode.P99ItlMs > lessPrefill.P99ItlMs);
    }

    [Fact]
    public void When_nothing_holds_the_search_says_so_and_has_tried_the_largest_cluster()
    {
        CapacityQuestion question = Question(attainment: 0.95) with { MaxRanks = 3 };
        CapacitySearch search = new(question);

        Assert.Null(search.FindSmallest());
        Assert.Contains(search.Trials, trial => trial.Split.PrefillRanks >= 2 || trial.Split.DecodeRanks >= 2);
        Assert.Contains("--max-ranks", CapacityReport.Verdict(question, null, isFixedTotal: false), StringComparison.Ordinal);
    }

    [Fact]
    public void A_request_that_is_still_open_when_its_goals_are_out_of_reach_counts_as_missed()
    {
        CapacityQuestion question = Question(attainment: 0.95);

        ClusterFigures figures = Measure(question, new Split(1, 1, 1, 1));

        Assert.True(figures.Unfinished > 0);
        Assert.Equal(figures.Requests, figures.Succeeded + figures.Unfinished + figures.Failures.Values.Sum());
        Assert.True(figures.WithinGoals <= figures.Succeeded);
        Assert.Equal(double.PositiveInfinity, figures.P99TtftMs);
    }

    [Theory]
    [InlineData(8, 3, 8, 3, "1P1D, dp 8 and 3")]
    [InlineData(10, 8, 5, 8, "2P1D, dp 5 and 8")]
    [InlineData(9, 18, 0, 6, "")]
    public void Ranks_are_put_into_as_few_workers_of_one_size_as_the_limit_allows(int prefill, int decode, int prefillDp, int decodeDp, string text)
    {
        if (prefillDp == 0)
        {
            Assert.False(Split.CanBuild(prefill, 8));
            Assert.Equal(10, Split.RoundUp(prefill, 8));
            return;
        }
        Split split = Split.Of(prefill, decode, 8);

        Assert.Equal((prefillDp, decodeDp, text), (split.PrefillDpSize, split.DecodeDpSize, split.ToString()));
    }

    [Fact]
    public void The_report_lists_everything_that_was_tried()
    {
        CapacityQuestion question = Question(attainment: 0.95) with { MaxRanks = 5 };
        List<string> rows = [];
        CapacitySearch search = new(question, trial => rows.Add(CapacityReport.Row(trial)));
        CapacityTrial best = search.TryAllSplits(5)!;

        using JsonDocument document = JsonDocument.Parse(CapacityReport.Json(question, search, best));

        Assert.Equal(4, rows.Count);
        Assert.Equal(4, document.RootElement.GetProperty("tried").GetArrayLength());
        Assert.Equal(best.Split.PrefillDpSize, document.RootElement.GetProperty("found").GetProperty("prefill_dp_size").GetInt32());
        Assert.Equal(question.Workloads[0].Description, document.RootElement.GetProperty("workloads")[0].GetString());
    }

    [Fact]
    public void A_slower_kv_link_delays_first_tokens()
    {
        CapacityQuestion question = Question(attainment: 0.95);
        Deployment slow = question.Deployment with { KvBytesPerToken = 131_072, KvBytesPerSecond = 1e9 };

        double fast = Measure(question, new Split(1, 6, 1, 6)).MeanTtftMs;
        double slowed = slow.Measure(new Split(1, 6, 1, 6), question.Workloads, question.Goals, question.Limit, 1).MeanTtftMs;

        // The last chunk of 256 tokens takes 33 ms on the link; the others hide behind the computation.
        Assert.InRange(slowed - fast, 20, 120);
    }

    private static ClusterFigures Measure(CapacityQuestion question, Split split) => question.Deployment.Measure(split, question.Workloads, question.Goals, question.Limit, question.Seed);

    private static CapacityQuestion Question(double attainment)
    {
        ServiceGoals goals = new(TimeSpan.FromMilliseconds(600), TimeSpan.FromMilliseconds(20), attainment);
        Workload[] workloads = [Workload.Draw(250, new ArrivalProcess.Poisson(20), new LengthDistribution.Fixed(1000), new LengthDistribution.Fixed(40), seed: 3)];
        return new CapacityQuestion
        {
            // 116 ms a prompt: two prefill ranks cannot keep up with 20 a second. A decode step of 8 rows takes 17 ms, of 10 more than 20.
            Deployment = new Deployment { Cost = CostModel.Parse("fixed=4,prompt=0.1,row=1.65") },
            Workloads = workloads,
            Goals = goals,
            MaxRanks = 16,
            Limit = CapacityQuestion.LimitOf(workloads, goals),
        };
    }
}
