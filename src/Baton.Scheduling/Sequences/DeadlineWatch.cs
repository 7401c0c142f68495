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

    /// <summary>Walks over all of them: those whose deadline has come, in order; the others are watched on. For when one <see cref="IsDue"/>.</summary>
    /// <param name="deadlineOf">Null: it waits for nothing.</param>
    public List<T> TakeOverdue<T>(IEnumerable<T> sequences, Func<T, TimeSpan?> deadlineOf, TimeSpan now)
    {
        Next = null;
        List<T> overdue = [];
        foreach (T sequence in sequences)
        {
            if (deadlineOf(sequence) is not { } deadline) continue;
            if (now >= deadline) overdue.Add(sequence);
            else Watch(deadline);
        }
        return overdue;
    }
}
