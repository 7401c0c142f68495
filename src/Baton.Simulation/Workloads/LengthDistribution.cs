using Baton.Core.Randomness;

namespace Baton.Simulation.Workloads;

/// <summary>How many tokens a prompt or an answer has. At least one.</summary>
public abstract record LengthDistribution
{
    public abstract int Draw(SeededRandom random);

    public sealed record Fixed(int Tokens) : LengthDistribution
    {
        public override int Draw(SeededRandom random) => Tokens;

        public override string ToString() => $"{Tokens}";
    }

    /// <summary>Both ends included, as in bench_serving's <c>--random-range-ratio</c>.</summary>
    public sealed record Uniform(int LowTokens, int HighTokens) : LengthDistribution
    {
        public override int Draw(SeededRandom random) => random.NextBetween(LowTokens, HighTokens);

        public override string ToString() => $"uniform {LowTokens}..{HighTokens}";
    }

    /// <summary>Log-normal with the given arithmetic mean, cut to [1, <paramref name="MaxTokens"/>].</summary>
    /// <param name="Sigma">Standard deviation of the logarithm: 0.5 is mild, 1 is what chat traces look like.</param>
    public sealed record LogNormal(double MeanTokens, double Sigma, int MaxTokens) : LengthDistribution
    {
        public override int Draw(SeededRandom random)
        {
            double mu = Math.Log(MeanTokens) - Sigma * Sigma / 2;
            return (int)Math.Clamp(Math.Round(Math.Exp(mu + Sigma * random.NextNormal())), 1, MaxTokens);
        }

        public override string ToString() => $"log-normal mean {MeanTokens} sigma {Sigma}";
    }
}
