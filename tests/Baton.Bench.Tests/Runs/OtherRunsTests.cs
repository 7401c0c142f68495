using System.Text.Json.Nodes;
using Baton.Bench.Load;
using Baton.Bench.Runs;
using Baton.Bench.Tests.Scripted;
using Baton.Simulation.Clock;

namespace Baton.Bench.Tests.Runs;

public sealed class OtherRunsTests
{
    [Fact]
    public void A_sweep_sends_the_same_requests_at_each_load_and_marks_the_knee()
    {
        VirtualTimeProvider time = new();
        int[] ttftMs = [10, 11, 12, 13, 60, 200];
        ScriptedServer server = new(time, (n, _) => Events.Tokens(n == 0 ? 1 : ttftMs[(n - 1) / 2]));
        BenchSettings settings = VirtualRun.Settings(2) with { PacingSlack = TimeSpan.Zero };
        using BenchClient client = new(settings.ClientOptions(), server);

        SweepOutcome outcome = VirtualRun.Wait(time, () =>
            new SweepRun(settings, client, time, new VirtualRun.SilentObserver(), TimeSpan.FromSeconds(1)).RunAsync(SweepAxis.MaxConcurrency, [1, 2, 3, 4, 5, 6], CancellationToken.None));

        Assert.Equal(ttftMs.Select(ms => (double)ms), outcome.Points.Select(point => point.Outcome.Figures.Ttft.Mean));
        Assert.Equal(3, outcome.KneeIndex);
        Assert.Equal([1, 2, 3, 4, 5, 6], outcome.Points.Select(point => point.Outcome.Header.MaxConcurrency));
        Assert.Equal(server.Bodies[1..3], server.Bodies[11..13]);
    }

    [Fact]
    public void A_sweep_whose_points_differ_by_noise_alone_has_no_knee()
    {
        // Scaled to [0, 1] these bend at the third point; in milliseconds they are 40 +- 10, and each mean of two is uncertain by more than the 13 ms at the end.
        VirtualTimeProvider time = new();
        int[] ttftMs = [30, 50, 31, 49, 29, 51, 43, 63];
        ScriptedServer server = new(time, (n, _) => Events.Tokens(n == 0 ? 1 : ttftMs[n - 1]));
        BenchSettings settings = VirtualRun.Settings(2) with { PacingSlack = TimeSpan.Zero };
        using BenchClient client = new(settings.ClientOptions(), server);

        SweepOutcome outcome = VirtualRun.Wait(time, () =>
            new SweepRun(settings, client, time, new VirtualRun.SilentObserver(), TimeSpan.Zero).RunAsync(SweepAxis.MaxConcurrency, [1, 2, 3, 4], CancellationToken.None));

        Assert.Equal([40, 40, 40, 53], outcome.Points.Select(point => point.Outcome.Figures.Ttft.Mean));
        Assert.Null(outcome.KneeIndex);
    }

    [Fact]
    public void Rates_of_a_sweep_keep_the_pattern_of_arrivals_and_infinity_is_allowed()
    {
        VirtualTimeProvider time = new();
        ScriptedServer server = new(time, (_, _) => Events.Tokens(10));
        BenchSettings settings = VirtualRun.Settings(20) with { PacingSlack = TimeSpan.Zero };
        using BenchClient client = new(settings.ClientOptions(), server);

        SweepOutcome outcome = VirtualRun.Wait(time, () =>
            new SweepRun(settings, client, time, new VirtualRun.SilentObserver(), TimeSpan.Zero).RunAsync(SweepAxis.RequestRate, [1, 2, double.PositiveInfinity], CancellationToken.None));

        TimeSpan[] slow = [.. outcome.Points[0].Outcome.Records.Select(record => record.IntendedAt)];
        TimeSpan[] fast = [.. outcome.Points[1].Outcome.Records.Select(record => record.IntendedAt)];
        Assert.All(slow.Zip(fast), pair => Assert.Equal(pair.First.TotalSeconds / 2, pair.Second.TotalSeconds, 5));
        Assert.All(outcome.Points[2].Outcome.Records, record => Assert.Equal(TimeSpan.Zero, record.IntendedAt));
    }

    [Fact]
    public void A_comparison_pairs_the_same_requests_and_finds_the_ratio_and_the_difference()
    {
        VirtualTimeProvider time = new();
        ScriptedServer a = new(time, (n, _) => Events.Tokens(100 + n, 10, 10));
        ScriptedServer b = new(time, (n, _) => Events.Tokens(102 + n, 10, 20));
        BenchSettings settings = VirtualRun.Settings(40) with { PacingSlack = TimeSpan.Zero, RequestRate = 20 };
        using BenchClient clientA = new(settings.ClientOptions(), a);
        using BenchClient clientB = new(settings.ClientOptions(), b);

        CompareOutcome outcome = VirtualRun.Wait(time, () =>
            new CompareRun(settings, clientA, clientB, time, new VirtualRun.SilentObserver(), new Random(2)).RunAsync(CancellationToken.None));

        Assert.Equal(40, outcome.PairCount);
        Assert.Equal(a.Bodies.Skip(1), b.Bodies.Skip(1));
        Assert.Equal(2, outcome.Metric("mean_ttft_ms").DifferenceMs.Value, 9);
        Assert.True(outcome.Metric("mean_ttft_ms").Ratio.Excludes(1));
        Assert.Equal(2, outcome.Metric("mean_worst_gap_ms").Ratio.Value, 9);
        // Neither side always goes first.
        Assert.Contains(outcome.RecordsA.Zip(outcome.RecordsB), pair => pair.First.IntendedAt < pair.Second.IntendedAt);
        Assert.Contains(outcome.RecordsA.Zip(outcome.RecordsB), pair => pair.First.IntendedAt > pair.Second.IntendedAt);
    }

    [Fact]
    public void Pairs_with_a_failure_on_either_side_are_left_out()
    {
        VirtualTimeProvider time = new();
        ScriptedServer a = new(time, (_, _) => Events.Tokens(10, 10));
        ScriptedServer b = new(time, (n, _) => n % 2 == 1 ? Script.Stream(Piece.Text(1, Events.Native(1))) : Events.Tokens(10, 10));
        BenchSettings settings = VirtualRun.Settings(10) with { PacingSlack = TimeSpan.Zero };
        using BenchClient clientA = new(settings.ClientOptions(), a);
        using BenchClient clientB = new(settings.ClientOptions(), b);

        CompareOutcome outcome = VirtualRun.Wait(time, () =>
            new CompareRun(settings, clientA, clientB, time, new VirtualRun.SilentObserver(), new Random(2)).RunAsync(CancellationToken.None));

        Assert.Equal(5, outcome.PairCount);
    }

    [Fact]
    public void Isolation_reports_the_gap_that_a_long_prompt_opens_in_a_running_stream()
    {
        // Gaps of 100 ms; the one that begins 1.5 s after the first token takes 340 ms. The first long prompt comes after 1 s of quiet.
        VirtualTimeProvider time = new();
        Script stream = Events.Tokens([50, .. Enumerable.Repeat(100, 15), 340, .. Enumerable.Repeat(100, 10)]);
        ScriptedServer server = new(time, (_, body) => MaxNewTokens(body) > 1 ? stream : Events.Tokens(400));
        BenchSettings settings = VirtualRun.Settings(1);
        using BenchClient client = new(settings.ClientOptions(), server);
        IsolationOptions options = new() { Streams = 2, Prompts = 2, PromptInterval = TimeSpan.FromMilliseconds(300) };

        IsolationOutcome outcome = VirtualRun.Wait(time, () => new IsolationRun(settings, client, time, options).RunAsync(CancellationToken.None));

        Assert.Equal(340, outcome.Disturbed.Max);
        Assert.Equal(100, outcome.Quiet.Max);
        Assert.Equal(400, outcome.PromptTtftMs.Median);
        Assert.Equal((2, 0, 0), (outcome.UsableStreams, outcome.FailedStreams, outcome.FailedPrompts));
    }

    [Fact]
    public void Isolation_warms_up_with_a_short_stream_and_a_long_prompt()
    {
        VirtualTimeProvider time = new();
        ScriptedServer server = new(time, (_, _) => Events.Tokens(5));
        BenchSettings settings = VirtualRun.Settings(1) with { WarmupRequests = 2 };
        using BenchClient client = new(settings.ClientOptions(), server);
        IsolationOptions options = new() { StreamInputTokens = 8, PromptTokens = 64 };

        VirtualRun.Wait(time, async () =>
        {
            await new IsolationRun(settings, client, time, options).WarmUpAsync(CancellationToken.None);
            return 0;
        });

        Assert.Equal([(8, 32), (64, 1), (8, 32), (64, 1)], server.Bodies.Select(body => (JsonNode.Parse(body)!["input_ids"]!.AsArray().Count, MaxNewTokens(body))));
    }

    [Fact]
    public void Isolation_refuses_to_report_on_streams_that_had_ended()
    {
        VirtualTimeProvider time = new();
        ScriptedServer server = new(time, (_, _) => Events.Tokens(50, 10, 10));
        BenchSettings settings = VirtualRun.Settings(1);
        using BenchClient client = new(settings.ClientOptions(), server);

        BenchException wrong = Assert.Throws<BenchException>(() =>
            VirtualRun.Wait(time, () => new IsolationRun(settings, client, time, new IsolationOptions()).RunAsync(CancellationToken.None)));

        Assert.Contains("--stream-output-len", wrong.Message, StringComparison.Ordinal);
    }

    private static int MaxNewTokens(string body) => JsonNode.Parse(body)!["sampling_params"]!["max_new_tokens"]!.GetValue<int>();
}
