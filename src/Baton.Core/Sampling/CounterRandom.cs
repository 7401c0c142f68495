namespace Baton.Core.Sampling;

/// <summary>Random bits that depend on a seed and a position only: nothing has to be carried from where one token was drawn to where the next is.</summary>
public static class CounterRandom
{
    /// <summary>Uniform in [0, 1).</summary>
    /// <param name="stream">Independent draws for the same position have different streams.</param>
    public static double Uniform(ulong seed, int position, int stream = 0)
    {
        // Two rounds of splitmix64's finisher, so that neighbouring seeds and positions have nothing in common.
        ulong counter = ((ulong)(uint)stream << 32) | (uint)position;
        ulong bits = Mix(Mix(seed + 0x9E3779B97F4A7C15) ^ (counter * 0xD1342543DE82EF95));
        return (bits >> 11) * (1.0 / (1UL << 53));
    }

    private static ulong Mix(ulong value)
    {
        value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9;
        value = (value ^ (value >> 27)) * 0x94D049BB133111EB;
        return value ^ (value >> 31);
    }
}
