using Baton.Core.Engine;
using Baton.Core.Failures;
using Baton.Core.Ids;
using Baton.Core.Ranks;

namespace Baton.Scheduling.Ranks;

/// <summary>The crank that all three roles share: inbox, plan, execute, commit, publish.</summary>
public abstract class EngineRank : IRank
{
    private readonly IEngine _engine;
    private readonly IScheduler _scheduler;
    private readonly LoadBoard _board = new();
    private readonly StepPlan _plan = new();
    private readonly StepResult _result = new();
    private ThroughputWindow _throughput;
    private long _steps;
    private volatile RequestFailure? _fault;

    private protected EngineRank(RankInbox inbox, IEngine engine, IScheduler scheduler) =>
        (Inbox, _engine, _scheduler) = (inbox, engine, scheduler);

    public DpRank DpRank => Inbox.DpRank;

    public RankInbox Inbox { get; }

    public TimeSpan Elapsed => _result.Elapsed;

    public RequestFailure? Fault => _fault;

    public TimeSpan? NextDeadline => _fault is null ? _scheduler.NextDeadline : null;

    public RankLoad Load => _board.ToLoad(DpRank, Inbox, _engine.Info.CellCount, _scheduler.MaxRunningRequests);

    public bool Begin(TimeSpan now)
    {
        TakeIn(now);                                                                 // 1. what other threads said
        if (_fault is { } fault)
        {
            // A request can slip in between the fault and the closing of the door; it ends like the others.
            _scheduler.EndAll(fault, now);
            return false;
        }
        _plan.Clear();
        _scheduler.Plan(now, _plan);                                                 // 2. decide
        if (!_plan.IsEmpty) return Execute(now);                                     // 3. do
        Publish(now);
        return false;
    }

    public void End(TimeSpan now)
    {
        _steps++;
        Inbox.StepEnds();
        _throughput.Add(_result.Samples.Count, now);
        _scheduler.Commit(_plan, _result, now);                                      // 4. book
        if (_result.WasInterrupted)
        {
            _scheduler.EndAll(RequestFailure.Of(FailureReason.ShuttingDown, $"dp rank {DpRank}: the step was interrupted."), now);
        }
        Publish(now);
    }

    /// <summary>For a checker, between two turns.</summary>
    internal void Audit(RankAudit audit) => ((IAuditedScheduler)_scheduler).Audit(audit);

    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Frees what the role owns beside the engine.</summary>
    protected virtual void Dispose(bool disposing)
    {
        if (disposing) _engine.Dispose();
    }

    private void TakeIn(TimeSpan now)
    {
        foreach (InboxItem item in Inbox.TakeAll()) _scheduler.Accept(item, now);
        // A resolver that knew the answer has given it by now: taking it in as well saves the request a turn.
        if (!Inbox.HasArrivals) return;
        foreach (InboxItem item in Inbox.TakeAll()) _scheduler.Accept(item, now);
    }

    private bool Execute(TimeSpan now)
    {
        try
        {
            Inbox.StepBegins(_plan.BatchTokens - _plan.Rows.Count, now);
            _engine.Execute(_plan, _result);
            return true;
        }
        catch (EngineException broken)
        {
            foreach (KvExported exported in _result.Exported) exported.Payload.Dispose();
            _fault = RequestFailure.Of(FailureReason.EngineError, $"dp rank {DpRank}: the engine cannot go on: {broken.Message}");
            Inbox.Drain(_fault);
            _scheduler.EndAll(_fault, now);
            Publish(now);
            return false;
        }
    }

    private void Publish(TimeSpan now)
    {
        LoadNumbers load = new() { At = now, StepCount = _steps };
        _scheduler.Report(ref load);
        load.GenThroughput = load.RunningRequests > 0 ? _throughput.PerSecond : 0;
        _board.Publish(load);
    }

    /// <summary>Output tokens per second, over windows of a second of work.</summary>
    private struct ThroughputWindow
    {
        private TimeSpan _start;
        private int _tokens;

        public double PerSecond { get; private set; }

        public void Add(int tokens, TimeSpan now)
        {
            _tokens += tokens;
            TimeSpan length = now - _start;
            if (length < TimeSpan.FromSeconds(1)) return;
            PerSecond = _tokens / length.TotalSeconds;
            (_start, _tokens) = (now, 0);
        }
    }
}
