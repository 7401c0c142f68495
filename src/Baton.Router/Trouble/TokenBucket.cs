namespace Baton.Router.Trouble;

/// <summary>Tokens that come back at a steady rate up to a size; each request takes one. Used under its owner's lock; time is an argument.</summary>
internal sealed class TokenBucket
{
    private readonly double _perSecond, _size;
    private double _tokens;
    private TimeSpan _at;

    public TokenBucket(double perSecond, double size) => (_perSecond, _size, _tokens) = (perSecond, size, size);

    /// <summary>Takes a token.</summary>
    /// <returns>Null when there was one; otherwise how long until there is.</returns>
    public TimeSpan? TryTake(TimeSpan now)
    {
        // The first call may come at any time on the clock: the bucket is full then anyway.
        _tokens = Math.Min(_size, _tokens + (now - _at).TotalSeconds * _perSecond);
        _at = now;
        if (_tokens < 1) return TimeSpan.FromSeconds((1 - _tokens) / _perSecond);
        _tokens--;
        return null;
    }

    /// <summary>The request was turned away for another reason.</summary>
    public void GiveBack() => _tokens = Math.Min(_size, _tokens + 1);
}
