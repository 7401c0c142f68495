namespace Baton.Simulation.Ttft;

/// <summary>What the prefill side of the experiment costs.</summary>
/// <param name="SecondsPerPrompt">A prompt of 3,500 tokens on one rank; other lengths in proportion.</param>
/// <param name="SecondsPerStep">Each step, whatever is in it.</param>
/// <param name="PromptsPerStep">Prompts of 3,500 tokens that one rank may put into one lockstep step.</param>
public sealed record PrefillCost(double SecondsPerPrompt, double SecondsPerStep, int PromptsPerStep)
{
    /// <summary>Round figures near those that explain the published baseline; <c>--fit published</c> searches for better ones (docs/simulation.md).</summary>
    public static readonly PrefillCost Published = new(0.85, 0.3, 11);
}
