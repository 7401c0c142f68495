namespace Baton.Router.Rooms;

/// <summary>A seeded source of random bits that many threads may draw from without a lock (SplitMix64 over an atomic counter).</summary>
/// <remarks>One thread sees the same numbers for the same seed; with several, the set of numbers is the same and who gets which is not.</remarks>
public sealed class RouterRandom(ulong seed)
{
    private const ulong Step = 0x9E3779B97F4A7C15;
    private ulong _state = seed;

    public ulong Next()
    {
        ulong z = Interlocked.Add(ref _state, Step);
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }

    /// <summary>Uniform in [0, <paramref name="bound"/>), without the bias of a plain remainder.</summary>
    public ulong NextBelow(ulong bound)
    {
        ArgumentOutOfRangeException.ThrowIfZero(bound);
        while (true)
        {
            UInt128 product = (UInt128)Next() * bound;
            // Lemire: the low half is too small only for the few draws that would be counted twice.
            if ((ulong)product >= (0 - bound) % bound) return (ulong)(product >> 64);
        }
    }

    public int NextBelow(int bound) => (int)NextBelow((ulong)bound);

    /// <summary>Uniform in [0, 1).</summary>
    public double NextDouble() => (Next() >> 11) * (1.0 / (1UL << 53));
}
