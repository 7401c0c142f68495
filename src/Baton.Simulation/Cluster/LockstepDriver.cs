using Baton.Scheduling.Ranks;
using Baton.Simulation.Events;

namespace Baton.Simulation.Cluster;

/// <summary>Ranks that step together: a step takes as long as its fullest rank, and whoever comes meanwhile waits for the next.</summary>
/// <param name="hasAlarm">See <see cref="IndependentDriver"/>.</param>
/// <remarks>Attention data parallelism as SGLang runs it: a rank without work computes an idle batch along with the others.</remarks>
public sealed class LockstepDriver(EventLoop loop, IReadOnlyList<IRank> ranks, Func<double> slowDown, bool hasAlarm = true, Action? beforeTurn = null) : IRankDriver
{
    private readonly bool[] _hasBegun = new bool[ranks.Count];
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
        TimeSpan longest = TimeSpan.Zero;
        for (int i = 0; i < ranks.Count; i++)
        {
            _hasBegun[i] = BeginStep(ranks[i]);
            if (!_hasBegun[i]) continue;
            _isBusy = true;
            Busy += ranks[i].Elapsed * slowDown();
            if (ranks[i].Elapsed > longest) longest = ranks[i].Elapsed;
        }
        if (_isBusy) loop.After(longest * slowDown(), _finish ??= Finish);
        else SetAlarm();
    }

    /// <summary>A turn that computes nothing (copies, closings) takes no time and holds nobody up: only computing steps are common.</summary>
    private bool BeginStep(IRank rank)
    {
        while (rank.Begin(loop.Now))
        {
            if (rank.Elapsed > TimeSpan.Zero) return true;
            rank.End(loop.Now);
        }
        return false;
    }

    private void Finish()
    {
        if (_isDead) return;
        for (int i = 0; i < ranks.Count; i++)
        {
            if (_hasBegun[i]) ranks[i].End(loop.Now);
        }
        _isBusy = false;
        Turn();
    }

    private void SetAlarm()
    {
        TimeSpan? first = null;
        foreach (IRank rank in ranks)
        {
            if (rank.NextDeadline is { } deadline && (first is null || deadline < first)) first = deadline;
        }
        if (!hasAlarm || first is not { } due || due >= _alarm) return;
        _alarm = due;
        loop.At(due, () =>
        {
            if (_alarm == due) _alarm = null;
            Turn();
        });
    }
}
