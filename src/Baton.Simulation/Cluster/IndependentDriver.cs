using Baton.Scheduling.Ranks;
using Baton.Simulation.Events;

namespace Baton.Simulation.Cluster;

/// <summary>One rank that steps on its own, as Baton's do.</summary>
/// <param name="slowDown">Factor on every step, for faults; 1 is normal.</param>
/// <param name="hasAlarm">False plants the bug that deadlines are never looked at.</param>
/// <param name="beforeTurn">Called before each turn: the oracle hands out work there.</param>
public sealed class IndependentDriver(EventLoop loop, IRank rank, Func<double> slowDown, bool hasAlarm = true, Action? beforeTurn = null) : IRankDriver
{
    private bool _isBusy;
    private bool _isCalled;
    private bool _isDead;
    private TimeSpan? _alarm;
    // Made once: a run has millions of turns.
    private Action? _called;
    private Action? _finish;

    public TimeSpan Busy { get; private set; }

    public void Wake()
    {
        if (_isBusy || _isCalled || _isDead) return;
        _isCalled = true;
        loop.Soon(_called ??= Called);
    }

    public bool IsBusy => _isBusy;

    public void Kill() => _isDead = true;

    private void Called()
    {
        _isCalled = false;
        Turn();
    }

    private void Turn()
    {
        if (_isBusy || _isDead) return;
        beforeTurn?.Invoke();
        if (rank.Begin(loop.Now))
        {
            _isBusy = true;
            TimeSpan step = rank.Elapsed * slowDown();
            Busy += step;
            loop.After(step, _finish ??= Finish);
        }
        else
        {
            SetAlarm();
        }
    }

    private void Finish()
    {
        if (_isDead) return;
        rank.End(loop.Now);
        _isBusy = false;
        Turn();
    }

    private void SetAlarm()
    {
        if (!hasAlarm || rank.NextDeadline is not { } deadline || deadline >= _alarm) return;
        _alarm = deadline;
        loop.At(deadline, () =>
        {
            if (_alarm == deadline) _alarm = null;
            Turn();
        });
    }
}
