using System.CommandLine;
using System.Net;
using Baton.Cli.Doctor;
using Baton.Cli.Supervision;

namespace Baton.Cli.Commands;

/// <summary><c>baton doctor</c>: looks at this machine and says what to do.</summary>
internal static class DoctorCommand
{
    private static readonly Option<int> Port = new("--port") { Description = "Port that `baton up` shall use.", DefaultValueFactory = _ => ClusterOptions.DefaultPort };
    private static readonly Option<string?> ModelPath = new("--model-path", "--model", "-m") { Description = "GGUF file that shall be served. Without it: the demo model." };

    public static Command Create(TimeProvider time)
    {
        Command command = new("doctor", "Check whether this machine can run Baton, and say what to do where it cannot.") { Port, ModelPath };
        command.SetAction((parsed, _) => RunAsync(parsed, time));
        return command;
    }

    private static async Task<int> RunAsync(ParseResult parsed, TimeProvider time)
    {
        DoctorCheck[] checks =
        [
            new(".net", Verdict.Good, $"{Environment.Version} on {Environment.OSVersion.Platform} {System.Runtime.InteropServices.RuntimeInformation.OSArchitecture}"),
            await MachineChecks.NodeAsync(time),
            MachineChecks.Model(parsed.GetValue(ModelPath) is { } path ? Path.GetFullPath(path) : DemoModel.Find()),
            MachineChecks.Port(IPAddress.Loopback, parsed.GetValue(Port)),
            MachineChecks.Cores(Environment.ProcessorCount),
            MachineChecks.Memory(GC.GetGCMemoryInfo().TotalAvailableMemoryBytes),
        ];
        foreach (DoctorCheck check in checks) Write(check);

        return checks.Any(check => check.Verdict == Verdict.Bad) ? ExitCodes.Failed : ExitCodes.Success;
    }

    private static void Write(DoctorCheck check)
    {
        string mark = check.Verdict switch { Verdict.Good => "ok  ", Verdict.Warning => "warn", _ => "BAD " };
        Console.WriteLine($"{mark}  {check.Subject,-12} {check.Finding}");
        if (check.Advice.Length > 0) Console.WriteLine($"      {"",-12} -> {check.Advice}");
    }
}
