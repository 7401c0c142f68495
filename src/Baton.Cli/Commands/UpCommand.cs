using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Parsing;
using System.Net;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using Baton.Cli.Supervision;

namespace Baton.Cli.Commands;

/// <summary><c>baton up</c>: a whole cluster on this machine with one command.</summary>
internal static class UpCommand
{
    private const int SecretBytes = 32;
    private static readonly TimeSpan StopMargin = TimeSpan.FromSeconds(5);

    private static readonly Option<int> Port = Count("--port", "Port that clients talk to.", ClusterOptions.DefaultPort, 1, 65535);
    private static readonly Option<string> Host = new("--host")
    {
        Description = "Address that clients talk to. The workers behind the router stay on loopback.",
        DefaultValueFactory = _ => "127.0.0.1",
    };
    private static readonly Option<int> Prefill = Count("--prefill", "Prefill workers.", 1, 1, 64);
    private static readonly Option<int> Decode = Count("--decode", "Decode workers.", 1, 1, 64);
    private static readonly Option<int> PrefillDp = Count("--prefill-dp", "Data-parallel ranks of each prefill worker (with --unified: of the worker).", 2, 1, 64);
    private static readonly Option<int> DecodeDp = Count("--decode-dp", "Data-parallel ranks of each decode worker.", 2, 1, 64);
    private static readonly Option<bool> Unified = new("--unified") { Description = "One worker that does both phases, without a router: the baseline to compare with." };
    private static readonly Option<string?> ApiKey = new("--api-key")
    {
        Description = "What clients must send as Authorization: Bearer; router and workers all ask for it. It is seen in the list of processes.",
    };
    private static readonly Option<string?> ModelPath = new("--model-path", "--model", "-m")
    {
        Description = "Any GGUF file. Without it: the demo model, models/demo/baton-demo.gguf.",
    };
    /// <summary>Flags of <c>baton serve</c> that this command decides itself for each worker.</summary>
    private static readonly string[] DecidedHere =
    [
        "--host", "--port", "--dp-size", "--model-path", "--disaggregation-mode", "--disaggregation-bootstrap-port", "--api-key",
    ];

    private static readonly Option<int> StartTimeout = Count("--start-timeout", "Seconds until the first token must have come through.", 300, 1, 86400);
    /// <param name="serve">Its other flags are also flags of this command, and go to every worker as they were written.</param>
    public static Command Create(Command serve, TimeProvider time)
    {
        Command command = new("up", "Start a router, prefill workers and decode workers on this machine, and keep them running.")
        {
            Port, Host, Prefill, Decode, PrefillDp, DecodeDp, Unified, ModelPath, ApiKey, StartTimeout,
        };
        Option[] workerFlags = [.. serve.Options.Where(option => !DecidedHere.Contains(option.Name) && option is not HelpOption)];
        foreach (Option flag in workerFlags) command.Add(flag);
        command.SetAction((parsed, ct) => RunAsync(parsed, workerFlags, time, ct));
        return command;
    }

    private static async Task<int> RunAsync(ParseResult parsed, Option[] workerFlags, TimeProvider time, CancellationToken ct)
    {
        ClusterOptions options = Read(parsed, workerFlags);
        string? problem = FindProblem(options, parsed, out int exitCode);
        if (problem is not null)
        {
            await Console.Error.WriteLineAsync(problem);
            return exitCode;
        }

        ClusterPlan plan = ClusterPlan.Create(options, FreePorts.Take(options.InternalPortCount, except: options.Port));
        ChildLauncher launcher = new(SelfExecutable.Current, SharedEnvironment());
        LineBoard board = new(Console.Out, plan.Children.Max(child => child.Name.Length));
        using HttpClient http = new() { Timeout = Timeout.InfiniteTimeSpan };
        if (options.ApiKey is { } key) http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", key);
        Supervisor supervisor = new(options, plan, launcher, new ClusterProbe(http, time), board, time);
        return await supervisor.RunAsync(ct);
    }

    private static ClusterOptions Read(ParseResult parsed, Option[] workerFlags)
    {
        return new ClusterOptions
        {
            Host = parsed.GetValue(Host)!,
            Port = parsed.GetValue(Port),
            PrefillWorkers = parsed.GetValue(Prefill),
            DecodeWorkers = parsed.GetValue(Decode),
            PrefillDpSize = parsed.GetValue(PrefillDp),
            DecodeDpSize = parsed.GetValue(DecodeDp),
            IsUnified = parsed.GetValue(Unified),
            ApiKey = parsed.GetValue(ApiKey),
            ModelPath = NeedsNoModel(parsed) ? null : FullPath(parsed.GetValue(ModelPath)) ?? DemoModel.Find(),
            WorkerArguments = [.. workerFlags.SelectMany(flag => AsWritten(flag, parsed.GetResult(flag)))],
            // A worker that uses its whole drain time to end its requests must still get to say so.
            StopTimeout = TimeSpan.FromSeconds(parsed.GetValue<double>("--drain-timeout")) + StopMargin,
            StartTimeout = TimeSpan.FromSeconds(parsed.GetValue(StartTimeout)),
        };
    }

    private static bool NeedsNoModel(ParseResult parsed) => parsed.GetValue<string>("--engine") == "simulated";

    private static IEnumerable<string> AsWritten(Option flag, OptionResult? result) =>
        result is null or { Implicit: true } ? [] : [flag.Name, .. result.Tokens.Select(token => token.Value)];

    private static string? FullPath(string? path) => path is null ? null : Path.GetFullPath(path);

    /// <returns>What is wrong and what to do, or null.</returns>
    private static string? FindProblem(ClusterOptions options, ParseResult parsed, out int exitCode)
    {
        exitCode = ExitCodes.BadArguments;
        if (!NeedsNoModel(parsed))
        {
            if (options.ModelPath is null)
                return "No model: models/demo/baton-demo.gguf is neither in this directory or one above it nor beside the program. Name a GGUF file with --model-path.";
            if (!File.Exists(options.ModelPath)) return $"There is no model file {options.ModelPath}. Name a GGUF file with --model-path.";
        }

        exitCode = ExitCodes.PortTaken;
        IPAddress address = IPAddress.TryParse(options.Host, out IPAddress? given) ? given : IPAddress.Loopback;
        return FreePorts.WhyTaken(address, options.Port) is { } why
            ? $"Port {options.Port} on {options.Host} cannot be used ({why}). Stop the process that listens there, or choose another port with --port."
            : null;
    }

    /// <summary>The secret that guards KV links, new for each run.</summary>
    private static Dictionary<string, string> SharedEnvironment() =>
        new() { ["BATON_CLUSTER_SECRET"] = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(SecretBytes)) };

    private static Option<int> Count(string name, string description, int standard, int smallest, int largest)
    {
        Option<int> option = new(name) { Description = description, DefaultValueFactory = _ => standard };
        option.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<int>() is int value && (value < smallest || value > largest))
                result.AddError($"{name} must be between {smallest} and {largest}, and is {value}.");
        });
        return option;
    }
}
