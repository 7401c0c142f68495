namespace Baton.Simulation.Capacity;

/// <summary>How many ranks serve each phase: workers times ranks of one.</summary>
public readonly record struct Split(int PrefillWorkers, int PrefillDpSize, int DecodeWorkers, int DecodeDpSize)
{
    public int PrefillRanks => PrefillWorkers * PrefillDpSize;

    public int DecodeRanks => DecodeWorkers * DecodeDpSize;

    public int Ranks => PrefillRanks + DecodeRanks;

    /// <summary>So many ranks in as few workers as <paramref name="maxDpSize"/> allows.</summary>
    /// <exception cref="ArgumentException">A side that <see cref="CanBuild"/> refuses.</exception>
    public static Split Of(int prefillRanks, int decodeRanks, int maxDpSize)
    {
        (int prefillWorkers, int decodeWorkers) = (Workers(prefillRanks, maxDpSize), Workers(decodeRanks, maxDpSize));
        if (!CanBuild(prefillRanks, maxDpSize) || !CanBuild(decodeRanks, maxDpSize)) throw new ArgumentException($"{prefillRanks}:{decodeRanks} ranks do not fill workers of one size up to {maxDpSize}.");
        return new Split(prefillWorkers, prefillRanks / prefillWorkers, decodeWorkers, decodeRanks / decodeWorkers);
    }

    /// <summary>All workers of a side have the same dp size, so 9 ranks at a limit of 8 are none: 10 are, as two workers of 5.</summary>
    public static bool CanBuild(int ranks, int maxDpSize) => ranks % Workers(ranks, maxDpSize) == 0;

    /// <summary>The next count of ranks from <paramref name="ranks"/> on that fills workers of one size.</summary>
    public static int RoundUp(int ranks, int maxDpSize)
    {
        while (!CanBuild(ranks, maxDpSize)) ranks++;
        return ranks;
    }

    /// <summary><c>2P1D, dp 4 and 8</c>.</summary>
    public override string ToString() => $"{PrefillWorkers}P{DecodeWorkers}D, dp {PrefillDpSize} and {DecodeDpSize}";

    private static int Workers(int ranks, int maxDpSize) => (ranks + maxDpSize - 1) / maxDpSize;
}
