namespace Baton.Router.Workers;

/// <summary>How fast the ranks of one worker compute prompts, by the ends that this router saw. Thread-safe.</summary>
public sealed class PromptSpeed
{
    /// <summary>What an ended prompt still counts for when the next one ends: about fifty of them decide.</summary>
    private const double Memory = 0.98;

    private readonly Lock _lock = new();
    private double _tokens;
    private double _seconds;
    private double _tokensPerSecond;

    /// <summary>Of one rank; 0 until a prompt has ended.</summary>
    public double TokensPerSecond => Volatile.Read(ref _tokensPerSecond);

    /// <param name="busy">Since the prompt before it ended, or since it was sent to an idle rank.</param>
    public void Ended(int tokens, TimeSpan busy)
    {
        lock (_lock)
        {
            _tokens = (_tokens * Memory) + tokens;
            _seconds = (_seconds * Memory) + Math.Max(0, busy.TotalSeconds);
            // Prompts that share a step end together: the first has all the time, the others none.
            if (_seconds > 0) Volatile.Write(ref _tokensPerSecond, _tokens / _seconds);
        }
    }
}
