using System.Numerics;

namespace Baton.Simulation.Figures;

/// <summary>Gaps between tokens, counted in buckets that are 1/64 of their value wide: a run has millions of them and only percentiles are asked for.</summary>
public sealed class GapHistogram
{
    private const int SubBits = 6;
    // Microseconds up to 2^40 (12 days) in 64 steps an octave.
    private readonly long[] _counts = new long[(40 - SubBits + 2) << SubBits];

    public long Count { get; private set; }

    public void Add(TimeSpan gap)
    {
        long microseconds = Math.Clamp(gap.Ticks / TimeSpan.TicksPerMicrosecond, 0, (1L << 40) - 1);
        _counts[IndexOf(microseconds)]++;
        Count++;
    }

    public void Add(GapHistogram other)
    {
        for (int i = 0; i < _counts.Length; i++) _counts[i] += other._counts[i];
        Count += other.Count;
    }

    /// <summary>Upper end of the bucket that holds this share of all gaps, in milliseconds; NaN when there are none.</summary>
    public double PercentileMs(double share)
    {
        if (Count == 0) return double.NaN;
        long wanted = Math.Max(1, (long)Math.Ceiling(share * Count));
        int i = 0;
        for (long seen = _counts[0]; seen < wanted; seen += _counts[i]) i++;
        return UpperEnd(i) / 1000.0;
    }

    private static int IndexOf(long value)
    {
        if (value < 1 << SubBits) return (int)value;
        int octave = BitOperations.Log2((ulong)value) - SubBits;
        return ((octave + 1) << SubBits) + (int)((value >> octave) - (1 << SubBits));
    }

    private static long UpperEnd(int index)
    {
        if (index < 1 << SubBits) return index;
        int octave = (index >> SubBits) - 1;
        long low = (long)((index & ((1 << SubBits) - 1)) + (1 << SubBits)) << octave;
        return low + (1L << octave) - 1;
    }
}
