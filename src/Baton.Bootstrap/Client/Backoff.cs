namespace Baton.Bootstrap.Client;

/// <summary>Doubles the pause from a floor to a ceiling, and takes up to a quarter off at random so that workers do not march in step.</summary>
/// <param name="random">Seeded by the owner; calls are made under its lock.</param>
internal sealed class Backoff(TimeSpan floor, TimeSpan ceiling, Random random, Lock randomLock)
{
    private TimeSpan? _next;

    public void Reset() => _next = null;

    public TimeSpan Next()
    {
        TimeSpan pause = _next ?? floor;
        _next = pause * 2 < ceiling ? pause * 2 : ceiling;
        double jittered;
        lock (randomLock) jittered = pause.TotalMilliseconds * (1 - (0.25 * random.NextDouble()));
        // Task.Delay cuts to whole milliseconds, and a pause of none is no pause.
        return TimeSpan.FromMilliseconds(Math.Ceiling(jittered));
    }
}
