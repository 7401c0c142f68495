using System.ComponentModel;
using System.Diagnostics;
using System.Net;
using Baton.Cli.Supervision;

namespace Baton.Cli.Doctor;

/// <summary>What <c>baton doctor</c> looks at. Each check is cheap and changes nothing.</summary>
internal static class MachineChecks
{
    private const int DefaultRanks = 4;
    private const long SmallMemoryBytes = 2L << 30;
    private static readonly TimeSpan NodeDeadline = TimeSpan.FromSeconds(10);

    public static DoctorCheck Cores(int cores) => cores switch
    {
        < 2 => new("cores", Verdict.Warning, $"{cores} core", "Prefill and decode share it: use `baton up --prefill-dp 1 --decode-dp 1`, and expect no gain over --unified."),
        < DefaultRanks => new("cores", Verdict.Warning, $"{cores} cores for the {DefaultRanks} ranks of a plain `baton up`", "It works, with ranks that wait for each other; measure with one rank a side."),
        _ => new("cores", Verdict.Good, $"{cores} cores"),
    };

    public static DoctorCheck Memory(long availableBytes)
    {
        string finding = $"{availableBytes / (double)(1L << 30):0.0} GiB for this process";
        return availableBytes < SmallMemoryBytes
            ? new("memory", Verdict.Warning, finding, "Enough for the demo model only. Every worker process loads the model once.")
            : new("memory", Verdict.Good, finding);
    }

    public static DoctorCheck Port(IPAddress address, int port) => FreePorts.WhyTaken(address, port) is { } why
        ? new($"port {port}", Verdict.Bad, why, "Stop the process that listens there, or choose another port with --port.")
        : new($"port {port}", Verdict.Good, $"free on {address}");

    /// <summary>Reads the first bytes of the file, as llama.cpp will.</summary>
    public static DoctorCheck Model(string? path)
    {
        if (path is null) return new("model", Verdict.Bad, "the demo model was not found", "Run inside a checkout, or name a GGUF file with --model-path.");
        if (!File.Exists(path)) return new("model", Verdict.Bad, $"{path} does not exist", "Name a GGUF file with --model-path.");
        try
        {
            using FileStream file = File.OpenRead(path);
            Span<byte> magic = stackalloc byte[4];
            bool isGguf = file.ReadAtLeast(magic, magic.Length, throwOnEndOfStream: false) == magic.Length && magic.SequenceEqual("GGUF"u8);
            return isGguf
                ? new("model", Verdict.Good, $"{path}, {file.Length / 1e6:0.0} MB")
                : new("model", Verdict.Bad, $"{path} does not begin with GGUF", "It is no GGUF file, or only a pointer to one (Git LFS): fetch the real file.");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return new("model", Verdict.Bad, $"{path}: {e.Message}", "Make the file readable for this user.");
        }
    }

    /// <summary>Node.js brings npm, and npm brings the llama.cpp libraries when the checkout is built for the first time.</summary>
    public static async Task<DoctorCheck> NodeAsync(TimeProvider time)
    {
        const string advice = "Needed only to build: install Node.js 20 or newer, or name a llama.cpp library with --llama-library.";
        try
        {
            using Process node = Process.Start(new ProcessStartInfo("node", "--version") { RedirectStandardOutput = true, UseShellExecute = false })
                ?? throw new InvalidOperationException("node did not start.");
            using CancellationTokenSource deadline = new(NodeDeadline, time);
            string version = (await node.StandardOutput.ReadToEndAsync(deadline.Token)).Trim();
            return new("node.js", Verdict.Good, version);
        }
        catch (Exception e) when (e is Win32Exception or OperationCanceledException)
        {
            return new("node.js", Verdict.Warning, $"not usable ({e.Message})", advice);
        }
    }
}
