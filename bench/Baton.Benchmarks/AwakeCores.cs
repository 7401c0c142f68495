using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Baton.Benchmarks;

/// <summary>Keeps every core awake from a process of its own that yields to anybody else (Linux' SCHED_IDLE), until it is disposed.</summary>
/// <remarks>
/// On a virtual machine a core that sleeps is given away, and a request waits until it is back: twice for a call and four times for one
/// through a router. With the cores awake that wait is gone from both.
/// </remarks>
internal sealed partial class AwakeCores : IDisposable
{
    public const string Name = "awake";
    private const int SchedIdle = 5;
    private static volatile bool _isOver;
    private readonly Process _spinning;

    private AwakeCores(Process spinning) => _spinning = spinning;

    /// <exception cref="InvalidOperationException">The system does not let threads be put behind all others.</exception>
    public static AwakeCores Start()
    {
        string self = Environment.ProcessPath!;
        // Run by its library, the process is dotnet itself.
        string[] arguments = Path.GetFileNameWithoutExtension(self) == "dotnet" ? [Environment.GetCommandLineArgs()[0], Name] : [Name];
        Process process = Process.Start(new ProcessStartInfo(self, arguments) { UseShellExecute = false, RedirectStandardInput = true, RedirectStandardOutput = true })!;
        if (process.StandardOutput.ReadLine() == Name) return new AwakeCores(process);
        process.Dispose();
        throw new InvalidOperationException("The cores cannot be kept awake: sched_setscheduler(SCHED_IDLE) failed.");
    }

    /// <summary>What the process does: spins until its input ends, which it also does when its parent dies.</summary>
    public static Task<int> RunAsync()
    {
        using CountdownEvent spinning = new(Environment.ProcessorCount);
        for (int i = 0; i < Environment.ProcessorCount; i++) new Thread(() => Spin(spinning)).Start();
        // Only once every thread stands behind all others; one that may not ends the process, and the parent reads nothing.
        spinning.Wait();
        Console.WriteLine(Name);
        Console.In.ReadToEnd();
        _isOver = true;
        return Task.FromResult(0);
    }

    public void Dispose()
    {
        _spinning.StandardInput.Close();
        if (!_spinning.WaitForExit(5000)) _spinning.Kill();
        _spinning.Dispose();
    }

    private static void Spin(CountdownEvent spinning)
    {
        int priority = 0;
        // Of this thread alone. No pause in the loop: a hypervisor takes that for somebody who waits.
        if (SetScheduler(0, SchedIdle, in priority) != 0) Environment.Exit(1);
        spinning.Signal();
        while (!_isOver)
        {
        }
    }

    [LibraryImport("libc", EntryPoint = "sched_setscheduler", SetLastError = true)]
    private static partial int SetScheduler(int thread, int policy, in int priority);
}
