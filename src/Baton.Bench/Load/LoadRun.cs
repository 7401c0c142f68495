namespace Baton.Bench.Load;

/// <summary>How requests are issued.</summary>
public sealed record LoadOptions
{
    /// <summary>Requests under way at once; null for no limit.</summary>
    public int? MaxConcurrency { get; init; }
    /// <summary>
    /// The last stretch before a send that is spent yielding instead of on a timer. Timers tick in milliseconds, so without it every send
    /// is up to a millisecond late. Zero for a clock that only moves when it is told to.
    /// </summary>
    public TimeSpan PacingSlack { get; init; } = TimeSpan.FromMilliseconds(1.2);
}

/// <summary>What a run left: one record a request, in the order of the dataset.</summary>
/// <param name="Duration">First dispatch to last end.</param>
public sealed record LoadResult(IReadOnlyList<RequestRecord> Records, TimeSpan Duration);

/// <summary>Sees requests end, for a progress bar. Called from any thread.</summary>
public interface ILoadObserver
{
    void OnEnded(RequestRecord record);
}

/// <summary>Issues requests at their intended times, whatever the server does.</summary>
/// <remarks>Continues on whichever thread completes a wait and blocks none, so the same code runs in virtual time on one thread.</remarks>
/// <param name="clientOf">Which client sends the n-th request; a comparison has two.</param>
public sealed class LoadRun(Func<int, BenchClient> clientOf, LoadOptions options, ILoadObserver? observer = null)
{
    public LoadRun(BenchClient client, LoadOptions options, ILoadObserver? observer = null) : this(_ => client, options, observer)
    {
    }

    /// <param name="bodies">Serialised requests, one each.</param>
    /// <param name="intendedAt">From the run's start, ascending.</param>
    public async Task<LoadResult> RunAsync(
        IReadOnlyList<BenchRequest> requests, IReadOnlyList<byte[]> bodies, TimeSpan[] intendedAt, RunClock clock, CancellationToken ct)
    {
        ConcurrencyGate? gate = options.MaxConcurrency is { } limit ? new ConcurrencyGate(limit) : null;
        RequestRecord[] records = new RequestRecord[requests.Count];
        Task[] running = new Task[requests.Count];
        TimeSpan begun = clock.Now;
        for (int i = 0; i < records.Length; i++)
        {
            RequestRecord record = records[i] = new RequestRecord(i, requests[i]) { IntendedAt = begun + intendedAt[i] };
            if (record.IntendedAt > clock.Now) await WaitUntilAsync(record.IntendedAt, clock, ct);
            record.DispatchedAt = clock.Now;
            running[i] = IssueAsync(record, bodies[i], gate, clock, ct);
        }
        await Task.WhenAll(running);
        return new LoadResult(records, clock.Now - begun);
    }

    private async Task IssueAsync(RequestRecord record, byte[] body, ConcurrencyGate? gate, RunClock clock, CancellationToken ct)
    {
        if (gate is not null) await gate.EnterAsync();
        try
        {
            ct.ThrowIfCancellationRequested();
            await clientOf(record.Index).SendAsync(body, record, clock, ct);
        }
        finally
        {
            gate?.Leave();
        }
        observer?.OnEnded(record);
    }

    private async Task WaitUntilAsync(TimeSpan at, RunClock clock, CancellationToken ct)
    {
        while (true)
        {
            TimeSpan left = at - clock.Now;
            if (left <= TimeSpan.Zero) return;
            if (left > options.PacingSlack) await DelayAsync(left - options.PacingSlack, clock.Provider, ct);
            else Thread.Yield();
        }
    }

    /// <summary>Task.Delay cuts to whole milliseconds, which is the precision we are after; a timer takes what the provider can do.</summary>
    private static async Task DelayAsync(TimeSpan delay, TimeProvider time, CancellationToken ct)
    {
        // Disposed without waiting: this continues inside the timer's own callback.
        TaskCompletionSource due = new();
        using ITimer timer = time.CreateTimer(static state => ((TaskCompletionSource)state!).TrySetResult(), due, delay, Timeout.InfiniteTimeSpan);
        using CancellationTokenRegistration stop = ct.UnsafeRegister(static state => ((TaskCompletionSource)state!).TrySetCanceled(), due);
        await due.Task;
    }
}
