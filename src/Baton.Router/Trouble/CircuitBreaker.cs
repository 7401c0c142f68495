namespace Baton.Router.Trouble;

/// <summary>0, 1 and 2 as <c>baton_worker_cb_state</c> reports them.</summary>
public enum BreakerState
{
    Closed = 0,
    Open = 1,
    HalfOpen = 2,
}

/// <summary>How one leg ended, as far as its worker is to blame.</summary>
public enum LegOutcome
{
    Success,
    /// <summary>Transport error, 5xx except a 503 that names a time to retry, a cut or stalled stream.</summary>
    Failure,
    /// <summary>Says nothing about the worker: cancelled by us, or a 4xx that the client earned.</summary>
    Neutral,
}

/// <summary>When a breaker opens and closes.</summary>
public sealed record BreakerOptions
{
    /// <summary>Failures in a row that open it.</summary>
    public int FailureThreshold { get; init; } = 10;
    /// <summary>Successes in a row that close it again.</summary>
    public int SuccessThreshold { get; init; } = 2;
    /// <summary>How long it stays open before one probe is let through.</summary>
    public TimeSpan OpenTime { get; init; } = TimeSpan.FromSeconds(15);
    /// <summary>The window of the failure ratio.</summary>
    public TimeSpan Window { get; init; } = TimeSpan.FromSeconds(60);
    /// <summary>Share of failures in the window that opens it as well, once there are <see cref="RatioMinimum"/> outcomes.</summary>
    public double FailureRatio { get; init; } = 0.5;
    public int RatioMinimum { get; init; } = 20;
    public bool IsEnabled { get; init; } = true;
}

/// <summary>Keeps requests away from a rank that keeps failing, and lets one probe at a time find out whether it recovered.</summary>
/// <remarks>Thread-safe; time is an argument. Open becomes half-open lazily, at the next look after the open time.</remarks>
/// <param name="moved">Hears each change of state, under the breaker's lock: it may store what it hears and must do nothing else.</param>
public sealed class CircuitBreaker(BreakerOptions options, Action<BreakerState>? moved = null)
{
    private const int Slots = 6;
    private readonly Lock _lock = new();
    private readonly int[] _good = new int[Slots];
    private readonly int[] _bad = new int[Slots];
    private readonly long[] _moves = new long[9];
    private readonly long[] _outcomes = new long[3];
    private long _slot;
    private int _failures, _successes;
    private bool _probing;
    private TimeSpan _openedAt;
    private volatile BreakerState _state;

    public BreakerState State => _state;

    /// <summary>Failures in a row that open it; the options' unless the worker has its own.</summary>
    public int FailureThreshold { get; set; } = options.FailureThreshold;

    /// <summary>When it failed last; the panic choice takes the one that failed longest ago.</summary>
    public TimeSpan LastFailure { get; private set; } = TimeSpan.MinValue;

    public int ConsecutiveFailures => Volatile.Read(ref _failures);

    /// <summary>Towards closing; 0 while closed.</summary>
    public int ConsecutiveSuccesses => Volatile.Read(ref _successes);

    /// <summary>The one probe of a half-open breaker is under way.</summary>
    public bool IsProbing => Volatile.Read(ref _probing);

    /// <summary>Moves between states since the start, those that happened.</summary>
    public IEnumerable<(BreakerState From, BreakerState To, long Count)> Moves
    {
        get
        {
            for (int i = 0; i < _moves.Length; i++)
                if (Volatile.Read(ref _moves[i]) is var count and > 0) yield return ((BreakerState)(i / 3), (BreakerState)(i % 3), count);
        }
    }

    /// <summary>Legs that ended so, since the start.</summary>
    public long Count(LegOutcome outcome) => Volatile.Read(ref _outcomes[(int)outcome]);

    /// <summary>Whether a request may go there now. Does not reserve the probe: see <see cref="Begin"/>.</summary>
    public bool Admits(TimeSpan now)
    {
        if (!options.IsEnabled) return true;
        lock (_lock)
        {
            if (_state == BreakerState.Open && now - _openedAt >= options.OpenTime) Move(BreakerState.HalfOpen);
            return _state switch
            {
                BreakerState.Closed => true,
                BreakerState.HalfOpen => !_probing,
                _ => false,
            };
        }
    }

    /// <summary>A request goes there. In half-open it is the probe.</summary>
    /// <returns>Whether this request is the probe; hand it to <see cref="End"/>.</returns>
    public bool Begin()
    {
        lock (_lock)
        {
            if (_state != BreakerState.HalfOpen || _probing) return false;
            return _probing = true;
        }
    }

    public void End(LegOutcome outcome, bool wasProbe, TimeSpan now)
    {
        if (!options.IsEnabled) return;
        lock (_lock)
        {
            if (wasProbe) _probing = false;
            _outcomes[(int)outcome]++;
            if (outcome == LegOutcome.Neutral) return;
            Count(outcome == LegOutcome.Failure, now);
            if (outcome == LegOutcome.Failure) Failed(now);
            else Succeeded();
        }
    }

    /// <summary>Forgets everything: the process behind the URL was replaced.</summary>
    public void Reset()
    {
        lock (_lock)
        {
            Array.Clear(_good);
            Array.Clear(_bad);
            (_failures, _successes, _probing) = (0, 0, false);
            if (_state != BreakerState.Closed) Move(BreakerState.Closed);
        }
    }

    private void Failed(TimeSpan now)
    {
        LastFailure = now;
        _successes = 0;
        _failures++;
        bool opens = _state == BreakerState.HalfOpen || (_state == BreakerState.Closed && (_failures >= FailureThreshold || RatioIsBad()));
        if (!opens) return;
        _openedAt = now;
        Move(BreakerState.Open);
    }

    private void Succeeded()
    {
        _failures = 0;
        // A success of a request that was under way when the breaker opened proves as much as a probe's.
        if (_state == BreakerState.Closed || ++_successes < options.SuccessThreshold) return;
        Array.Clear(_bad);
        Array.Clear(_good);
        Move(BreakerState.Closed);
    }

    private void Move(BreakerState to)
    {
        _moves[(int)_state * 3 + (int)to]++;
        _state = to;
        moved?.Invoke(to);
        _successes = 0;
        _probing = false;
    }

    private bool RatioIsBad()
    {
        int bad = _bad.Sum(), all = bad + _good.Sum();
        return all >= options.RatioMinimum && bad >= all * options.FailureRatio;
    }

    private void Count(bool failed, TimeSpan now)
    {
        long slot = now.Ticks / Math.Max(1, options.Window.Ticks / Slots);
        for (long passed = Math.Max(_slot + 1, slot - Slots + 1); passed <= slot; passed++) _good[passed % Slots] = _bad[passed % Slots] = 0;
        _slot = Math.Max(_slot, slot);
        (failed ? _bad : _good)[_slot % Slots]++;
    }
}
