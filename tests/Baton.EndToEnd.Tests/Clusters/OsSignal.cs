using System.Diagnostics;
using System.Globalization;

namespace Baton.EndToEnd.Tests.Clusters;

/// <summary>Signals, as a person sends them from a shell.</summary>
internal static class OsSignal
{
    /// <param name="name">INT is Ctrl-C, TERM a polite end, KILL the end without a word.</param>
    public static void Send(string name, int processId)
    {
        using Process kill = Process.Start("/bin/sh", ["-c", $"kill -{name} {processId.ToString(CultureInfo.InvariantCulture)}"]);
        kill.WaitForExit();
        Assert.Equal(0, kill.ExitCode);
    }

    /// <summary>Whether a process still runs. One that ended and was not collected by its parent yet does not.</summary>
    public static bool IsRunning(int processId)
    {
        string status = $"/proc/{processId.ToString(CultureInfo.InvariantCulture)}/stat";
        try
        {
            // The state is the first letter after the name, which is in parentheses and may hold anything.
            string stat = File.ReadAllText(status);
            return stat[stat.LastIndexOf(')') + 2] is not ('Z' or 'X');
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }
}
