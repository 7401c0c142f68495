using System.Diagnostics;

namespace Baton.Benchmarks;

/// <summary>A server in a process of its own that prints its port first and ends with its input.</summary>
internal sealed class ServerProcess : IDisposable
{
    private readonly Process _process;

    private ServerProcess(Process process, int port, string kind)
    {
        _process = process;
        Port = port;
        Kind = kind;
    }

    public int Port { get; }

    public string Kind { get; }

    /// <summary>Null when it cannot be started or says nothing within 20 s.</summary>
    public static async Task<ServerProcess?> StartAsync(string file, params string[] arguments)
    {
        ProcessStartInfo start = new(file, arguments) { UseShellExecute = false, RedirectStandardInput = true, RedirectStandardOutput = true };
        Process process = Process.Start(start)!;
        using CancellationTokenSource deadline = new(TimeSpan.FromSeconds(20));
        string? line = await process.StandardOutput.ReadLineAsync(deadline.Token);
        string[] words = line?.Split(' ') ?? [];
        if (words.Length == 2 && int.TryParse(words[0], out int port)) return new ServerProcess(process, port, words[1]);
        process.Kill();
        process.Dispose();
        return null;
    }

    public void Dispose()
    {
        _process.StandardInput.Close();
        if (!_process.WaitForExit(5000)) _process.Kill();
        _process.Dispose();
    }
}
