namespace Baton.Bench.Load;

/// <summary>Time since the run began, on the provider's monotonic clock.</summary>
public sealed class RunClock(TimeProvider time)
{
    private readonly long _start = time.GetTimestamp();

    public TimeProvider Provider => time;

    public TimeSpan Now => time.GetElapsedTime(_start);
}
