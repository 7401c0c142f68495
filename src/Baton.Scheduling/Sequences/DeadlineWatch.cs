namespace Baton.Scheduling.Sequences;

/// <summary>The earliest deadline of a set, so that a step without one due walks no queue.</summary>
internal sealed class DeadlineWatch
{
    /// <summary>No deadline is earlier. It may have been moved or met since: then one walk finds the next.</summary>
    public TimeSpan? Next { get; private set; }

    public bool IsDue(TimeSpan now) => Next is { } next && now >= next;

    public void Watch(TimeSpan deadline)
    {
        if (Next is not { } next || deadline < next) Next = deadline;
    }

    /// <summary>Before a walk that calls <see cref="Watch"/> for everything that still waits.</summary>
    public void Restart() => Next = null;
}
