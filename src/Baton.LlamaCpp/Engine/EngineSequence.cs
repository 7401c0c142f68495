using Baton.Core.Sampling;

namespace Baton.LlamaCpp.Engine;

/// <summary>One slot of the scheduler, as the engine sees it.</summary>
internal sealed class EngineSequence
{
    /// <summary>Positions [0, Length) are in the cache.</summary>
    internal int Length { get; set; }

    /// <summary>Length after this step's batch, if it succeeds.</summary>
    internal int PlannedLength { get; set; }

    internal TokenSampler? Sampler { get; set; }

    /// <summary>For input log probabilities: the token after each position.</summary>
    internal ReadOnlyMemory<int> Prompt { get; set; }

    /// <summary>The last step in which it failed: the rest of that step passes it over.</summary>
    internal long FailedAtStep { get; set; } = -1;

    internal void Reset()
    {
        Sampler?.Dispose();
        (Sampler, Prompt, Length, PlannedLength) = (null, default, 0, 0);
    }
}
