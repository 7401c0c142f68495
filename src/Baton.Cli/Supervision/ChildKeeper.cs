namespace Baton.Cli.Supervision;

/// <summary>Keeps one child alive until it is told to stop, and says on the board what it does.</summary>
internal sealed class ChildKeeper(ChildSpec spec, ClusterOptions options, ChildLauncher launcher, ClusterProbe probe, LineBoard board, TimeProvider time)
{
    private static readonly TimeSpan HealthInterval = TimeSpan.FromMilliseconds(200);
    /// <summary>A Ctrl-C in a terminal reaches the children as well, and one may end before the signal has reached us.</summary>
    private static readonly TimeSpan SignalSkew = TimeSpan.FromMilliseconds(250);

    private readonly ChildLifecycle _lifecycle = new(options.Restart);
    private readonly TaskCompletionSource _firstReady = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public ChildSpec Spec => spec;

    /// <summary>Completes when the child answers for the first time.</summary>
    public Task FirstReady => _firstReady.Task;

    /// <summary>Starts the child again and again.</summary>
    /// <returns>When <paramref name="stop"/> was cancelled and the child is gone: true. When it was given up: false.</returns>
    public async Task<bool> RunAsync(CancellationToken stop)
    {
        while (true)
        {
            using ChildProcess child = launcher.Start(spec, line => board.Write(spec.Name, line));
            _lifecycle.Started();
            long startedAt = time.GetTimestamp();
            await UntilItEndsAsync(child, startedAt, stop);
            if (stop.IsCancellationRequested) return await StopAsync(child);

            int code = await child.Exit;
            TimeSpan? delay = _lifecycle.Ended(code, time.GetElapsedTime(0));
            if (delay is null)
            {
                board.Write("up", $"{spec.Name} (pid {child.Id}) ended with code {code} after {Seconds(startedAt)}, start {_lifecycle.FailuresInARow} of {options.Restart.StartAttempts}: given up. Its own lines above say why.");
                return false;
            }

            board.Write("up", $"{spec.Name} (pid {child.Id}) ended with code {code} after {Seconds(startedAt)}: starting it again in {delay.Value.TotalSeconds:0.#} s");
            if (await DelayAsync(delay.Value, stop)) return true;
        }
    }

    /// <summary>Returns when the child has ended, or when it has to be stopped.</summary>
    private async Task UntilItEndsAsync(ChildProcess child, long startedAt, CancellationToken stop)
    {
        using CancellationTokenSource ended = CancellationTokenSource.CreateLinkedTokenSource(stop);
        Task watch = WatchHealthAsync(child, startedAt, ended.Token);
        Task exit = child.Exit;
        await exit.WaitAsync(stop).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (!stop.IsCancellationRequested) await DelayAsync(SignalSkew, stop);
        await ended.CancelAsync();
        await watch;
    }

    private async Task WatchHealthAsync(ChildProcess child, long startedAt, CancellationToken ct)
    {
        while (!await probe.IsHealthyAsync(spec.HealthUrl, ct))
        {
            if (time.GetElapsedTime(startedAt) > options.StartTimeout)
            {
                board.Write("up", $"{spec.Name} (pid {child.Id}) did not answer on {spec.HealthUrl} within {options.StartTimeout.TotalSeconds:0} s: ending it. Raise --start-timeout if the model is only large.");
                child.Kill();
                return;
            }
            if (await DelayAsync(HealthInterval, ct)) return;
        }

        // The child may have ended in the meantime; then its end counts, and not an answer that came before it.
        if (ct.IsCancellationRequested || child.Exit.IsCompleted) return;
        _lifecycle.BecameReady(time.GetElapsedTime(0));
        board.Write("up", $"{spec.Name} (pid {child.Id}) answers on {spec.Url} after {Seconds(startedAt)}");
        _firstReady.TrySetResult();
    }

    private async Task<bool> StopAsync(ChildProcess child)
    {
        long askedAt = time.GetTimestamp();
        child.AskToStop();
        if (await Task.WhenAny(child.Exit, Task.Delay(options.StopTimeout, time)) != child.Exit)
        {
            board.Write("up", $"{spec.Name} (pid {child.Id}) did not end within {options.StopTimeout.TotalSeconds:0} s: killing it");
            child.Kill();
        }

        int code = await child.Exit;
        _lifecycle.Stopped();
        board.Write("up", $"{spec.Name} (pid {child.Id}) stopped with code {code} after {Seconds(askedAt)}");
        return true;
    }

    private string Seconds(long since) => $"{time.GetElapsedTime(since).TotalSeconds:0.0} s";

    /// <returns>True when <paramref name="ct"/> was cancelled first.</returns>
    private async Task<bool> DelayAsync(TimeSpan delay, CancellationToken ct)
    {
        await Task.Delay(delay, time, ct).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        return ct.IsCancellationRequested;
    }
}
