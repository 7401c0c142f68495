namespace Baton.Cli.Supervision;

/// <summary>The child's half of the promise that no child outlives its supervisor: stops this process when its standard input ends.</summary>
internal static class ParentWatch
{
    /// <summary>Beyond its own grace period the process ends in the middle of whatever it still does: with its parent gone, nobody else would end it.</summary>
    private static readonly TimeSpan Margin = TimeSpan.FromSeconds(60);

    /// <summary>Kept here because a timer that nobody refers to may be collected before it fires.</summary>
    private static ITimer? _lastDeadline;

    /// <summary>Watches from a background thread, since a read of standard input cannot be cancelled.</summary>
    /// <param name="stop">Cancelled when the input ends.</param>
    /// <param name="grace">What the command gives its running requests after that.</param>
    public static void Start(CancellationTokenSource stop, TimeSpan grace, TimeProvider time)
    {
        Thread watcher = new(() => Watch(stop, grace + Margin, time)) { IsBackground = true, Name = "parent-watch" };
        watcher.Start();
    }

    private static void Watch(CancellationTokenSource stop, TimeSpan lastDeadline, TimeProvider time)
    {
        Stream input = Console.OpenStandardInput();
        Span<byte> ignored = stackalloc byte[256];
        while (input.Read(ignored) > 0)
        {
        }

        _lastDeadline = time.CreateTimer(_ => Environment.Exit(1), null, lastDeadline, Timeout.InfiniteTimeSpan);
        stop.Cancel();
    }
}
