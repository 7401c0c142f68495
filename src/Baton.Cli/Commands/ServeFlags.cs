using System.CommandLine;
using Baton.Core.Ranks;
using Baton.Serving.Workers;
using Microsoft.Extensions.Logging;

namespace Baton.Cli.Commands;

/// <summary>Every flag of <c>baton serve</c>. Defaults are printed from <see cref="ServeOptions"/>.</summary>
internal static class ServeFlags
{
    public static readonly ServeOptions Defaults = new();

    public static readonly Option<string?> ModelPath = new("--model-path", "--model", "-m") { Description = "GGUF file to serve. Without it: the demo model, models/demo/baton-demo.gguf." };
    public static readonly Option<string?> ServedModelName = new("--served-model-name") { Description = "What clients see as the model's id. Default: the file's name." };
    public static readonly Option<string> Mode = Words("--disaggregation-mode", "null serves both phases; prefill and decode are the halves of a pair.", "null", "null", "prefill", "decode");
    public static readonly Option<string> Host = new("--host") { Description = "Address to listen on.", DefaultValueFactory = _ => Defaults.Host };
    public static readonly Option<int?> Port = new("--port") { Description = "Port to listen on; 0 takes a free one. Default: 30000, prefill 30001, decode 30101." };
    public static readonly Option<string?> ApiKey = new("--api-key") { Description = "When set, all but health and metrics need it as Authorization: Bearer." };
    public static readonly Option<int> DpSize = Count("--dp-size", "Data-parallel ranks: one context and one thread each.", Defaults.DpSize);
    public static readonly Option<string> Balance = Words("--load-balance-method", "How requests without a rank of their own are spread. auto is least_work.", LoadBalanceMethods.Auto,
        LoadBalanceMethods.Auto, "round_robin", "follow_bootstrap_room", "total_requests", "total_tokens", "least_work");
    public static readonly Option<int> ChunkedPrefillSize = Count("--chunked-prefill-size", "Tokens of a prompt that are computed and handed over together.", Defaults.ChunkedPrefillSize);
    public static readonly Option<int> MaxRunning = Count("--max-running-requests", "Sequences of one rank that hold KV cells at once.", Defaults.MaxRunningRequests);
    public static readonly Option<int> MaxQueued = Count("--max-queued-requests", "Requests that may wait in one rank besides; more get 503.", Defaults.MaxQueuedRequests);
    public static readonly Option<int?> MaxTotalTokens = new("--max-total-tokens") { Description = "KV cells of one rank. Default: the engine's." };
    public static readonly Option<int?> ContextLength = new("--context-length") { Description = "Longest sequence, prompt plus answer. Default: what the model was trained for, at most 8192." };
    public static readonly Option<int> MaxBatchTokens = Count("--max-batch-tokens", "Tokens that one step may compute.", Defaults.MaxBatchTokens);
    public static readonly Option<int> ReservedDecode = Count("--num-reserved-decode-tokens", "KV cells set aside for an answer when its prompt is admitted, and left to each running answer to grow when decode claims another prompt.", Defaults.NumReservedDecodeTokens);
    public static readonly Option<int> Threads = Count("--threads", "Compute threads of one rank. The sum over all ranks of a machine must stay below its cores.", Defaults.Threads);
    public static readonly Option<int> GpuLayers = Count("--gpu-layers", "Layers on a GPU; -1 is all. Means nothing to the CPU libraries.", Defaults.GpuLayers);
    public static readonly Option<string> KvCacheType = Words("--kv-cache-dtype", "Type of KV cells; auto is f16. Equal on both halves of a pair.", "auto", "auto", "f32", "f16", "q8_0");
    public static readonly Option<string?> ChatTemplate = new("--chat-template") { Description = "A template family (chatml, llama3, ...) instead of the model's own." };
    public static readonly Option<string?> LlamaLibrary = new("--llama-library") { Description = "Folder with the llama.cpp libraries. Without it: where the build put them." };
    public static readonly Option<string> Engine = Words("--engine", "llama (llama.cpp) or simulated (a cost model that needs no model file).", "llama", "llama", "simulated");
    public static readonly Option<string> SimulatedCost = new("--simulated-cost")
    {
        Description = "Milliseconds of a simulated step: fixed, prompt (a token), attention (a token pair), row (a decode row), row-context, copy (a token); or fitted:FILE with a file of 'baton simulate fit'.",
        DefaultValueFactory = _ => Defaults.Simulated.Cost.ToString(),
    };
    public static readonly Option<double> SimulatedTimeScale = new("--simulated-time-scale") { Description = "Simulated time is multiplied by this before it is waited for; 0 does not wait.", DefaultValueFactory = _ => Defaults.Simulated.TimeScale };
    public static readonly Option<ulong?> RandomSeed = new("--random-seed") { Description = "Of request ids, jitter and sampling seeds that clients leave out. Default: drawn at start." };
    public static readonly Option<double> DrainTimeout = new("--drain-timeout") { Description = "Seconds that running requests get after SIGTERM or Ctrl-C.", DefaultValueFactory = _ => Defaults.DrainTimeout.TotalSeconds };
    public static readonly Option<long> MaxBodyBytes = new("--max-payload-size") { Description = "Largest request body in bytes.", DefaultValueFactory = _ => Defaults.Limits.MaxBodyBytes };
    public static readonly Option<int> MaxBatchSize = Count("--max-batch-size", "Prompts times samples of one HTTP request.", Defaults.Limits.MaxSequencesPerCall);
    public static readonly Option<LogLevel> Level = new("--log-level") { Description = "Least severe line that is logged; info and warn are understood.", CustomParser = OptionText.Level, DefaultValueFactory = _ => LogLevel.Information };

    // Disaggregation.
    public static readonly Option<string> TransferBackend = new("--disaggregation-transfer-backend") { Description = "tcp, or fake: no byte is moved, for tests of one half alone.", DefaultValueFactory = _ => Defaults.TransferBackend };
    public static readonly Option<int> BootstrapPort = Count("--disaggregation-bootstrap-port", "Prefill: port of its bootstrap server, 0 takes a free one. Both: port for requests that name none.", Defaults.BootstrapPort);
    public static readonly Option<string?> BootstrapServer = new("--bootstrap-server") { Description = "Prefill: HOST:PORT of a bootstrap server elsewhere (baton bootstrap), instead of one in this process." };
    public static readonly Option<string?> BootstrapToken = new("--bootstrap-token") { Description = "Token that writing to the bootstrap server needs. Default: SGLANG_DISAGGREGATION_BOOTSTRAP_AUTH_TOKEN, or none." };
    public static readonly Option<double?> ResolveTimeout = new("--disaggregation-resolve-timeout") { Description = "Decode: seconds until a request whose prefill rank is not known fails. Default: the smaller of bootstrap and waiting timeout." };
    public static readonly Option<string?> KvHost = new("--kv-host") { Description = "Prefill: IP address of the KV listeners. Anything but loopback needs --cluster-secret. Default: --host." };
    public static readonly Option<int> KvPort = Count("--kv-port", "Prefill: KV port of rank 0; rank r takes this plus r. 0 takes free ones.", Defaults.KvPort);
    public static readonly Option<string?> KvAdvertiseHost = new("--kv-advertise-host") { Description = "Prefill: what decode connects to, when that differs from --kv-host." };
    public static readonly Option<string?> ClusterSecret = new("--cluster-secret") { Description = "Shared by all workers; both ends of a KV link prove that they know it. Default: BATON_CLUSTER_SECRET, or none." };

    // Registration.
    public static readonly Option<string[]> Router = new("--router") { Description = "A router's base URL: the worker registers itself there, stays while it runs, and leaves when it stops. Repeatable.", DefaultValueFactory = _ => [] };
    public static readonly Option<string?> RouterKey = new("--router-key") { Description = "The routers' --admin-key. Default: BATON_ROUTER_KEY, or none." };
    public static readonly Option<string?> AdvertiseUrl = new("--advertise-url") { Description = "Base URL by which routers reach this worker, when that differs from --host and --port." };

    public static IReadOnlyList<Option> All { get; } =
    [
        ModelPath, ServedModelName, Mode, Host, Port, ApiKey, DpSize, Balance, ChunkedPrefillSize, MaxRunning, MaxQueued, MaxTotalTokens, ContextLength, MaxBatchTokens, ReservedDecode, Threads, GpuLayers, KvCacheType, ChatTemplate, LlamaLibrary, Engine, SimulatedCost, SimulatedTimeScale, RandomSeed, DrainTimeout, MaxBodyBytes, MaxBatchSize, Level, TransferBackend, BootstrapPort, BootstrapServer, BootstrapToken, ResolveTimeout, KvHost, KvPort, KvAdvertiseHost, ClusterSecret, Router, RouterKey, AdvertiseUrl,
    ];

    private static Option<int> Count(string name, string description, int value) => new(name) { Description = description, DefaultValueFactory = _ => value };

    private static Option<string> Words(string name, string description, string value, params string[] allowed)
    {
        Option<string> option = new(name) { Description = description, DefaultValueFactory = _ => value };
        option.Among(allowed);
        return option;
    }
}
