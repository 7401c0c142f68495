using System.Collections.Concurrent;
using Baton.Cli.Supervision;

namespace Baton.Cli.Tests.Supervision;

/// <summary>The keeper with real processes. They are shell scripts, so these tests need a POSIX shell.</summary>
public sealed class ChildKeeperTests : IDisposable
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60);
    private readonly RecordingWriter _screen = new();
    private readonly HttpClient _http = new();

    public void Dispose()
    {
        _screen.Dispose();
        _http.Dispose();
    }

    [Fact]
    public async Task A_child_that_always_fails_is_started_three_times_and_given_up()
    {
        ChildKeeper keeper = Keeper("echo trying; exit 7");

        bool stopped = await keeper.RunAsync(TestContext.Current.CancellationToken).WaitAsync(Deadline);

        Assert.False(stopped);
        Assert.Equal(3, _screen.Lines.Count(line => line == "child | trying"));
        Assert.Contains("ended with code 7", _screen.Lines[^1], StringComparison.Ordinal);
        Assert.Contains("given up", _screen.Lines[^1], StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_child_that_stops_when_its_input_ends_is_not_killed()
    {
        using CancellationTokenSource stop = new();
        ChildKeeper keeper = Keeper("echo up; cat; echo leaving; exit 0");
        Task<bool> running = keeper.RunAsync(stop.Token);
        await _screen.WaitForAsync("child | up", Deadline);

        await stop.CancelAsync();
        bool stopped = await running.WaitAsync(Deadline);

        Assert.True(stopped);
        Assert.Contains("child | leaving", _screen.Lines);
        Assert.Contains("stopped with code 0", _screen.Lines[^1], StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_child_that_does_not_stop_is_killed_with_its_own_children()
    {
        using CancellationTokenSource stop = new();
        ChildKeeper keeper = Keeper("sleep 300 & echo sleeping; wait", stopTimeout: TimeSpan.FromMilliseconds(100));
        Task<bool> running = keeper.RunAsync(stop.Token);
        await _screen.WaitForAsync("child | sleeping", Deadline);

        await stop.CancelAsync();
        bool stopped = await running.WaitAsync(Deadline);

        Assert.True(stopped);
        Assert.Contains(_screen.Lines, line => line.Contains("killing it", StringComparison.Ordinal));
        // The keeper ended, so the pipe of the output has no writer any more: the sleeping grandchild, which held it, is gone as well.
    }

    /// <param name="stopTimeout">Null: so long that only a child which never ends is killed, however slow the machine.</param>
    private ChildKeeper Keeper(string script, TimeSpan? stopTimeout = null)
    {
        ClusterOptions options = new()
        {
            StopTimeout = stopTimeout ?? Deadline,
            Restart = new RestartOptions { FirstDelay = TimeSpan.FromMilliseconds(1), StartAttempts = 3 },
        };
        // sh takes the text after -c as the script and what follows it, our own flag, as $0.
        // Nobody ever listens there: on a port that was free a moment ago another test's server might answer for the child.
        ChildSpec spec = new("child", ["-c", script], new Uri("http://127.0.0.1:1"));
        ChildLauncher launcher = new(new SelfExecutable("/bin/sh", []), new Dictionary<string, string>());
        return new ChildKeeper(spec, options, launcher, new ClusterProbe(_http, TimeProvider.System), new LineBoard(_screen, 5), TimeProvider.System);
    }

    /// <summary>Keeps whole lines and lets a test wait for one.</summary>
    private sealed class RecordingWriter : StringWriter
    {
        private readonly ConcurrentQueue<string> _lines = new();
        private readonly SemaphoreSlim _written = new(0);

        public IReadOnlyList<string> Lines => [.. _lines];

        public override void WriteLine(string? value)
        {
            _lines.Enqueue(value ?? "");
            _written.Release();
        }

        public async Task<string> WaitForAsync(string start, TimeSpan deadline)
        {
            while (true)
            {
                if (Lines.FirstOrDefault(line => line.StartsWith(start, StringComparison.Ordinal)) is { } found) return found;
                if (!await _written.WaitAsync(deadline)) throw new TimeoutException($"No line '{start}' came. The lines were:\n{string.Join('\n', Lines)}");
            }
        }
    }
}
