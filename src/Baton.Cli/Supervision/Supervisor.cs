namespace Baton.Cli.Supervision;

/// <summary>The life of <c>baton up</c>: starts a cluster, says when it works, keeps it alive, and leaves nothing behind.</summary>
internal sealed class Supervisor(
    ClusterOptions options, ClusterPlan plan, ChildLauncher launcher, ClusterProbe probe, LineBoard board, TimeProvider time)
{
    private static readonly TimeSpan ProbeInterval = TimeSpan.FromMilliseconds(300);

    /// <summary>Runs until <paramref name="stop"/> is cancelled, or until the cluster turns out not to start.</summary>
    /// <returns>The exit code: 0 when it was asked to stop, 1 when the cluster did not start.</returns>
    public async Task<int> RunAsync(CancellationToken stop)
    {
        using CancellationTokenSource ending = CancellationTokenSource.CreateLinkedTokenSource(stop);
        ChildKeeper[] keepers = [.. plan.Children.Select(spec => new ChildKeeper(spec, options, launcher, probe, board, time))];

        // Whoever fails first ends all the others; whoever ends because of that has not failed.
        IEnumerable<Task<bool>> parts = keepers.Select(keeper => EndAllUnless(keeper.RunAsync(ending.Token), ending))
            .Append(EndAllUnless(AnnounceAsync(keepers, ending.Token), ending));
        bool[] succeeded = await Task.WhenAll(parts);

        board.Write("up", "all processes have ended");
        return succeeded.All(one => one) ? ExitCodes.Success : ExitCodes.Failed;
    }

    private static async Task<bool> EndAllUnless(Task<bool> part, CancellationTokenSource ending)
    {
        bool succeeded = false;
        try
        {
            succeeded = await part;
        }
        finally
        {
            if (!succeeded) await ending.CancelAsync();
        }
        return succeeded;
    }

    /// <summary>Waits until a prompt has gone through the whole cluster, and says so.</summary>
    /// <returns>False when that did not happen in time.</returns>
    private async Task<bool> AnnounceAsync(ChildKeeper[] keepers, CancellationToken ct)
    {
        long startedAt = time.GetTimestamp();
        await Task.WhenAll(keepers.Select(keeper => keeper.FirstReady)).WaitAsync(ct).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);

        string? why = null;
        while (!ct.IsCancellationRequested && time.GetElapsedTime(startedAt) < options.StartTimeout)
        {
            why = await TryGenerateAsync(ct);
            if (why is null && !ct.IsCancellationRequested)
            {
                WriteReady(time.GetElapsedTime(startedAt));
                return true;
            }
            await Task.Delay(ProbeInterval, time, ct).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }

        if (ct.IsCancellationRequested) return true;
        board.Write("up", $"no token came through {plan.Entry} within {options.StartTimeout.TotalSeconds:0} s. The last answer was: {why ?? "none, since not every process became ready"}");
        return false;
    }

    private async Task<string?> TryGenerateAsync(CancellationToken ct)
    {
        try
        {
            return await probe.TryGenerateAsync(plan.Entry, ct);
        }
        catch (OperationCanceledException)
        {
            return "stopped";
        }
    }

    private void WriteReady(TimeSpan elapsed)
    {
        string entry = plan.Entry.GetLeftPart(UriPartial.Authority);
        foreach (ChildSpec child in plan.Children) board.Write("up", $"  {child.Name,-10} {child.Url.GetLeftPart(UriPartial.Authority)}");
        board.Write("up", $"ready after {elapsed.TotalSeconds:0.0} s: {entry}   (Ctrl-C stops everything)");
        board.WriteBare("");
        board.WriteBare($"""curl {entry}/v1/chat/completions -H 'Content-Type: application/json'{(options.ApiKey is null ? "" : " -H \"Authorization: Bearer $KEY\"")} -d '{TryBody}'""");
        board.WriteBare("");
    }

    /// <summary>The question of the README: the answer lies in the prompt, so it can only come out of the KV cache that was handed over.</summary>
    internal const string TryBody =
        """{"messages": [{"role": "user", "content": "My locker code is 4711. What is my locker code?"}], "temperature": 0}""";
}
