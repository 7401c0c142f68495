namespace Baton.Core.Engine;

/// <summary>One context of a model: libllama, or a cost model. Owned by one rank; every call but <see cref="Interrupt"/> on its thread.</summary>
public interface IEngine : IDisposable
{
    EngineInfo Info { get; }

    /// <summary>Does one step: the lists of <paramref name="plan"/> in the order in which it declares them.</summary>
    /// <param name="plan">Decided by a scheduler. The engine takes over the payloads of <see cref="StepPlan.Imports"/>.</param>
    /// <param name="result">Cleared and filled. Its exported buffers belong to the caller.</param>
    /// <remarks>
    /// A failure of one sequence (NaN logits, refused import) is a <see cref="SequenceFailure"/>; the others go on.
    /// </remarks>
    /// <exception cref="EngineException">The context itself is broken; the rank ends.</exception>
    void Execute(StepPlan plan, StepResult result);

    /// <summary>From any thread: makes a running <see cref="Execute"/> come back soon with <see cref="StepResult.WasInterrupted"/>. For shutdown.</summary>
    void Interrupt();
}

/// <summary>The engine cannot go on, or could not start.</summary>
public sealed class EngineException : Exception
{
    public EngineException(string message) : base(message)
    {
    }

    public EngineException(string message, Exception inner) : base(message, inner)
    {
    }
}
