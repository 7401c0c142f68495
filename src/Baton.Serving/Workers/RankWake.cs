namespace Baton.Serving.Workers;

/// <summary>Ends a rank thread's sleep. Made before the rank, because inbox and KV links need it at their construction.</summary>
public sealed class RankWake : IDisposable
{
    private readonly AutoResetEvent _event = new(false);

    /// <summary>From any thread, also when the rank's thread has ended.</summary>
    public void Set()
    {
        try
        {
            _event.Set();
        }
        catch (ObjectDisposedException)
        {
            // A link or a timer that comes after the end wakes nobody.
        }
    }

    public void Wait(TimeSpan longest) => _event.WaitOne(longest);

    public void Dispose() => _event.Dispose();
}
