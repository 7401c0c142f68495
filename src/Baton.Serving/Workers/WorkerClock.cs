namespace Baton.Serving.Workers;

/// <summary>Time since the worker started: what ranks, deadlines and <c>e2e_latency</c> count in.</summary>
public sealed class WorkerClock(TimeProvider time)
{
    private readonly long _start = time.GetTimestamp();

    public TimeProvider Time { get; } = time;

    public TimeSpan Now => Time.GetElapsedTime(_start);

    /// <summary>For <c>created</c> fields, in seconds since 1970.</summary>
    public long UnixSeconds => Time.GetUtcNow().ToUnixTimeSeconds();
}
