using Baton.Simulation.Events;

namespace Baton.Simulation.Cluster;

/// <summary>Turns the cranks of ranks in virtual time: a step is two events, its beginning and its end.</summary>
/// <param name="slowDown">Factor on every step, for faults; 1 is normal.</param>
/// <param name="hasAlarm">False plants the bug that deadlines are never looked at.</param>
/// <param name="beforeTurn">Called before each turn: the oracle hands out work there.</param>
public abstract class RankDriver(EventLoop loop, Func<double> slowDown, bool hasAlarm, Action? beforeTurn)
{
    private bool _isCalled;
    private bool _isDead;
    private TimeSpan? _alarm;
    // Made once: a run has millions of turns.
    private Action? _called;
    private Action? _finish;

    /// <summary>Time in which its ranks were computing, summed over the ranks.</summary>
    public TimeSpan Busy { get; private set; }

    /// <summary>A step is under way: until its end nobody looks at deadlines.</summary>
    public bool IsBusy { get; private set; }

    /// <summary>There may be something to do at this instant.</summary>
    public void Wake()
    {
        if (IsBusy || _isCalled || _isDead) return;
        _isCalled = true;
        loop.Soon(_called ??= Called);
    }

    /// <summary>The process is gone: nothing turns any more.</summary>
    public void Kill() => _isDead = true;

    /// <summary>Begins the next step of the ranks; null when none has anything to do.</summary>
    protected abstract Step? Begin(TimeSpan now);

    /// <summary>Ends the step that was begun.</summary>
    protected abstract void End(TimeSpan now);

    /// <summary>When a rank has to look at its queues again; null when nothing waits.</summary>
    protected abstract TimeSpan? NextDeadline { get; }

    private void Called()
    {
        _isCalled = false;
        Turn();
    }

    private void Turn()
    {
        if (IsBusy || _isDead) return;
        beforeTurn?.Invoke();
        if (Begin(loop.Now) is { } step)
        {
            IsBusy = true;
            double slowness = slowDown();
            Busy += step.Computing * slowness;
            loop.After(step.Length * slowness, _finish ??= Finish);
        }
        else
        {
            SetAlarm();
        }
    }

    private void Finish()
    {
        if (_isDead) return;
        End(loop.Now);
        IsBusy = false;
        Turn();
    }

    private void SetAlarm()
    {
        if (!hasAlarm || NextDeadline is not { } due || due >= _alarm) return;
        _alarm = due;
        loop.At(due, () =>
        {
            if (_alarm == due) _alarm = null;
            Turn();
        });
    }

    /// <param name="Length">From its beginning to its end.</param>
    /// <param name="Computing">In which ranks compute, summed over the ranks.</param>
    protected readonly record struct Step(TimeSpan Length, TimeSpan Computing);
}
