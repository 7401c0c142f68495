using System.Globalization;
using Baton.Core.Randomness;

namespace Baton.Simulation.Workloads;

/// <summary>How many tokens a prompt or an answer has. At least one.</summary>
public abstract record LengthDistribution
{
    /// <summary>What a log-normal length is cut to when nothing else is said.</summary>
    public const int DefaultLongest = 32_768;

    public abstract int Draw(SeededRandom random);

    /// <summary>Reads <c>3500</c>, <c>uniform:100,4000</c> (both included) or <c>log-normal:3500,0.8</c> (arithmetic mean, sigma of the logarithm; a third number is the longest).</summary>
    /// <exception cref="FormatException">Another form, or numbers that make no sense; the text says which form is expected.</exception>
    public static LengthDistribution Parse(string text)
    {
        string[] parts = text.Split(':', 2);
        string kind = parts.Length == 1 ? "fixed" : parts[0];
        string[] numbers = parts[^1].Split(',', StringSplitOptions.TrimEntries);
        return (kind, numbers.Length) switch
        {
            ("fixed", 1) => new Fixed(ReadTokens(text, numbers[0])),
            ("uniform", 2) when ReadTokens(text, numbers[0]) <= ReadTokens(text, numbers[1]) => new Uniform(ReadTokens(text, numbers[0]), ReadTokens(text, numbers[1])),
            ("log-normal", 2) => new LogNormal(ReadTokens(text, numbers[0]), ReadSigma(text, numbers[1]), DefaultLongest),
            ("log-normal", 3) => new LogNormal(ReadTokens(text, numbers[0]), ReadSigma(text, numbers[1]), ReadTokens(text, numbers[2])),
            _ => throw Wrong(text),
        };
    }

    private static int ReadTokens(string text, string number) =>
        int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out int tokens) && tokens > 0 ? tokens : throw Wrong(text);

    private static double ReadSigma(string text, string number) =>
        double.TryParse(number, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double sigma) && sigma is > 0 and < 5 ? sigma : throw Wrong(text);

    private static FormatException Wrong(string text) =>
        new($"Length \"{text}\" is none of: a number of tokens above 0, uniform:LOW,HIGH with LOW <= HIGH, log-normal:MEAN,SIGMA[,LONGEST] with a sigma in (0, 5).");

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
