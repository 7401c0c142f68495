using System.ComponentModel.DataAnnotations;
using Baton.Core.Engine.Simulated;
using Baton.Core.Ids;
using Baton.Core.Ranks;
using Baton.LlamaCpp.Engine;
using Baton.Serving.Requests;

namespace Baton.Serving.Workers;

/// <summary>Everything that <c>baton serve</c> can be told. Names follow SGLang's flags; defaults live here and nowhere else.</summary>
public sealed partial record ServeOptions
{
    /// <summary><c>--disaggregation-mode</c>.</summary>
    public WorkerRole Role { get; init; } = WorkerRole.Unified;

    public EngineKind Engine { get; init; } = EngineKind.Llama;

    /// <summary>A GGUF file; needed with the llama engine.</summary>
    public string? ModelPath { get; init; }

    /// <summary>What clients see as the model's id; null is the file's name.</summary>
    public string? ServedModelName { get; init; }

    public string Host { get; init; } = "127.0.0.1";

    /// <summary>Null is the role's default: 30000, prefill 30001, decode 30101. 0 takes a free one.</summary>
    [Range(0, 65535)]
    public int? Port { get; init; }

    public int EffectivePort => Port ?? Role switch { WorkerRole.Prefill => 30001, WorkerRole.Decode => 30101, _ => 30000 };

    /// <summary>When set, all but health and metrics need <c>Authorization: Bearer</c> with it.</summary>
    public string? ApiKey { get; init; }

    [Range(1, 256)]
    public int DpSize { get; init; } = 1;

    /// <summary>Null is <c>auto</c>.</summary>
    public LoadBalanceMethod? LoadBalanceMethod { get; init; }

    [Range(1, 65536)]
    public int ChunkedPrefillSize { get; init; } = 256;

    [Range(1, 4096)]
    public int MaxRunningRequests { get; init; } = 64;

    [Range(1, 1 << 20)]
    public int MaxQueuedRequests { get; init; } = 1024;

    /// <summary>KV cells of one rank; null lets the engine choose.</summary>
    [Range(256, int.MaxValue)]
    public int? MaxTotalTokens { get; init; }

    /// <summary>Longest sequence; null is what the model was trained for, at most 8192.</summary>
    [Range(1, int.MaxValue)]
    public int? ContextLength { get; init; }

    /// <summary>Tokens that one step may compute.</summary>
    [Range(1, 65536)]
    public int MaxBatchTokens { get; init; } = 512;

    [Range(1, 1 << 20)]
    public int NumReservedDecodeTokens { get; init; } = 512;

    /// <summary>Compute threads of one rank.</summary>
    [Range(1, 512)]
    public int Threads { get; init; } = 1;

    /// <summary>Layers on a GPU; -1 is all.</summary>
    [Range(-1, 1 << 16)]
    public int GpuLayers { get; init; } = -1;

    public KvCellType KvCacheType { get; init; } = KvCellType.F16;

    /// <summary>The type as SGLang's flag and the bootstrap server name it.</summary>
    public string KvCacheName => KvCacheType switch { KvCellType.F32 => "f32", KvCellType.Q8 => "q8_0", _ => "f16" };

    public string? ChatTemplate { get; init; }

    /// <summary>Folder with the llama.cpp libraries.</summary>
    public string? LlamaLibrary { get; init; }

    /// <summary>Of request ids, instance id, jitter and the sampling seeds that clients leave out. The composition root draws one when the user gives none.</summary>
    public ulong RandomSeed { get; init; }

    /// <summary>How long the requests inside may go on after SIGTERM.</summary>
    public TimeSpan DrainTimeout { get; init; } = TimeSpan.FromSeconds(20);

    /// <summary>Prefill: longest wait for decode's claim. SGLANG_DISAGGREGATION_BOOTSTRAP_TIMEOUT.</summary>
    public TimeSpan BootstrapTimeout { get; init; } = TimeSpan.FromSeconds(300);

    /// <summary>Longest time from claim to complete KV. SGLANG_DISAGGREGATION_WAITING_TIMEOUT.</summary>
    public TimeSpan WaitingTimeout { get; init; } = TimeSpan.FromSeconds(300);

    /// <summary><c>--disaggregation-resolve-timeout</c>; null is the smaller of the two timeouts above.</summary>
    public TimeSpan? ResolveTimeout { get; init; }

    /// <summary>SGLANG_DISAGGREGATION_HEARTBEAT_INTERVAL.</summary>
    public TimeSpan HeartbeatInterval { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>SGLANG_DISAGGREGATION_HEARTBEAT_MAX_FAILURE.</summary>
    [Range(1, 1000)]
    public int HeartbeatMaxFailure { get; init; } = 2;

    /// <summary>SGLANG_DISAGGREGATION_FORCE_QUERY_PREFILL_DP_RANK: always register, always ask. Set it on both sides.</summary>
    public bool ForceQueryPrefillDpRank { get; init; }

    /// <summary>Longest wait for a slot and cells.</summary>
    public TimeSpan QueueTimeout { get; init; } = TimeSpan.FromSeconds(600);

    /// <summary>How long /health_generate waits for its tokens. SGLang's HEALTH_CHECK_TIMEOUT.</summary>
    public TimeSpan HealthCheckTimeout { get; init; } = TimeSpan.FromSeconds(20);

    /// <summary><c>tcp</c>, or <c>fake</c>: no byte is moved and decode makes up the cache.</summary>
    public string TransferBackend { get; init; } = "tcp";

    /// <summary>Prefill: where its own bootstrap server listens. All: for requests that name no port. 0 takes a free one.</summary>
    [Range(0, 65535)]
    public int BootstrapPort { get; init; } = BootstrapAddress.DefaultPort;

    /// <summary>Prefill: a bootstrap server elsewhere, instead of one in this process.</summary>
    public BootstrapAddress? BootstrapServer { get; init; }

    /// <summary>Needed to write to the bootstrap server. SGLANG_DISAGGREGATION_BOOTSTRAP_AUTH_TOKEN.</summary>
    public string? BootstrapToken { get; init; }

    /// <summary>SGLANG_DISAGGREGATION_BOOTSTRAP_ENTRY_CLEANUP_INTERVAL; null ties the life of a room's entry to the timeouts.</summary>
    public TimeSpan? BootstrapCleanupInterval { get; init; }

    /// <summary>Address of the KV listeners; null is <see cref="Host"/>. Anything but loopback needs <see cref="ClusterSecret"/>.</summary>
    public string? KvHost { get; init; }

    /// <summary>What decode is told to connect to; null is the KV address, or this machine's own when all addresses are bound.</summary>
    public string? KvAdvertiseHost { get; init; }

    /// <summary>First KV port; rank r takes this plus r. 0 takes free ones.</summary>
    [Range(0, 65535)]
    public int KvPort { get; init; }

    /// <summary>Shared by all workers. BATON_CLUSTER_SECRET.</summary>
    public string? ClusterSecret { get; init; }

    /// <summary>Routers at which the worker registers itself for as long as it runs.</summary>
    public IReadOnlyList<Uri> Routers { get; init; } = [];

    /// <summary>The routers' admin key.</summary>
    public string? RouterKey { get; init; }

    /// <summary>Where routers reach this worker; null is the host and port it listens on.</summary>
    public Uri? AdvertiseUrl { get; init; }

    public RequestLimits Limits { get; init; } = new();

    public SimulatedOptions Simulated { get; init; } = new();
}

public enum EngineKind
{
    /// <summary>llama.cpp.</summary>
    Llama,
    /// <summary>A cost model: no model file, tokens without meaning, times that are computed and waited for.</summary>
    Simulated,
}

/// <summary>The simulated engine's shape.</summary>
public sealed record SimulatedOptions
{
    /// <summary>Simulated time is multiplied by this before it is waited for; 0 does not wait at all.</summary>
    [Range(0.0, 1000.0)]
    public double TimeScale { get; init; } = 1;

    /// <summary>What a step costs.</summary>
    public CostModel Cost { get; init; } = new();

    /// <summary>Chance that a token is the end of the answer; 0 lets answers end by their length.</summary>
    [Range(0.0, 1.0)]
    public double EndProbability { get; init; }
}
