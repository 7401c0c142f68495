namespace Baton.Cli.Supervision;

/// <summary>Where one child process of <c>baton up</c> stands.</summary>
internal enum ChildState
{
    /// <summary>Never started yet, or waiting for its next start.</summary>
    Waiting,
    /// <summary>The process runs and does not answer yet.</summary>
    Starting,
    /// <summary>It answers on its health route.</summary>
    Ready,
    /// <summary>It was given up: it ended too often before it was ever ready.</summary>
    GivenUp,
    /// <summary>It was stopped on purpose.</summary>
    Stopped,
}

/// <summary>How often and how soon a child that ended is started again.</summary>
internal sealed record RestartOptions
{
    public TimeSpan FirstDelay { get; init; } = TimeSpan.FromMilliseconds(500);
    /// <summary>The delay doubles with each failure in a row, up to this.</summary>
    public TimeSpan LargestDelay { get; init; } = TimeSpan.FromSeconds(30);
    /// <summary>A child that was ready for so long has no past: its next failure counts as the first.</summary>
    public TimeSpan HealthyAfter { get; init; } = TimeSpan.FromMinutes(1);
    /// <summary>Starts of a child that was never ready. It is then given up, since a wrong flag or model will not mend itself.</summary>
    public int StartAttempts { get; init; } = 3;
}

/// <summary>Decides when a child is started again. Owns nothing but its own numbers; the time is an argument.</summary>
internal sealed class ChildLifecycle(RestartOptions options)
{
    private TimeSpan _readyAt;
    private bool _wasEverReady;

    public ChildState State { get; private set; } = ChildState.Waiting;

    /// <summary>Ends without a healthy stretch between them.</summary>
    public int FailuresInARow { get; private set; }

    public void Started() => Move(ChildState.Waiting, ChildState.Starting);

    public void BecameReady(TimeSpan now)
    {
        Move(ChildState.Starting, ChildState.Ready);
        _readyAt = now;
        _wasEverReady = true;
    }

    /// <summary>The process ended although nobody asked it to.</summary>
    /// <param name="exitCode">A refused command line is refused again, so it is not tried again.</param>
    /// <returns>How long to wait before the next start; null: it is given up.</returns>
    public TimeSpan? Ended(int exitCode, TimeSpan now)
    {
        if (State == ChildState.Ready && now - _readyAt >= options.HealthyAfter) FailuresInARow = 0;
        FailuresInARow++;
        if (exitCode == ExitCodes.BadArguments || (!_wasEverReady && FailuresInARow >= options.StartAttempts))
        {
            State = ChildState.GivenUp;
            return null;
        }

        State = ChildState.Waiting;
        return Delay();
    }

    public void Stopped() => State = ChildState.Stopped;

    private TimeSpan Delay()
    {
        // A shift by more than 20 would say weeks anyway; the bound keeps the multiplication from overflowing.
        TimeSpan doubled = options.FirstDelay * (1L << Math.Min(FailuresInARow - 1, 20));
        return doubled < options.LargestDelay ? doubled : options.LargestDelay;
    }

    private void Move(ChildState from, ChildState to)
    {
        if (State != from) throw new InvalidOperationException($"A child cannot become {to} while it is {State}.");
        State = to;
    }
}
