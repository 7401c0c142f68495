using System.Runtime.CompilerServices;

namespace Baton.Core.Randomness;

/// <summary>SplitMix64: a small generator whose numbers depend on the seed alone, on every machine and runtime.</summary>
/// <remarks>
/// For routing choices, jitter, workloads and fault schedules; not for secrets. Not thread-safe: one owner. Steele, Lea and
/// Flood, "Fast Splittable Pseudorandom Number Generators" (OOPSLA 2014); constants of Vigna's public reference code.
/// </remarks>
public sealed class SeededRandom(ulong seed)
{
    private ulong _state = seed;

    public ulong NextUInt64()
    {
        _state += 0x9E3779B97F4A7C15;
        return Mix(_state);
    }

    /// <summary>Uniform in [0, 1), with 53 random bits.</summary>
    public double NextDouble() => (NextUInt64() >> 11) * (1.0 / (1UL << 53));

    /// <summary>Uniform in [0, <paramref name="bound"/>), without modulo bias worth measuring (Lemire's multiply-shift).</summary>
    public int NextInt32(int bound)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(bound);
        return (int)(((NextUInt64() >> 32) * (ulong)bound) >> 32);
    }

    /// <summary>Uniform in [<paramref name="low"/>, <paramref name="high"/>], both included.</summary>
    public int NextBetween(int low, int high)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(high, low);
        return low + NextInt32(high - low + 1);
    }

    /// <summary>Exponential with the given mean: the gap between Poisson arrivals.</summary>
    public double NextExponential(double mean) => -mean * Math.Log(1 - NextDouble());

    /// <summary>Standard normal (Box-Muller; one of the pair is thrown away so that the state has no hidden half).</summary>
    public double NextNormal()
    {
        double radius = Math.Sqrt(-2 * Math.Log(1 - NextDouble()));
        return radius * Math.Cos(2 * Math.PI * NextDouble());
    }

    public bool NextBool(double probability) => NextDouble() < probability;

    /// <summary>A generator of its own for one purpose, so that drawing more for one thing does not shift all others.</summary>
    public SeededRandom Fork(ulong purpose) => new(Mix(NextUInt64() ^ Mix(purpose)));

    /// <summary>The finaliser alone: a well-mixed function of 64 bits.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Mix(ulong z)
    {
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }
}
