using System.Diagnostics;

namespace Baton.Cli.Supervision;

/// <summary>One running child. Its standard input is a pipe that nothing is written to: when it closes, the child stops.</summary>
/// <remarks>
/// The pipe closes when we ask for it and also when this process dies in whatever way, so no child outlives its supervisor.
/// It needs no signal, so it works the same on Windows. The child's half is <see cref="ParentWatch"/>.
/// </remarks>
internal sealed class ChildProcess : IDisposable
{
    private readonly Process _process;

    private ChildProcess(Process process, Action<string> onLine)
    {
        _process = process;
        Id = process.Id;
        Exit = WaitAsync(onLine);
    }

    public int Id { get; }

    /// <summary>Completes with the exit code when the process has ended and its last line was handed on.</summary>
    public Task<int> Exit { get; }

    /// <param name="environment">Added to our own, for what does not belong on a command line.</param>
    /// <param name="onLine">Gets each line of the child's output. Called from pool threads.</param>
    public static ChildProcess Start(
        SelfExecutable self, IEnumerable<string> arguments, IReadOnlyDictionary<string, string> environment, Action<string> onLine)
    {
        ProcessStartInfo start = new(self.FileName)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            UseShellExecute = false,
        };
        foreach (string argument in self.LeadingArguments.Concat(arguments)) start.ArgumentList.Add(argument);
        foreach ((string name, string value) in environment) start.Environment[name] = value;
        Process process = Process.Start(start) ?? throw new InvalidOperationException($"{self.FileName} did not start.");
        return new ChildProcess(process, onLine);
    }

    /// <summary>Asks the child to finish what it does and to end.</summary>
    public void AskToStop()
    {
        try
        {
            _process.StandardInput.Close();
        }
        catch (IOException)
        {
            // The child ended between the question and the close: it has stopped, which is what was asked.
        }
    }

    /// <summary>Ends it at once, with whatever it started itself.</summary>
    public void Kill()
    {
        try
        {
            _process.Kill(entireProcessTree: true);
        }
        catch (InvalidOperationException)
        {
            // It has ended already.
        }
    }

    public void Dispose() => _process.Dispose();

    private async Task<int> WaitAsync(Action<string> onLine)
    {
        Task output = PumpAsync(_process.StandardOutput, onLine);
        Task errors = PumpAsync(_process.StandardError, onLine);
        await _process.WaitForExitAsync();
        await Task.WhenAll(output, errors);
        return _process.ExitCode;
    }

    private static async Task PumpAsync(StreamReader reader, Action<string> onLine)
    {
        while (await reader.ReadLineAsync() is { } line) onLine(line);
    }
}
