namespace Baton.Simulation.Clock;

/// <summary>A clock that moves only when it is told to. Timers fire in order of their due time, then of their creation, on the caller's thread.</summary>
/// <param name="guard">Called before a timer is set, so that an owner of the clock can see who sets timers.</param>
public sealed class VirtualTimeProvider(Action? guard = null) : TimeProvider
{
    private static readonly DateTimeOffset Epoch = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);
    private readonly Lock _lock = new();
    private readonly PriorityQueue<VirtualTimer, (TimeSpan Due, long Order)> _timers = new();
    private TimeSpan _now;
    private long _created;

    /// <summary>Time since the clock was made.</summary>
    public TimeSpan Now
    {
        get
        {
            lock (_lock) return _now;
        }
    }

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override long GetTimestamp() => Now.Ticks;

    public override DateTimeOffset GetUtcNow() => Epoch + Now;

    /// <summary>Moves the clock forward, stopping at each timer on the way so that it sees its own due time.</summary>
    public void Advance(TimeSpan by)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(by, TimeSpan.Zero);
        AdvanceTo(Now + by);
    }

    /// <summary>Moves the clock to <paramref name="target"/>; timers due by then fire.</summary>
    public void AdvanceTo(TimeSpan target)
    {
        while (TakeDue(target) is { } timer) timer.Fire();
    }

    /// <summary>When the next timer is due, or null when none is set.</summary>
    public TimeSpan? NextDue
    {
        get
        {
            lock (_lock)
            {
                DropCancelled();
                return _timers.TryPeek(out _, out (TimeSpan Due, long) key) ? key.Due : null;
            }
        }
    }

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        VirtualTimer timer = new(this, callback, state);
        timer.Change(dueTime, period);
        return timer;
    }

    private void Guard() => guard?.Invoke();

    private VirtualTimer? TakeDue(TimeSpan target)
    {
        lock (_lock)
        {
            DropCancelled();
            if (!_timers.TryPeek(out VirtualTimer? timer, out (TimeSpan Due, long) key) || key.Due > target)
            {
                if (target > _now) _now = target;
                return null;
            }
            _timers.Dequeue();
            if (key.Due > _now) _now = key.Due;
            timer.Armed = null;
            if (timer.Period > TimeSpan.Zero) Arm(timer, timer.Period);
            return timer;
        }
    }

    private void DropCancelled()
    {
        while (_timers.TryPeek(out VirtualTimer? timer, out (TimeSpan, long) key) && timer.Armed != key) _timers.Dequeue();
    }

    private void Arm(VirtualTimer timer, TimeSpan delay)
    {
        timer.Armed = (_now + delay, _created++);
        _timers.Enqueue(timer, timer.Armed.Value);
    }

    private sealed class VirtualTimer(VirtualTimeProvider clock, TimerCallback callback, object? state) : ITimer
    {
        /// <summary>Key of the one queue entry that still counts; null when the timer is not set.</summary>
        public (TimeSpan Due, long Order)? Armed { get; set; }

        public TimeSpan Period { get; private set; }

        public void Fire() => callback(state);

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            clock.Guard();
            lock (clock._lock)
            {
                Armed = null;
                Period = period == Timeout.InfiniteTimeSpan ? TimeSpan.Zero : period;
                if (dueTime != Timeout.InfiniteTimeSpan) clock.Arm(this, dueTime);
                return true;
            }
        }

        public void Dispose()
        {
            lock (clock._lock) Armed = null;
        }

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
