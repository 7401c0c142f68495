namespace Baton.Router.Workers;

/// <summary>The prompts that this router has waiting at one rank, oldest first, and how far the first of them is.</summary>
/// <remarks>
/// Nobody tells a router how far a prompt is computed, and a long one that is nearly done is little work. So it is estimated: a rank
/// computes one prompt after the other, about as fast as the last ones, and the first in line since the one before it ended. Thread-safe.
/// </remarks>
/// <param name="speed">Of all ranks of the worker: they are of one kind, and single prompts say little.</param>
public sealed class PromptLine(PromptSpeed speed)
{
    private readonly Lock _lock = new();
    private readonly List<int> _waiting = [];
    private long _tokens;
    private long _headTokens;
    private long _headSinceTicks;
    private long _lastEndTicks;

    /// <summary>Tokens of all prompts in the line.</summary>
    public long Tokens => Interlocked.Read(ref _tokens);

    /// <summary>When the first in line became the first, by the ends that this router saw.</summary>
    public TimeSpan HeadSince => new(Interlocked.Read(ref _headSinceTicks));

    /// <summary>What is probably left to compute: the first in line counts less the longer it is at it, and never less than nothing.</summary>
    public double RemainingTokens(TimeSpan now)
    {
        double progress = Math.Max(0, (now - HeadSince).TotalSeconds) * speed.TokensPerSecond;
        return Math.Max(0, Tokens - Math.Min(progress, Interlocked.Read(ref _headTokens)));
    }

    public void Add(int tokens, TimeSpan now)
    {
        lock (_lock)
        {
            _waiting.Add(tokens);
            Interlocked.Add(ref _tokens, tokens);
            if (_waiting.Count > 1) return;
            _lastEndTicks = now.Ticks;
            Lead(now);
        }
    }

    /// <summary>A prompt of so many tokens is computed, or nobody waits for it any more.</summary>
    /// <param name="isComputed">It says something about the rank's speed.</param>
    public void Remove(int tokens, TimeSpan now, bool isComputed)
    {
        lock (_lock)
        {
            int at = _waiting.IndexOf(tokens);
            if (at < 0) return;
            _waiting.RemoveAt(at);
            Interlocked.Add(ref _tokens, -tokens);
            if (isComputed) speed.Ended(tokens, now - new TimeSpan(_lastEndTicks));
            _lastEndTicks = now.Ticks;
            if (at == 0) Lead(now);
        }
    }

    private void Lead(TimeSpan now)
    {
        Interlocked.Exchange(ref _headTokens, _waiting.Count > 0 ? _waiting[0] : 0);
        Interlocked.Exchange(ref _headSinceTicks, now.Ticks);
    }
}
