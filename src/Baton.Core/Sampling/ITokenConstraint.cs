namespace Baton.Core.Sampling;

/// <summary>Which token may come next, given those before: a grammar in the engine. Owned by one sequence; used on its rank's thread.</summary>
public interface ITokenConstraint : IDisposable
{
    bool Allows(int token);

    /// <summary>Sets the logit of every forbidden token to negative infinity. Costs as much as the vocabulary is large, so it comes after <see cref="Allows"/> said no.</summary>
    void Mask(Span<float> logits);

    /// <summary>Moves on. Only with a token that <see cref="Allows"/> accepted: llama.cpp ends the process otherwise.</summary>
    void Accept(int token);
}
