using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text.RegularExpressions;

namespace Baton.Testing.Processes;

/// <summary>One real <c>baton up</c> with its real children, on free ports, with everything it printed.</summary>
/// <remarks>It is started with <c>--exit-with-parent</c>, so a test run that dies leaves no process behind.</remarks>
public sealed partial class UpProcess : IAsyncDisposable
{
    /// <summary>For one of everything that waits on processes: long, because another build may have both cores.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(120);

    private readonly Process _process;
    private readonly ConcurrentQueue<string> _lines = new();
    private readonly SemaphoreSlim _lineCame = new(0);
    private readonly Task _pumps;

    private UpProcess(Process process, int port)
    {
        _process = process;
        Url = new Uri($"http://127.0.0.1:{port}");
        _pumps = Task.WhenAll(PumpAsync(process.StandardOutput), PumpAsync(process.StandardError));
    }

    /// <summary>Where clients send requests.</summary>
    public Uri Url { get; }

    public int Id => _process.Id;

    public IReadOnlyList<string> Lines => [.. _lines];

    /// <summary>Starts the program and does not wait for anything.</summary>
    /// <param name="arguments">Of <c>baton up</c>, without the port.</param>
    public static UpProcess Start(params IEnumerable<string> arguments) => StartOn(FreePort(), arguments);

    public static UpProcess StartOn(int port, params IEnumerable<string> arguments)
    {
        ProcessStartInfo start = new("dotnet")
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            UseShellExecute = false,
            WorkingDirectory = AppContext.BaseDirectory,
        };
        string[] all = [BatonDll, "--exit-with-parent", "up", "--port", port.ToString(CultureInfo.InvariantCulture), .. arguments];
        foreach (string argument in all) start.ArgumentList.Add(argument);
        return new UpProcess(Process.Start(start)!, port);
    }

    /// <summary>A port for whoever listens there seconds later.</summary>
    /// <remarks>Below the ports that the system gives to whoever asks for any: it could give one of those away until then. And not one of those that <c>up</c> chooses from.</remarks>
    public static int FreePort()
    {
        while (true)
        {
            int port = Random.Shared.Next(30_001, 32_768);
            try
            {
                using TcpListener listener = new(IPAddress.Loopback, port);
                listener.Start();
                return port;
            }
            catch (SocketException)
            {
                // Taken: another one then.
            }
        }
    }

    /// <summary>Starts the program and waits until it says that it is ready.</summary>
    public static async Task<UpProcess> StartReadyAsync(params IEnumerable<string> arguments)
    {
        UpProcess up = Start(arguments);
        await up.WaitForLineAsync(line => line.Contains("ready after", StringComparison.Ordinal));
        return up;
    }

    /// <summary>The process id that the supervisor last reported for a child that answers.</summary>
    public int ChildId(string name) => int.Parse(LastAnswer(name).Groups["pid"].Value, CultureInfo.InvariantCulture);

    /// <summary>Where a child listens.</summary>
    public Uri ChildUrl(string name) => new(LastAnswer(name).Groups["url"].Value);

    /// <summary>The children that answered at least once, in the order of their names.</summary>
    public IReadOnlyList<string> ChildNames =>
        [.. Lines.Select(line => AnswerLine().Match(line)).Where(match => match.Success).Select(match => match.Groups["name"].Value).Distinct().Order(StringComparer.Ordinal)];

    /// <summary>Waits for a line, also one that came before the call.</summary>
    public async Task<string> WaitForLineAsync(Func<string, bool> isIt)
    {
        long start = Stopwatch.GetTimestamp();
        while (true)
        {
            if (Lines.FirstOrDefault(isIt) is { } found) return found;
            if (_pumps.IsCompleted) throw new InvalidOperationException($"baton up ended before the line came.\n{Transcript()}");
            TimeSpan left = Patience - Stopwatch.GetElapsedTime(start);
            if (left <= TimeSpan.Zero) throw new TimeoutException($"The line did not come within {Patience.TotalSeconds:0} s.\n{Transcript()}");
            await Task.WhenAny(_lineCame.WaitAsync(left), _pumps);
        }
    }

    /// <summary>Waits until the supervisor itself has ended.</summary>
    public async Task<int> WaitForExitAsync()
    {
        await _process.WaitForExitAsync().WaitAsync(Patience);
        await _pumps.WaitAsync(Patience);
        return _process.ExitCode;
    }

    /// <summary>Everything that was printed, for the message of a failed test.</summary>
    public string Transcript() => string.Join('\n', Lines.TakeLast(200));

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
        {
            _process.StandardInput.Close();
            using CancellationTokenSource deadline = new(Patience);
            try
            {
                await _process.WaitForExitAsync(deadline.Token);
            }
            catch (OperationCanceledException)
            {
                _process.Kill(entireProcessTree: true);
            }
        }
        _process.Dispose();
        _lineCame.Dispose();
    }

    /// <summary>Copied here because the project that runs refers to Baton.Cli.</summary>
    private static string BatonDll { get; } = Path.Combine(AppContext.BaseDirectory, "baton.dll");

    private Match LastAnswer(string name) =>
        Lines.Select(line => AnswerLine().Match(line)).LastOrDefault(match => match.Success && match.Groups["name"].Value == name)
        ?? throw new InvalidOperationException($"No child {name} has answered yet.\n{Transcript()}");

    private async Task PumpAsync(StreamReader reader)
    {
        while (await reader.ReadLineAsync() is { } line)
        {
            _lines.Enqueue(line);
            _lineCame.Release();
        }
    }

    [GeneratedRegex(@"^up +\| (?<name>[a-z]+(-\d+)?) \(pid (?<pid>\d+)\) answers on (?<url>http://\S+)", RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex AnswerLine();
}
