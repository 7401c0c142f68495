using Baton.Router.Choice;
using Baton.Router.Discovery;
using Baton.Router.Rooms;
using Baton.Router.Trouble;

namespace Baton.Router;

/// <summary>How the router chooses ranks: <c>--dp-mode</c>.</summary>
public enum DpMode
{
    /// <summary>Expand the ranks of every worker that reports more than one; others get no rank fields.</summary>
    Auto,
    /// <summary>As <see cref="Auto"/>, asked for by name (SGLang's <c>--dp-aware</c>).</summary>
    Expand,
    /// <summary>The policy picks a worker, then <c>--rank-policy</c> picks its rank.</summary>
    TwoLevel,
    /// <summary>The worker chooses its rank; decode asks the bootstrap server.</summary>
    Off,
}

/// <summary>Under which name a leg carries its rank: <c>--dp-field</c>.</summary>
public enum RankField
{
    RoutedDpRank,
    /// <summary>For workers older than <c>routed_dp_rank</c>: one rank for both legs, and no word of prefill's on decode's.</summary>
    DataParallelRank,
}

/// <summary>How <c>n &gt; 1</c> is served: <c>--n-mode</c>.</summary>
public enum SampleMode
{
    /// <summary><c>n</c> single requests, merged: no two sequences share a room.</summary>
    Fanout,
    /// <summary>As the client sent it.</summary>
    Passthrough,
}

/// <summary>What a rank mismatch leads to: <c>--verify-dp-rank</c>.</summary>
public enum VerifyMode
{
    Off,
    /// <summary>Counted and logged.</summary>
    Warn,
    /// <summary>500 <c>dp_rank_mismatch</c>.</summary>
    Fail,
}

/// <summary>Whether workers' KV events are followed: <c>--kv-events</c>.</summary>
public enum KvEventsMode
{
    /// <summary>Where a worker publishes them and its role's policy reads them.</summary>
    Auto,
    Off,
}

/// <summary>Whose names the series have besides our own: <c>--metrics-compat</c>.</summary>
public enum MetricsCompat
{
    None,
    /// <summary>The prefix <c>smg_</c>.</summary>
    Smg,
}

/// <summary>Everything that can be set on a router, with its default. <c>baton router --help</c> prints from here.</summary>
public sealed record RouterOptions
{
    public string Host { get; init; } = "0.0.0.0";
    /// <summary>0 takes a free port.</summary>
    public int Port { get; init; } = 30000;
    public string Policy { get; init; } = "least_load";
    /// <summary>Overrides <see cref="Policy"/> for prefill.</summary>
    public string? PrefillPolicy { get; init; }
    /// <summary>Overrides <see cref="Policy"/> for decode.</summary>
    public string? DecodePolicy { get; init; }
    public PolicyOptions Policies { get; init; } = new();
    /// <summary>Whether what workers tell of their KV caches is listened to.</summary>
    public KvEventsMode KvEvents { get; init; } = KvEventsMode.Auto;
    public RankPolicy RankPolicy { get; init; } = RankPolicy.MinTokens;
    public DpMode DpMode { get; init; } = DpMode.Auto;
    public RankField DpField { get; init; } = RankField.RoutedDpRank;
    public RoomMode RoomMode { get; init; } = RoomMode.Aligned;
    /// <summary>Seed of rooms and of the random policies; null takes one from the system at start.</summary>
    public ulong? Seed { get; init; }
    /// <summary>Largest request body in bytes.</summary>
    public long MaxPayloadSize { get; init; } = 536_870_912;
    public TimeSpan ConnectTimeout { get; init; } = TimeSpan.FromSeconds(10);
    /// <summary>One request from first to last byte.</summary>
    public TimeSpan RequestTimeout { get; init; } = TimeSpan.FromSeconds(1800);
    /// <summary>To decode's first byte; zero is off. Keep it under 300 s, SGLang's own bootstrap timeout.</summary>
    public TimeSpan TtftTimeout { get; init; } = TimeSpan.Zero;
    /// <summary>Between two chunks of decode's answer.</summary>
    public TimeSpan StallTimeout { get; init; } = TimeSpan.FromSeconds(120);
    /// <summary>A text stream whose decode worker dies goes on elsewhere, from what the client has.</summary>
    public bool StreamContinuation { get; init; }
    /// <summary>Between two comments that keep a stream's connection awake while its first token is waited for; zero is off.</summary>
    public TimeSpan SseHeartbeat { get; init; } = TimeSpan.Zero;
    public RetryOptions Retry { get; init; } = new();
    public BreakerOptions Breaker { get; init; } = new();
    public AdmissionOptions Admission { get; init; } = new();
    /// <summary>What to do with <c>n &gt; 1</c>.</summary>
    public SampleMode SampleMode { get; init; } = SampleMode.Fanout;
    /// <summary>Prompts of a batch that run at once as requests of their own; 0 sends a batch to one pair, as it is.</summary>
    public int BatchFanout { get; init; }
    /// <summary>What to do when an answer names another rank than the one that was asked for.</summary>
    public VerifyMode VerifyDpRank { get; init; } = VerifyMode.Warn;
    /// <summary>Random ranks for every request, verified in every answer: <c>--test-external-dp-routing</c>.</summary>
    public bool TestExternalDpRouting { get; init; }
    /// <summary>Lets clients name ranks: <c>x-prefill-dp-rank</c> or <c>disagg_prefill_dp_rank</c>, <c>x-decode-dp-rank</c> or <c>routed_dp_rank</c>.</summary>
    public bool AllowClientRank { get; init; }
    /// <summary>A worker may run in another mode than it was declared.</summary>
    public bool AllowRoleMismatch { get; init; }
    /// <summary>More request headers to forward.</summary>
    public IReadOnlyList<string> ForwardHeaders { get; init; } = [];
    /// <summary>Client's model name to the workers' name.</summary>
    public IReadOnlyDictionary<string, string> ModelAliases { get; init; } = new Dictionary<string, string>();
    /// <summary>Bearer keys for the data plane; empty leaves it open.</summary>
    public IReadOnlyList<string> ApiKeys { get; init; } = [];
    /// <summary>Bearer key for the control plane; null leaves it open.</summary>
    public string? AdminKey { get; init; }
    /// <summary>Requests still running this long after a shutdown began are cut.</summary>
    public TimeSpan ShutdownGrace { get; init; } = TimeSpan.FromSeconds(180);
    /// <summary>Between "not ready" and refusing new requests, so that balancers notice.</summary>
    public TimeSpan DrainSettle { get; init; } = TimeSpan.FromSeconds(5);
    /// <summary>A removed worker is cut off when its requests did not end by then.</summary>
    public TimeSpan DrainTimeout { get; init; } = TimeSpan.FromSeconds(300);
    /// <summary>A worker that registered itself is taken out when it was not heard of for this long.</summary>
    public TimeSpan LeaseTime { get; init; } = TimeSpan.FromSeconds(15);
    /// <summary>List of workers, JSON or YAML, read again when it changes; null is none.</summary>
    public string? WorkersFile { get; init; }
    /// <summary>Pods of a Kubernetes cluster that are workers; null does not look.</summary>
    public DiscoveryOptions? Discovery { get; init; }
    /// <summary>Between two readings of every worker's <c>/v1/loads</c>; zero is off.</summary>
    public TimeSpan LoadInterval { get; init; } = TimeSpan.FromSeconds(2);
    /// <summary>PEM files for HTTPS; null serves plain HTTP.</summary>
    public string? TlsCertPath { get; init; }
    public string? TlsKeyPath { get; init; }
    /// <summary>PEM files of the authorities that workers at https are believed by; empty is the system's.</summary>
    public IReadOnlyList<string> CaCertPaths { get; init; } = [];
    /// <summary>PEM files of the certificate and key that are shown to workers at https; null shows none.</summary>
    public string? ClientCertPath { get; init; }
    public string? ClientKeyPath { get; init; }
    /// <summary>A second port that serves <c>/metrics</c> and nothing else; null for none.</summary>
    public int? PrometheusPort { get; init; }
    /// <summary>A port that answers health and readiness only, for probes that must not wait behind requests; null for none.</summary>
    public int? HealthCheckPort { get; init; }
    /// <summary>Origins whose pages may call the router from a browser; <c>*</c> is every one, empty is none.</summary>
    public IReadOnlyList<string> CorsAllowedOrigins { get; init; } = [];
    /// <summary>Headers in which a client may name its request; the first one that is there counts.</summary>
    public IReadOnlyList<string> RequestIdHeaders { get; init; } = ["x-request-id"];
    /// <summary>Where <see cref="PrometheusPort"/> listens; null is <see cref="Host"/>.</summary>
    public string? PrometheusHost { get; init; }
    /// <summary>Upper ends of the buckets of durations, in seconds and ascending: from 100 us, the router's own cost, to 120 s, a long answer.</summary>
    public IReadOnlyList<double> DurationBuckets { get; init; } = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120];
    /// <summary>Every series under a second name, for dashboards of another router.</summary>
    public MetricsCompat MetricsCompat { get; init; }
    /// <summary>Errors carry <c>x-smg-error-code</c> beside <c>x-baton-error-code</c>.</summary>
    public bool CompatHeaders { get; init; }
    /// <summary>Adds <c>x-baton-prefill</c> and the like to every answer.</summary>
    public bool ExposeRoute { get; init; }
    /// <summary>Off: every worker counts as ready at once, and nothing is asked of it.</summary>
    public bool IsHealthCheckEnabled { get; init; } = true;
    public TimeSpan HealthCheckInterval { get; init; } = TimeSpan.FromSeconds(5);
    public TimeSpan HealthCheckTimeout { get; init; } = TimeSpan.FromSeconds(5);
    public string HealthCheckEndpoint { get; init; } = "/health";
    public int HealthFailureThreshold { get; init; } = 3;
    public int HealthSuccessThreshold { get; init; } = 2;
    /// <summary>Between two checks of a worker that is not ready: nobody waits a whole interval for a router to notice that one came up.</summary>
    public TimeSpan StartupCheckInterval { get; init; } = TimeSpan.FromMilliseconds(200);
    /// <summary>For the first worker to become ready.</summary>
    public TimeSpan WorkerStartupTimeout { get; init; } = TimeSpan.FromSeconds(1800);
    /// <summary>A worker that fails its checks for long is removed: see <see cref="UnhealthyFor"/>.</summary>
    public bool RemoveUnhealthyWorkers { get; init; }
    /// <summary>How long a worker may fail its checks until it is removed: three times what it takes to be out of rotation.</summary>
    public TimeSpan UnhealthyFor => 3 * HealthFailureThreshold * HealthCheckInterval;
    /// <summary>How often <c>/server_info</c> of a ready worker is read again.</summary>
    public TimeSpan ServerInfoInterval { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>What <c>--test-external-dp-routing</c> means: both ranks at random, and every answer must name them.</summary>
    public RouterOptions Effective() => !TestExternalDpRouting ? this
        : this with { Policy = "random", PrefillPolicy = null, DecodePolicy = null, DpMode = DpMode.Expand, VerifyDpRank = VerifyMode.Fail };
}
