using Baton.Simulation.Clock;

namespace Baton.Simulation.Events;

/// <summary>The one thread of a simulation: virtual timers, events and continuations of awaits, in an order that depends on nothing but the run.</summary>
/// <remarks>
/// Events at the same instant run in the order in which they were made; timers of that instant run before them. It is also the
/// synchronisation context of the run, so code that awaits (resolver, registrar, bootstrap server) continues here and on no pool thread.
/// That holds for what is started by an event: an await that began outside <see cref="Run"/> continues on the thread pool, beside the
/// loop. Whatever then touches the loop or its clock from there is refused, and the run ends with that error: it could not be repeated.
/// </remarks>
public sealed class EventLoop : SynchronizationContext
{
    private readonly EventQueue _events = new();
    private readonly Queue<(SendOrPostCallback Callback, object? State)> _posts = new();
    private readonly Lock _strayLock = new();
    private InvalidOperationException? _stray;
    private int _thread;
    private long _made;

    public EventLoop() => Time = new VirtualTimeProvider(CheckThread);

    public VirtualTimeProvider Time { get; }

    public TimeSpan Now { get; private set; }

    public long EventCount { get; private set; }

    /// <summary>Called after each event, for checks of invariants.</summary>
    public Action? AfterEvent { get; set; }

    public void At(TimeSpan due, Action action)
    {
        CheckThread();
        _events.Enqueue(due < Now ? Now : due, _made++, action);
    }

    /// <summary>Events that come one after the other, as if all were made now: each is only queued once the one before has run.</summary>
    /// <param name="due">Of each event, ascending.</param>
    public void AtEach(int count, Func<int, TimeSpan> due, Action<int> action)
    {
        long first = _made;
        _made += count;
        int next = 0;
        if (count > 0) _events.Enqueue(DueOf(0), first, RunOne);

        void RunOne()
        {
            int index = next++;
            // Before the event itself, which may make others of the same instant: they come later.
            if (next < count) _events.Enqueue(DueOf(next), first + next, RunOne);
            action(index);
        }

        TimeSpan DueOf(int index) => due(index) is var at && at < Now ? Now : at;
    }

    public void After(TimeSpan delay, Action action) => At(Now + delay, action);

    /// <summary>At this instant, behind everything that is due already.</summary>
    public void Soon(Action action) => At(Now, action);

    public override void Post(SendOrPostCallback d, object? state)
    {
        CheckThread();
        _posts.Enqueue((d, state));
    }

    public override void Send(SendOrPostCallback d, object? state) => d(state);

    /// <summary>Runs until nothing is left, <paramref name="isOver"/> says so, or the next thing lies beyond <paramref name="until"/>.</summary>
    /// <exception cref="InvalidOperationException">Something reached for the loop or its clock from another thread.</exception>
    public void Run(TimeSpan until, Func<bool>? isOver = null)
    {
        SynchronizationContext? outer = Current;
        SetSynchronizationContext(this);
        Volatile.Write(ref _thread, Environment.CurrentManagedThreadId);
        try
        {
            RunPosts();
            while (isOver is null || !isOver())
            {
                if (!RunNext(until)) break;
                RunPosts();
                EventCount++;
                AfterEvent?.Invoke();
            }
        }
        finally
        {
            Volatile.Write(ref _thread, 0);
            SetSynchronizationContext(outer);
        }
        lock (_strayLock)
        {
            if (_stray is { } stray) throw stray;
        }
    }

    /// <summary>While the loop runs, only its own thread may reach for it.</summary>
    private void CheckThread()
    {
        int thread = Volatile.Read(ref _thread);
        if (thread == 0 || thread == Environment.CurrentManagedThreadId) return;
        lock (_strayLock) throw _stray ??= new InvalidOperationException("Something reached for the event loop from another thread: an await that began outside of the loop's events, or code that starts threads.");
    }

    private bool RunNext(TimeSpan until)
    {
        TimeSpan? timer = Time.NextDue;
        bool hasEvent = _events.Count > 0;
        if (timer is { } due && (!hasEvent || due <= _events.NextDue))
        {
            if (due > until) return false;
            Now = due;
            Time.AdvanceTo(due);
            return true;
        }
        if (!hasEvent || _events.NextDue > until) return false;
        Now = _events.NextDue;
        Time.AdvanceTo(Now);
        _events.Dequeue()();
        return true;
    }

    private void RunPosts()
    {
        while (_posts.TryDequeue(out (SendOrPostCallback Callback, object? State) post)) post.Callback(post.State);
    }
}
