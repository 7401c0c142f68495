using Baton.Core.Failures;
using Baton.Scheduling.Ranks;
using Microsoft.Extensions.Logging;

namespace Baton.Serving.Workers;

/// <summary>The one thread that turns a rank's crank, and sleeps when there is nothing to turn.</summary>
public sealed class RankThread : IDisposable
{
    /// <summary>A wait is never longer, whatever a deadline says: a lost wake-up costs this much and not for ever.</summary>
    private static readonly TimeSpan LongestSleep = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan JoinTimeout = TimeSpan.FromSeconds(10);

    private readonly IRank _rank;
    private readonly WorkerClock _clock;
    private readonly double _simulatedTimeScale;
    private readonly ILogger _logger;
    private readonly RankWake _wake;
    private readonly ManualResetEvent _stop = new(false);
    private readonly CancellationTokenSource _died = new();
    private readonly Thread _thread;
    private readonly SimulatedPace _pace = new();

    /// <param name="rank">Owned: disposed on its own thread when the thread ends.</param>
    /// <param name="simulatedTimeScale">What a computed <see cref="IRank.Elapsed"/> is multiplied with before it is waited for; 0 when the engine has really spent it.</param>
    public RankThread(IRank rank, RankWake wake, WorkerClock clock, double simulatedTimeScale, ILogger logger)
    {
        (_rank, _wake, _clock, _simulatedTimeScale, _logger) = (rank, wake, clock, simulatedTimeScale, logger);
        rank.Inbox.Wake = wake.Set;
        _thread = new Thread(Run) { IsBackground = true, Name = $"dp-rank-{rank.DpRank}" };
    }

    public IRank Rank => _rank;

    /// <summary>Cancelled when the thread ended by a bug: nobody will end the rank's requests any more.</summary>
    public CancellationToken Died => _died.Token;

    /// <summary>What broke the rank, or null.</summary>
    public RequestFailure? Fault => _rank.Fault ?? _bug;

    private RequestFailure? _bug;

    public void Start() => _thread.Start();

    /// <summary>Ends the thread after the step it is in, and frees the rank. Requests that are still there end with the rank.</summary>
    public void Dispose()
    {
        _stop.Set();
        _wake.Set();
        if (_thread.ThreadState.HasFlag(ThreadState.Unstarted)) _rank.Dispose();
        else if (!_thread.Join(JoinTimeout)) _logger.RankDoesNotStop(_rank.DpRank.Value, JoinTimeout.TotalSeconds);
        _died.Dispose();
        _wake.Dispose();
    }

    private void Run()
    {
        try
        {
            while (!_stop.WaitOne(TimeSpan.Zero)) Turn();
            _rank.Dispose();
        }
        catch (Exception bug)
        {
            // Not an engine failure, those are values: the rank's own state is in doubt, so nothing of it is touched again.
            _bug = RequestFailure.Of(FailureReason.InternalError, $"dp rank {_rank.DpRank}: its thread ended with {bug.GetType().Name}: {bug.Message}");
            _logger.RankThreadDied(_rank.DpRank.Value, bug);
            _rank.Inbox.Drain(_bug);
            _died.Cancel();
        }
    }

    private void Turn()
    {
        if (_rank.Begin(_clock.Now))
        {
            if (_simulatedTimeScale > 0) SpendSimulated(_rank.Elapsed * _simulatedTimeScale);
            _rank.End(_clock.Now);
            return;
        }
        TimeSpan sleep = LongestSleep;
        if (_rank.NextDeadline is { } deadline) sleep = TimeSpan.FromTicks(Math.Clamp((deadline - _clock.Now).Ticks, 0, LongestSleep.Ticks));
        TimeSpan from = _clock.Now;
        _wake.Wait(sleep);
        _pace.Idle(_clock.Now - from);
    }

    private void SpendSimulated(TimeSpan cost)
    {
        TimeSpan now = _clock.Now;
        TimeSpan until = _pace.EndOfStep(now, cost);
        TimeSpan rest = until - now;
        while (rest >= TimeSpan.FromMilliseconds(1) && !_stop.WaitOne(rest < LongestSleep ? rest : LongestSleep)) rest = until - _clock.Now;
    }
}
