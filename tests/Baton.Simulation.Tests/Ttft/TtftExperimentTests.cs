using System.Text.Json;
using Baton.Core.Engine.Simulated;
using Baton.Core.Ranks;
using Baton.Simulation.Cluster;
using Baton.Simulation.Ttft;
using Baton.Simulation.Workloads;

namespace Baton.Simulation.Tests.Ttft;

public sealed class TtftExperimentTests
{
    [Theory]
    [InlineData(StepModel.Independent)]
    [InlineData(StepModel.Lockstep)]
    public void The_same_seed_gives_the_same_trace_and_another_gives_another(StepModel steps)
    {
        TtftSettings settings = new() { Steps = steps, Requests = 50 };

        TtftExperiment.RunOnce(settings, 3, LoadBalanceMethod.LeastWork, 1, out string first);
        TtftExperiment.RunOnce(settings, 3, LoadBalanceMethod.LeastWork, 1, out string again);
        TtftExperiment.RunOnce(settings, 3, LoadBalanceMethod.LeastWork, 2, out string other);

        Assert.Equal(first, again);
        Assert.NotEqual(first, other);
    }

    [Fact]
    public void A_prompt_that_meets_no_other_takes_its_own_time()
    {
        TtftSettings settings = new() { Requests = 1 };

        double lockstep = Assert.Single(TtftExperiment.RunOnce(settings, 1, LoadBalanceMethod.RoundRobin, 1, out _));
        double independent = Assert.Single(TtftExperiment.RunOnce(settings with { Steps = StepModel.Independent }, 1, LoadBalanceMethod.RoundRobin, 1, out _));

        // 0.85 s and 0.3 s, and some messages of 0.1 ms.
        Assert.InRange(lockstep, 1150, 1152);
        Assert.InRange(independent, 1150, 1152);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(10)]
    public void An_engines_own_costs_replace_those_of_the_published_hardware(int scale)
    {
        TtftSettings settings = new() { Requests = 1, TokenScale = scale, Steps = StepModel.Independent, Engine = CostModel.Parse("fixed=10,prompt=0.1,attention=0.00001") };

        double ttft = Assert.Single(TtftExperiment.RunOnce(settings, 1, LoadBalanceMethod.RoundRobin, 1, out _));

        // 14 chunks of 250 tokens: 140 ms, 350 ms, and 3,500 · 3,499 / 2 pairs: 61 ms.
        Assert.InRange(ttft, 548, 554);
    }

    [Fact]
    public void Decode_steps_of_an_engine_take_time_too()
    {
        TtftSettings settings = new() { Requests = 50, ArrivalSeeds = 1, Steps = StepModel.Independent };

        double fast = Mean("fixed=10,prompt=0.1"), slow = Mean("fixed=10,prompt=0.1,row=100");

        // A first token that comes while decode is in a step of 110 ms or more waits for its end.
        Assert.InRange(slow - fast, 20, 200);

        double Mean(string engine) => TtftExperiment.RunCell(settings with { Engine = CostModel.Parse(engine) }, 2, LoadBalanceMethod.LeastWork).MeanMs;
    }

    [Theory]
    [InlineData(StepModel.Independent, false)]
    [InlineData(StepModel.Independent, true)]
    [InlineData(StepModel.Lockstep, false)]
    [InlineData(StepModel.Lockstep, true)]
    public void Batons_default_comes_within_five_percent_of_one_central_queue_and_is_not_behind_taking_turns(StepModel steps, bool isMixed)
    {
        LengthDistribution lengths = isMixed ? new LengthDistribution.LogNormal(3500, 0.8, 30_000) : new LengthDistribution.Fixed(3500);
        TtftSettings settings = new() { Steps = steps, Lengths = lengths, ArrivalSeeds = 4, Rates = [1, 2.6, 4] };

        foreach (double rate in settings.Rates)
        {
            TtftCell oracle = TtftExperiment.RunCell(settings, rate, null), turns = TtftExperiment.RunCell(settings, rate, LoadBalanceMethod.RoundRobin);
            TtftCell ours = TtftExperiment.RunCell(settings, rate, LoadBalanceMethod.LeastWork);

            Assert.InRange(ours.MeanMs / oracle.MeanMs, 0, 1.05);
            Assert.InRange(ours.P99Ms / oracle.P99Ms, 0, 1.05);
            Assert.InRange(ours.MeanMs, 0, turns.MeanMs * 1.001);
        }
    }

    [Fact]
    public void The_published_direction_comes_out()
    {
        TtftSettings settings = new() { ArrivalSeeds = 4, Rates = [3.2] };

        TtftCell room = TtftExperiment.RunCell(settings, 3.2, LoadBalanceMethod.FollowBootstrapRoom);
        TtftCell turns = TtftExperiment.RunCell(settings, 3.2, LoadBalanceMethod.RoundRobin);

        Assert.InRange(room.MeanMs, 0.6 * 10446.72, 1.4 * 10446.72);
        Assert.True(turns.MeanMs < 0.6 * room.MeanMs);
    }

    [Fact]
    public void The_report_has_every_row_in_text_json_and_html()
    {
        TtftSettings settings = new() { ArrivalSeeds = 1, Requests = 10, Rates = [1, double.PositiveInfinity] };
        TtftTable table = TtftExperiment.Run(settings);

        string text = TtftReport.Text(table), json = TtftReport.Json([table]), html = TtftReport.Html([table]);

        Assert.Equal(12, table.Cells.Count);
        Assert.Contains("published", text, StringComparison.Ordinal);
        using JsonDocument document = JsonDocument.Parse(json);
        Assert.Equal(12, document.RootElement[0].GetProperty("rows").GetArrayLength());
        Assert.Equal(13, html.Split("<tr>").Length - 1);
        Assert.Contains("<svg", html, StringComparison.Ordinal);
    }
}
