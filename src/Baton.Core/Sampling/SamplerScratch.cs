namespace Baton.Core.Sampling;

/// <summary>Working memory of the size of the vocabulary, shared by the samplers of one rank: they run one after the other.</summary>
public sealed class SamplerScratch
{
    public SamplerScratch(int vocabSize)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(vocabSize);
        Logits = new float[vocabSize];
        Weights = new float[vocabSize];
        Keys = new ulong[vocabSize];
    }

    public int VocabSize => Logits.Length;

    /// <summary>Logits after bias, penalties and masks.</summary>
    internal float[] Logits { get; }

    /// <summary>exp((logit - largest) / temperature): probabilities up to a factor.</summary>
    internal float[] Weights { get; }

    /// <summary>See <see cref="RankedTokens"/>.</summary>
    internal ulong[] Keys { get; }
}
