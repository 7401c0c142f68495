using Baton.Core.Randomness;
using Baton.Core.Requests;

namespace Baton.Core.Engine.Simulated;

/// <summary>Cells and sampler of one sequence of a <see cref="SimulatedEngine"/>. Reused, so that a steady run allocates nothing.</summary>
internal sealed class SimulatedSequence
{
    public List<(ulong Key, ulong Value)> Cells { get; } = [];

    /// <summary>Hash over all cells in their order.</summary>
    public ulong Digest { get; set; }

    public SamplingOptions? Sampling { get; set; }

    public int DrawnTokens { get; set; }

    public void Add(ulong key, ulong value)
    {
        Cells.Add((key, value));
        Digest = SeededRandom.Mix(Digest * 31 + SeededRandom.Mix(key ^ SeededRandom.Mix(value)));
    }

    public void Clear()
    {
        Cells.Clear();
        (Digest, Sampling, DrawnTokens) = (0, null, 0);
    }
}
