using System.CommandLine;
using System.ComponentModel.DataAnnotations;
using System.Net.Sockets;
using System.Security.Cryptography;
using Baton.Cli.Supervision;
using Baton.Core.Engine;
using Baton.Core.Ids;
using Baton.Core.Ranks;
using Baton.LlamaCpp.Engine;
using Baton.Serving;
using Baton.Serving.Workers;
using Baton.Simulation.Fitting;
using Microsoft.Extensions.Logging;
using static Baton.Cli.Commands.ServeFlags;

namespace Baton.Cli.Commands;

/// <summary><c>baton serve</c>: a worker, unified or one half of a disaggregated pair.</summary>
internal static class ServeCommand
{
    public static Command Create(TimeProvider time)
    {
        Command command = new("serve", "Serves a model: the native and the OpenAI API, unified or as the prefill or decode half of a pair.");
        foreach (Option flag in All) command.Add(flag);
        SglangFlags.AddTo(command, SglangFlags.OfServer);
        command.SetAction((parse, ct) => RunAsync(parse, time, ct));
        return command;
    }

    private static async Task<int> RunAsync(ParseResult parse, TimeProvider time, CancellationToken ct)
    {
        using ILoggerFactory loggers = LoggerFactory.Create(logging => logging
            .SetMinimumLevel(parse.GetValue(Level)).AddFilter("Microsoft", LogLevel.Warning).AddSimpleConsole(console => console.SingleLine = true));
        try
        {
            ServeOptions options = Read(parse);
            ILogger logger = loggers.CreateLogger("Baton.Cli.Serve");
            foreach (string variable in ServeOptions.FindVariablesWithoutMeaning(Environment.GetEnvironmentVariables().Keys.Cast<string>()))
                logger.LogWarning("{Variable} is set and means nothing to Baton", variable);
            await using ServingHost host = await ServingHost.StartAsync(options, time, loggers, ct);
            await host.RunAsync(ct);
            return ExitCodes.Success;
        }
        catch (Exception wrong) when (wrong is ValidationException or FormatException)
        {
            await Console.Error.WriteLineAsync(wrong.Message);
            return ExitCodes.BadArguments;
        }
        catch (Exception taken) when (taken is IOException or SocketException)
        {
            await Console.Error.WriteLineAsync($"Cannot listen on {parse.GetValue(Host)}: {taken.Message}");
            return ExitCodes.PortTaken;
        }
        catch (Exception broken) when (broken is EngineException or InvalidOperationException)
        {
            await Console.Error.WriteLineAsync(broken.Message);
            return ExitCodes.Failed;
        }
        catch (OperationCanceledException) when (ct.IsCancellationRequested)
        {
            return ExitCodes.Success;
        }
    }

    private static ServeOptions Read(ParseResult parse)
    {
        ServeOptions environment = Defaults.FromEnvironment(Environment.GetEnvironmentVariable);
        bool isSimulated = parse.GetValue(Engine) == "simulated";
        return environment with
        {
            Role = parse.GetValue(Mode) switch { "prefill" => WorkerRole.Prefill, "decode" => WorkerRole.Decode, _ => WorkerRole.Unified },
            Engine = isSimulated ? EngineKind.Simulated : EngineKind.Llama,
            ModelPath = parse.GetValue(ModelPath) ?? (isSimulated ? null : DemoModel.Find()),
            ServedModelName = parse.GetValue(ServedModelName),
            Host = parse.GetValue(Host)!,
            Port = parse.GetValue(Port),
            ApiKey = parse.GetValue(ApiKey),
            DpSize = parse.GetValue(DpSize),
            LoadBalanceMethod = LoadBalanceMethods.TryParse(parse.GetValue(Balance)!, out LoadBalanceMethod method) ? method : null,
            ChunkedPrefillSize = parse.GetValue(ChunkedPrefillSize),
            MaxRunningRequests = parse.GetValue(MaxRunning),
            MaxQueuedRequests = parse.GetValue(MaxQueued),
            MaxTotalTokens = parse.GetValue(MaxTotalTokens),
            ContextLength = parse.GetValue(ContextLength),
            MaxBatchTokens = parse.GetValue(MaxBatchTokens),
            NumReservedDecodeTokens = parse.GetValue(ReservedDecode),
            Threads = parse.GetValue(Threads),
            GpuLayers = parse.GetValue(GpuLayers),
            KvCacheType = parse.GetValue(KvCacheType) switch { "f32" => KvCellType.F32, "q8_0" => KvCellType.Q8, _ => KvCellType.F16 },
            ChatTemplate = parse.GetValue(ChatTemplate),
            LlamaLibrary = parse.GetValue(LlamaLibrary),
            Simulated = Defaults.Simulated with { Cost = CostModelText.Read(parse.GetValue(SimulatedCost)!), TimeScale = parse.GetValue(SimulatedTimeScale) },
            RandomSeed = parse.GetValue(RandomSeed) ?? BitConverter.ToUInt64(RandomNumberGenerator.GetBytes(8)),
            DrainTimeout = TimeSpan.FromSeconds(parse.GetValue(DrainTimeout)),
            Limits = Defaults.Limits with { MaxBodyBytes = parse.GetValue(MaxBodyBytes), MaxSequencesPerCall = parse.GetValue(MaxBatchSize) },
            TransferBackend = parse.GetValue(TransferBackend)!,
            BootstrapPort = parse.GetValue(BootstrapPort),
            BootstrapServer = parse.GetValue(BootstrapServer) is { } server ? ServeOptions.ParseBootstrapServer(server) : null,
            BootstrapToken = parse.GetValue(BootstrapToken) ?? environment.BootstrapToken,
            ResolveTimeout = parse.GetValue(ResolveTimeout) is { } seconds ? TimeSpan.FromSeconds(seconds) : null,
            KvHost = parse.GetValue(KvHost),
            KvPort = parse.GetValue(KvPort),
            KvAdvertiseHost = parse.GetValue(KvAdvertiseHost),
            ClusterSecret = parse.GetValue(ClusterSecret) ?? environment.ClusterSecret,
            Routers = [.. (parse.GetValue(ServeFlags.Router) ?? []).Select(url => ServeOptions.ParseBaseUrl("--router", url))],
            RouterKey = parse.GetValue(RouterKey) ?? environment.RouterKey,
            AdvertiseUrl = parse.GetValue(AdvertiseUrl) is { } self ? ServeOptions.ParseBaseUrl("--advertise-url", self) : null,
        };
    }
}
