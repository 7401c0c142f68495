using System.CommandLine;
using System.ComponentModel.DataAnnotations;
using System.Net.Sockets;
using System.Security.Cryptography;
using Baton.Cli.Supervision;
using Baton.Core.Engine;
using Baton.Core.Engine.Simulated;
using Baton.Core.Ids;
using Baton.Core.Ranks;
using Baton.LlamaCpp.Engine;
using Baton.Serving;
using Baton.Serving.Workers;
using Microsoft.Extensions.Logging;

namespace Baton.Cli.Commands;

/// <summary><c>baton serve</c>: a worker, unified or one half of a disaggregated pair.</summary>
internal static class ServeCommand
{
    private static readonly ServeOptions Defaults = new();

    private static readonly Option<string?> ModelPath = new("--model-path", "--model", "-m") { Description = "GGUF file to serve. Without it: the demo model, models/demo/baton-demo.gguf." };
    private static readonly Option<string?> ServedModelName = new("--served-model-name") { Description = "What clients see as the model's id. Default: the file's name." };
    private static readonly Option<string> Mode = Words("--disaggregation-mode", "null serves both phases; prefill and decode are the halves of a pair.", "null", "null", "prefill", "decode");
    private static readonly Option<string> Host = new("--host") { Description = "Address to listen on.", DefaultValueFactory = _ => Defaults.Host };
    private static readonly Option<int?> Port = new("--port") { Description = "Port to listen on; 0 takes a free one. Default: 30000, prefill 30001, decode 30101." };
    private static readonly Option<string?> ApiKey = new("--api-key") { Description = "When set, all but health and metrics need it as Authorization: Bearer." };
    private static readonly Option<int> DpSize = Count("--dp-size", "Data-parallel ranks: one context and one thread each.", Defaults.DpSize);
    private static readonly Option<string> Balance = Words("--load-balance-method", "How requests without a rank of their own are spread. auto is least_work.", LoadBalanceMethods.Auto,
        LoadBalanceMethods.Auto, "round_robin", "follow_bootstrap_room", "total_requests", "total_tokens", "least_work");
    private static readonly Option<int> ChunkedPrefillSize = Count("--chunked-prefill-size", "Tokens of a prompt that are computed and handed over together.", Defaults.ChunkedPrefillSize);
    private static readonly Option<int> MaxRunning = Count("--max-running-requests", "Sequences of one rank that hold KV cells at once.", Defaults.MaxRunningRequests);
    private static readonly Option<int> MaxQueued = Count("--max-queued-requests", "Requests that may wait in one rank besides; more get 503.", Defaults.MaxQueuedRequests);
    private static readonly Option<int?> MaxTotalTokens = new("--max-total-tokens") { Description = "KV cells of one rank. Default: the engine's." };
    private static readonly Option<int?> ContextLength = new("--context-length") { Description = "Longest sequence, prompt plus answer. Default: what the model was trained for, at most 8192." };
    private static readonly Option<int> MaxBatchTokens = Count("--max-batch-tokens", "Tokens that one step may compute.", Defaults.MaxBatchTokens);
    private static readonly Option<int> ReservedDecode = Count("--num-reserved-decode-tokens", "KV cells set aside for an answer when its prompt is admitted.", Defaults.NumReservedDecodeTokens);
    private static readonly Option<int> Threads = Count("--threads", "Compute threads of one rank. The sum over all ranks of a machine must stay below its cores.", Defaults.Threads);
    private static readonly Option<int> GpuLayers = Count("--gpu-layers", "Layers on a GPU; -1 is all. Means nothing to the CPU libraries.", Defaults.GpuLayers);
    private static readonly Option<string> KvCacheType = Words("--kv-cache-dtype", "Type of KV cells; auto is f16. Equal on both halves of a pair.", "auto", "auto", "f32", "f16", "q8_0");
    private static readonly Option<string?> ChatTemplate = new("--chat-template") { Description = "A template family (chatml, llama3, ...) instead of the model's own." };
    private static readonly Option<string?> LlamaLibrary = new("--llama-library") { Description = "Folder with the llama.cpp libraries. Without it: where the build put them." };
    private static readonly Option<string> Engine = Words("--engine", "llama (llama.cpp) or simulated (a cost model that needs no model file).", "llama", "llama", "simulated");
    private static readonly Option<string> SimulatedCost = new("--simulated-cost")
    {
        Description = "Milliseconds of a simulated step: fixed, prompt (a token), attention (a token pair), row (a decode row), row-context, copy (a token).",
        DefaultValueFactory = _ => Defaults.Simulated.Cost.ToString(),
    };
    private static readonly Option<double> SimulatedTimeScale = new("--simulated-time-scale") { Description = "Simulated time is multiplied by this before it is waited for; 0 does not wait.", DefaultValueFactory = _ => Defaults.Simulated.TimeScale };
    private static readonly Option<ulong?> RandomSeed = new("--random-seed") { Description = "Of request ids, jitter and sampling seeds that clients leave out. Default: drawn at start." };
    private static readonly Option<double> DrainTimeout = new("--drain-timeout") { Description = "Seconds that running requests get after SIGTERM or Ctrl-C.", DefaultValueFactory = _ => Defaults.DrainTimeout.TotalSeconds };
    private static readonly Option<long> MaxBodyBytes = new("--max-payload-size") { Description = "Largest request body in bytes.", DefaultValueFactory = _ => Defaults.Limits.MaxBodyBytes };
    private static readonly Option<int> MaxBatchSize = Count("--max-batch-size", "Prompts times samples of one HTTP request.", Defaults.Limits.MaxSequencesPerCall);
    private static readonly Option<LogLevel> Level = new("--log-level") { Description = "Least severe line that is logged.", DefaultValueFactory = _ => LogLevel.Information };

    public static Command Create(TimeProvider time)
    {
        Command command = new("serve", "Serves a model: the native and the OpenAI API, unified or as the prefill or decode half of a pair.")
        {
            ModelPath, ServedModelName, Mode, Host, Port, ApiKey, DpSize, Balance, ChunkedPrefillSize, MaxRunning, MaxQueued, MaxTotalTokens, ContextLength,
            MaxBatchTokens, ReservedDecode, Threads, GpuLayers, KvCacheType, ChatTemplate, LlamaLibrary, Engine, SimulatedCost, SimulatedTimeScale,
            RandomSeed, DrainTimeout, MaxBodyBytes, MaxBatchSize, Level,
        };
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

    private static ServeOptions Read(ParseResult parse) => Defaults with
    {
        Role = parse.GetValue(Mode) switch { "prefill" => WorkerRole.Prefill, "decode" => WorkerRole.Decode, _ => WorkerRole.Unified },
        Engine = parse.GetValue(Engine) == "simulated" ? EngineKind.Simulated : EngineKind.Llama,
        ModelPath = parse.GetValue(ModelPath) ?? DemoModel.Find(),
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
        Simulated = Defaults.Simulated with { Cost = CostModel.Parse(parse.GetValue(SimulatedCost)!), TimeScale = parse.GetValue(SimulatedTimeScale) },
        RandomSeed = parse.GetValue(RandomSeed) ?? BitConverter.ToUInt64(RandomNumberGenerator.GetBytes(8)),
        DrainTimeout = TimeSpan.FromSeconds(parse.GetValue(DrainTimeout)),
        Limits = Defaults.Limits with { MaxBodyBytes = parse.GetValue(MaxBodyBytes), MaxSequencesPerCall = parse.GetValue(MaxBatchSize) },
    };

    private static Option<int> Count(string name, string description, int value) => new(name) { Description = description, DefaultValueFactory = _ => value };

    private static Option<string> Words(string name, string description, string value, params string[] allowed)
    {
        Option<string> option = new(name) { Description = description, DefaultValueFactory = _ => value };
        option.AcceptOnlyFromAmong(allowed);
        return option;
    }
}
