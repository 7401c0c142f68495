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

    private static readonly Option<string?> LlamaLibrary = new("--llama-library") { Description = "Folder with the llama.cpp libraries. Without it: where the build put them." };

    public static Command Create(TimeProvider time)
    {
        Command command = new("doctor", "Check whether this machine can run Baton, and say what to do where it cannot.") { Port, ModelPath, LlamaLibrary };
        command.SetAction((parsed, _) => RunAsync(parsed, time));
        return command;
    }

    private static async Task<int> RunAsync(ParseResult parsed, TimeProvider time)
    {
        string? modelPath = parsed.GetValue(ModelPath) is { } path ? Path.GetFullPath(path) : DemoModel.Find();
        DoctorCheck model = MachineChecks.Model(modelPath);
        List<DoctorCheck> checks =
        [
            new(".net", Verdict.Good, $"{Environment.Version} on {Environment.OSVersion.Platform} {System.Runtime.InteropServices.RuntimeInformation.OSArchitecture}"),
            await MachineChecks.NodeAsync(time),
            model,
            MachineChecks.Port(IPAddress.Loopback, parsed.GetValue(Port)),
            MachineChecks.Cores(Environment.ProcessorCount),
            MachineChecks.Memory(GC.GetGCMemoryInfo().TotalAvailableMemoryBytes),
        ];
        if (model.Verdict == Verdict.Good) checks.Add(EngineCheck.Run(modelPath!, parsed.GetValue(LlamaLibrary)));
        foreach (DoctorCheck check in checks) Write(check);

        return checks.Exists(check => check.Verdict == Verdict.Bad) ? ExitCodes.Failed : ExitCodes.Success;
    }

    private static void Write(DoctorCheck check)
    {
        string mark = check.Verdict switch { Verdict.Good => "ok  ", Verdict.Warning => "warn", _ => "BAD " };
        Console.WriteLine($"{mark}  {check.Subject,-12} {check.Finding}");
        if (check.Advice.Length > 0) Console.WriteLine($"      {"",-12} -> {check.Advice}");
    }
}
