using Baton.Core.Requests;
using Baton.Core.Sampling;
using Baton.Testing;

namespace Baton.Core.Tests.Sampling;

public sealed class TokenSamplerTests
{
    private const int Vocab = 8;
    private static readonly float[] Flat = new float[Vocab];
    private static readonly float[] Peaked = [1, 3, 2, 0, -1, -2, -3, -4];

    [Fact]
    public void Greedy_takes_the_largest_and_the_lowest_id_of_equals()
    {
        Assert.Equal(1, Draw(SamplingOptions.Greedy, Peaked));
        Assert.Equal(0, Draw(SamplingOptions.Greedy, Flat));
        Assert.Equal(2, Draw(SamplingOptions.Greedy, [0, 0, 5, 1, 5, 5, 0, 0]));
    }

    [Fact]
    public void The_same_seed_and_position_draw_the_same_token_whatever_was_drawn_before()
    {
        SamplingOptions options = new() { Seed = 5 };
        TokenSampler used = Sampler(options);
        for (int position = 0; position < 50; position++) used.Sample(Peaked, position);

        Assert.Equal(Sampler(options).Sample(Flat, 77).Token, used.Sample(Flat, 77).Token);
    }

    [Fact]
    public void Frequencies_follow_the_probabilities_at_every_temperature()
    {
        foreach (float temperature in new[] { 0.5f, 1f, 2f })
        {
            double[] expected = Softmax(Peaked, temperature);

            double[] seen = Frequencies(new SamplingOptions { Temperature = temperature }, Peaked);

            Assert.All(expected.Zip(seen), pair => Assert.Equal(pair.First, pair.Second, 0.015));
        }
    }

    [Fact]
    public void A_flat_distribution_over_many_tokens_reaches_all_of_them()
    {
        TokenSampler sampler = new(new SamplingOptions { Seed = 1 }, new SamplerScratch(5000), [], null);
        float[] logits = new float[5000];

        int[] drawn = [.. Enumerable.Range(0, 20_000).Select(position => sampler.Sample(logits, position).Token)];

        Assert.InRange(drawn.Average(), 2450, 2550);
        Assert.InRange(drawn.Distinct().Count(), 4850, 5000);
        Assert.True(drawn.Min() < 10 && drawn.Max() > 4990);
    }

    [Theory]
    [InlineData(1, new[] { 1 })]
    [InlineData(2, new[] { 1, 2 })]
    [InlineData(3, new[] { 0, 1, 2 })]
    [InlineData(0, new[] { 0, 1, 2, 3, 4, 5, 6, 7 })]
    [InlineData(-1, new[] { 0, 1, 2, 3, 4, 5, 6, 7 })]
    [InlineData(100, new[] { 0, 1, 2, 3, 4, 5, 6, 7 })]
    public void Top_k_keeps_the_k_largest(int topK, int[] kept) =>
        Assert.Equal(kept, Support(new SamplingOptions { TopK = topK, Temperature = 3 }, Peaked));

    // Probabilities of Peaked: 0.639 (1), 0.235 (2), 0.087 (0), 0.032 (3), ...
    [Theory]
    [InlineData(0f, new[] { 1 })]
    [InlineData(0.63f, new[] { 1 })]
    [InlineData(0.65f, new[] { 1, 2 })]
    [InlineData(0.88f, new[] { 0, 1, 2 })]
    public void Top_p_keeps_the_shortest_start_that_reaches_p(float topP, int[] kept) =>
        Assert.Equal(kept, Support(new SamplingOptions { TopP = topP }, Peaked));

    [Theory]
    [InlineData(0.5f, new[] { 1 })]
    [InlineData(0.36f, new[] { 1, 2 })]
    [InlineData(0.13f, new[] { 0, 1, 2 })]
    public void Min_p_keeps_what_is_near_the_best(float minP, int[] kept) =>
        Assert.Equal(kept, Support(new SamplingOptions { MinP = minP }, Peaked));

    [Fact]
    public void The_strictest_of_top_k_top_p_and_min_p_decides()
    {
        Assert.Equal([1, 2], Support(new SamplingOptions { TopK = 2, TopP = 0.99f, MinP = 0.01f }, Peaked));
        Assert.Equal([1, 2], Support(new SamplingOptions { TopK = 5, TopP = 0.65f, MinP = 0.01f }, Peaked));
        Assert.Equal([1, 2], Support(new SamplingOptions { TopK = 5, TopP = 0.99f, MinP = 0.36f }, Peaked));
    }

    [Fact]
    public void A_truncated_draw_keeps_the_proportions_of_what_is_left()
    {
        double[] seen = Frequencies(new SamplingOptions { TopK = 2 }, Peaked);

        Assert.Equal(Math.Exp(3) / (Math.Exp(3) + Math.Exp(2)), seen[1], 0.015);
    }

    [Fact]
    public void Top_p_over_a_large_flat_vocabulary_keeps_its_share()
    {
        TokenSampler sampler = new(new SamplingOptions { TopP = 0.5f }, new SamplerScratch(1000), [], null);

        int largest = Enumerable.Range(0, 3000).Max(position => sampler.Sample(new float[1000], position).Token);

        Assert.InRange(largest, 490, 501);
    }

    [Fact]
    public void Bias_moves_and_forbids()
    {
        Assert.Equal(6, Draw(SamplingOptions.Greedy with { LogitBias = new Dictionary<int, float> { [6] = 10, [99] = 100 } }, Peaked));
        Assert.Equal(2, Draw(SamplingOptions.Greedy with { LogitBias = new Dictionary<int, float> { [1] = float.NegativeInfinity } }, Peaked));
    }

    [Fact]
    public void Repetition_penalty_counts_prompt_and_output_and_divides_or_multiplies()
    {
        SamplingOptions options = SamplingOptions.Greedy with { RepetitionPenalty = 2 };
        TokenSampler sampler = Sampler(options);
        Assert.Null(sampler.Start(prompt: [1], generated: [2]));

        // 3 becomes 1.5, 2 becomes 1: the best is now 1.5, and once more drawn it stays there.
        Assert.Equal(1, sampler.Sample(Peaked, 0).Token);
        Assert.Equal(3, sampler.Sample([-9, 1, 0.9f, 0.6f, -9, -9, -9, -9], 1).Token);
        Assert.Equal(4, sampler.Sample([-9, -1, -1, -1, -1.9f, -9, -9, -9], 2).Token);
    }

    [Fact]
    public void Frequency_and_presence_penalties_count_the_output_only()
    {
        TokenSampler frequency = Sampler(SamplingOptions.Greedy with { FrequencyPenalty = 0.4f });
        frequency.Start(prompt: [1, 1, 1], generated: [1, 1]);
        TokenSampler presence = Sampler(SamplingOptions.Greedy with { PresencePenalty = 0.9f });
        presence.Start(prompt: [1], generated: [1, 1]);

        Assert.Equal(1, frequency.Sample(Peaked, 0).Token);
        Assert.Equal(2, frequency.Sample(Peaked, 1).Token);
        Assert.Equal(1, presence.Sample(Peaked, 0).Token);
        Assert.Equal(1, presence.Sample(Peaked, 1).Token);
    }

    [Fact]
    public void End_and_stop_tokens_wait_for_min_new_tokens()
    {
        TokenSampler sampler = new(SamplingOptions.Greedy with { MinNewTokens = 3, StopTokenIds = [2, 500] }, new SamplerScratch(Vocab), [1], null);
        sampler.Start(prompt: [7], generated: [5]);

        Assert.Equal([0, 0, 1], Enumerable.Range(0, 3).Select(position => sampler.Sample(Peaked, position).Token));
        Assert.Equal(4, sampler.OutputCount);
    }

    [Fact]
    public void Log_probabilities_are_of_the_raw_logits()
    {
        double[] probabilities = Softmax(Peaked, 1);
        SamplingOptions options = new() { Temperature = 0.1f, ReturnLogprob = true, TopLogprobs = 3, LogitBias = new Dictionary<int, float> { [5] = 100 } };

        SampleOutcome outcome = Sampler(options).Sample(Peaked, 0);

        Assert.Equal(5, outcome.Token);
        Assert.Equal(Math.Log(probabilities[5]), outcome.Logprob, 1e-5);
        Assert.Equal([1, 2, 0], outcome.TopLogprobs!.Select(top => top.TokenId));
        Assert.All(outcome.TopLogprobs!, top => Assert.Equal(Math.Log(probabilities[top.TokenId]), top.Logprob, 1e-5));
    }

    [Theory]
    [InlineData(float.NaN, 0f, 1f)]
    [InlineData(float.NaN, 1f, 1f)]
    [InlineData(float.NaN, 1f, 1.5f)]
    [InlineData(float.PositiveInfinity, 0f, 1f)]
    [InlineData(float.PositiveInfinity, 1f, 1.5f)]
    public void A_logit_that_is_not_finite_is_reported_and_never_drawn(float bad, float temperature, float repetitionPenalty)
    {
        float[] logits = [.. Peaked];
        logits[6] = bad;

        SampleOutcome outcome = Sampler(new SamplingOptions { Temperature = temperature, RepetitionPenalty = repetitionPenalty }).Sample(logits, 0);

        Assert.Equal(SampleStatus.NotFinite, outcome.Status);
    }

    [Fact]
    public void A_constraint_redraws_among_what_it_allows_and_sees_every_token()
    {
        OnlyEven constraint = new();
        TokenSampler sampler = new(new SamplingOptions { Seed = 2 }, new SamplerScratch(Vocab), [], constraint);

        int[] drawn = [.. Enumerable.Range(0, 20_000).Select(position => sampler.Sample(Peaked, position).Token)];

        Assert.All(drawn, token => Assert.Equal(0, token % 2));
        Assert.Equal(drawn, constraint.Accepted);
        double[] expected = Softmax([.. Peaked.Select((logit, token) => token % 2 == 0 ? logit : float.NegativeInfinity)], 1);
        Assert.Equal(expected[2], drawn.Count(token => token == 2) / 20_000.0, 0.015);
    }

    [Fact]
    public void Nothing_allowed_is_an_outcome()
    {
        SamplingOptions all = SamplingOptions.Greedy with { LogitBias = Enumerable.Range(0, Vocab).ToDictionary(token => token, _ => float.NegativeInfinity) };
        SamplingOptions even = SamplingOptions.Greedy with { LogitBias = new[] { 0, 2, 4, 6 }.ToDictionary(token => token, _ => float.NegativeInfinity) };

        Assert.Equal(SampleStatus.NothingAllowed, Sampler(all).Sample(Peaked, 0).Status);
        Assert.Equal(SampleStatus.NothingAllowed, new TokenSampler(even, new SamplerScratch(Vocab), [], new OnlyEven()).Sample(Peaked, 0).Status);
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(Vocab)]
    public void Tokens_that_came_from_elsewhere_are_checked(int token)
    {
        Assert.Contains("vocabulary", Sampler(SamplingOptions.Greedy).Start([], [token]), StringComparison.Ordinal);
        Assert.Contains("vocabulary", Sampler(SamplingOptions.Greedy with { RepetitionPenalty = 2 }).Start([token], []), StringComparison.Ordinal);
        Assert.Contains("grammar", new TokenSampler(SamplingOptions.Greedy, new SamplerScratch(Vocab), [], new OnlyEven()).Start([], [3]), StringComparison.Ordinal);
    }

    [Fact]
    public void A_draw_without_log_probabilities_allocates_nothing()
    {
        TokenSampler[] samplers =
        [
            Sampler(SamplingOptions.Greedy),
            Sampler(new SamplingOptions { TopK = 5, TopP = 0.9f, MinP = 0.01f }),
            Sampler(new SamplingOptions { RepetitionPenalty = 1.2f, FrequencyPenalty = 0.1f, LogitBias = new Dictionary<int, float> { [3] = 1 }, MinNewTokens = 10_000 }),
        ];
        foreach (TokenSampler sampler in samplers)
        {
            for (int position = 0; position < 200; position++) sampler.Sample(Peaked, position);

            Assert.Equal(0, Allocations.PerWindow(() =>
            {
                for (int position = 0; position < 200; position++) sampler.Sample(Peaked, position);
            }));
        }
    }

    private static TokenSampler Sampler(SamplingOptions options) => new(options, new SamplerScratch(Vocab), [], null);

    private static int Draw(SamplingOptions options, float[] logits) => Sampler(options).Sample(logits, 0).Token;

    private static double[] Frequencies(SamplingOptions options, float[] logits)
    {
        TokenSampler sampler = Sampler(options);
        double[] counts = new double[Vocab];
        for (int position = 0; position < 20_000; position++) counts[sampler.Sample(logits, position).Token] += 1.0 / 20_000;
        return counts;
    }

    private static int[] Support(SamplingOptions options, float[] logits)
    {
        TokenSampler sampler = Sampler(options);
        return [.. Enumerable.Range(0, 5000).Select(position => sampler.Sample(logits, position).Token).Distinct().Order()];
    }

    private static double[] Softmax(float[] logits, float temperature)
    {
        double[] weights = [.. logits.Select(logit => Math.Exp(logit / temperature))];
        return [.. weights.Select(weight => weight / weights.Sum())];
    }

    private sealed class OnlyEven : ITokenConstraint
    {
        internal List<int> Accepted { get; } = [];

        public bool Allows(int token) => token % 2 == 0;

        public void Mask(Span<float> logits)
        {
            for (int token = 1; token < logits.Length; token += 2) logits[token] = float.NegativeInfinity;
        }

        public void Accept(int token)
        {
            Assert.True(Allows(token));
            Accepted.Add(token);
        }

        public void Dispose()
        {
        }
    }
}
