namespace Baton.Router.Workers;

/// <summary>What one worker has otherwise than the router's flags say; null is as the flags say.</summary>
public sealed record WorkerTuning
{
    public static readonly WorkerTuning None = new();

    /// <summary>Between two checks while it is ready.</summary>
    public TimeSpan? HealthCheckInterval { get; init; }

    /// <summary>When it is removed it stays as draining for at least this long, also with nothing running.</summary>
    public TimeSpan? DrainSettle { get; init; }

    /// <summary>Attempts in all, the first included, of a request that failed here.</summary>
    public int? MaxAttempts { get; init; }

    /// <summary>Failures in a row that open a breaker here.</summary>
    public int? BreakerThreshold { get; init; }

    /// <summary>A request that failed here is not tried again.</summary>
    public bool IsRetryDisabled { get; init; }
}
