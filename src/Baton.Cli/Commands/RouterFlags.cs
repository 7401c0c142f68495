using System.CommandLine;
using System.Numerics;
using Baton.Router;
using Baton.Router.Choice;
using Baton.Router.Rooms;
using Baton.Router.Trouble;
using Baton.Router.Workers;
using LogLevels = Microsoft.Extensions.Logging.LogLevel;

namespace Baton.Cli.Commands;

/// <summary>Every flag of <c>baton router</c>, under SGLang's name where SGLang has it. Defaults come from <see cref="RouterOptions"/>.</summary>
internal sealed class RouterFlags
{
    // Timers take a little under 50 days.
    private const double LongestSeconds = 4_000_000;
    private readonly RouterFlagList _flags = new();
    private readonly RouterWorkerFlags _workers;
    private readonly Option<string[]> _apiKey, _tenantKey;

    public RouterFlags()
    {
        Host = _flags.Text("--host", "Address to listen on: an address of this machine or localhost.", o => o.Host, (o, v) => o with { Host = v! });
        Port = _flags.Number("--port", "Port to listen on; 0 takes a free one.", 0, 65535, o => o.Port, (o, v) => o with { Port = v });
        _workers = new RouterWorkerFlags(_flags);
        _flags.Switch("--allow-role-mismatch", "Use a worker that says it runs in another mode than it was given as.", o => o with { AllowRoleMismatch = true });

        Policy("--policy", "How workers and ranks are chosen.", o => o.Policy, (o, v) => o with { Policy = v! });
        Policy("--prefill-policy", "Overrides --policy for prefill.", o => o.PrefillPolicy, (o, v) => o with { PrefillPolicy = v });
        Policy("--decode-policy", "Overrides --policy for decode.", o => o.DecodePolicy, (o, v) => o with { DecodePolicy = v });
        _flags.Choice("--dp-mode", "auto, expand: choose a rank of every worker that reports dp_size > 1. two-level: choose the worker, then --rank-policy. off: the worker chooses.",
            [("auto", DpMode.Auto), ("expand", DpMode.Expand), ("two-level", DpMode.TwoLevel), ("off", DpMode.Off)], (o, v) => o with { DpMode = v });
        _flags.Choice("--rank-policy", "Under two-level: how a rank is picked inside the worker.",
            [("min_tokens", RankPolicy.MinTokens), ("round_robin", RankPolicy.RoundRobin), ("follow_room", RankPolicy.FollowRoom), ("cache_prefix", RankPolicy.CachePrefix)], (o, v) => o with { RankPolicy = v });
        _flags.Switch("--dp-minimum-tokens-scheduler", "SGLang's name for --dp-mode two-level --rank-policy min_tokens.", o => o with { DpMode = DpMode.TwoLevel, RankPolicy = RankPolicy.MinTokens });
        _flags.Switch("--dp-aware", "SGLang's name for --dp-mode expand.", o => o with { DpMode = DpMode.Expand });
        _flags.Choice("--dp-field", "The name under which legs carry their rank. data_parallel_rank, for workers that know no other: one rank for both legs.",
            [("routed_dp_rank", RankField.RoutedDpRank), ("data_parallel_rank", RankField.DataParallelRank)], (o, v) => o with { DpField = v });
        _flags.Choice("--room-mode", "aligned: room % prefill dp_size is the prefill rank. random: uniform.", [("aligned", RoomMode.Aligned), ("random", RoomMode.Random)], (o, v) => o with { RoomMode = v });
        _flags.Choice("--n-mode", "n > 1. fanout: n single requests, merged. passthrough: as sent.",
            [("fanout", SampleMode.Fanout), ("passthrough", SampleMode.Passthrough)], (o, v) => o with { SampleMode = v });
        _flags.Number("--batch-fanout", "Split a batch into requests of one prompt, so many at once, and merge the answers; 0: a batch goes to one pair.", 0, 4096, o => o.BatchFanout, (o, v) => o with { BatchFanout = v });
        _flags.Choice("--verify-dp-rank", "When an answer names another rank than was asked for: count and log, or answer 500.",
            [("warn", VerifyMode.Warn), ("off", VerifyMode.Off), ("fail", VerifyMode.Fail)], (o, v) => o with { VerifyDpRank = v });
        _flags.Switch("--test-external-dp-routing", "Random ranks for every request, and every native answer must name them (500 dp_rank_mismatch if not).", o => o with { TestExternalDpRouting = true });
        _flags.Switch("--allow-client-rank", "Let clients name ranks: x-prefill-dp-rank or disagg_prefill_dp_rank, x-decode-dp-rank or routed_dp_rank.", o => o with { AllowClientRank = true });
        _flags.Bind(_flags.Add(new Option<ulong?>("--seed") { Description = "Seed of rooms and random policies. Default: drawn at start." }), (o, v) => o with { Seed = v });

        Share("--cache-threshold", "cache_aware: share of the prompt that must match.", p => p.CacheThreshold, (p, v) => p with { CacheThreshold = v });
        PolicyNumber("--balance-abs-threshold", "cache_aware, bucket: imbalance needs a difference above this.", 0, int.MaxValue, p => p.BalanceAbsThreshold, (p, v) => p with { BalanceAbsThreshold = v });
        PolicyNumber("--balance-rel-threshold", "cache_aware: and a ratio above this.", 0.0, 1e6, p => p.BalanceRelThreshold, (p, v) => p with { BalanceRelThreshold = v });
        Share("--balance-token-usage-threshold", "cache_aware: hottest minus coldest KV usage; 1 is off.", p => p.BalanceTokenUsageThreshold, (p, v) => p with { BalanceTokenUsageThreshold = v });
        Share("--overload-token-usage-threshold", "cache_aware: hottest KV usage; 1 is off.", p => p.OverloadTokenUsageThreshold, (p, v) => p with { OverloadTokenUsageThreshold = v });
        Seconds("--eviction-interval", "cache_aware: between two cuts of the tree.", o => o.Policies.EvictionInterval, (o, v) => o with { Policies = o.Policies with { EvictionInterval = v } });
        PolicyNumber("--max-tree-size", "cache_aware: bytes of prompts remembered per candidate.", 0, int.MaxValue, p => p.MaxTreeSize, (p, v) => p with { MaxTreeSize = v });
        PolicyNumber("--block-size", "cache_aware: token ids that are compared together.", 1, 65536, p => p.BlockSize, (p, v) => p with { BlockSize = v });
        _flags.Choice("--kv-events", "cache_aware: auto listens to what workers tell of their KV caches, where they publish it. off: what was sent where counts.",
            [("auto", KvEventsMode.Auto), ("off", KvEventsMode.Off)], (o, v) => o with { KvEvents = v });
        PolicyNumber("--prefix-token-count", "prefix_hash: token ids at a prompt's beginning that count; of text four bytes for each.", 1, 1_000_000, p => p.PrefixTokenCount, (p, v) => p with { PrefixTokenCount = v });
        PolicyNumber("--prefix-hash-load-factor", "prefix_hash: a load above this multiple of the mean sends a prompt elsewhere.", 1.0, 1e6, p => p.PrefixHashLoadFactor, (p, v) => p with { PrefixHashLoadFactor = v });
        Seconds("--max-idle-secs", "manual: a key that was not used for longer is forgotten.", o => o.Policies.ManualIdle, (o, v) => o with { Policies = o.Policies with { ManualIdle = v } });
        _flags.Choice("--assignment-mode", "manual: whom a new key is given to: anyone, the least loaded, or the one with the fewest keys.",
            [("random", AssignmentMode.Random), ("min_load", AssignmentMode.MinLoad), ("min_group", AssignmentMode.MinGroup)], (o, v) => o with { Policies = o.Policies with { AssignmentMode = v } });
        PolicyNumber("--least-load-kv-pressure-weight", "least_load: seconds added by a half-full KV cache on prefill.", 0.0, 1e6, p => p.KvPressureSeconds, (p, v) => p with { KvPressureSeconds = v });
        PolicyNumber("--least-load-default-throughput", "least_load: prompt tokens per second.", 0.001, 1e9, p => p.DefaultThroughput, (p, v) => p with { DefaultThroughput = v });
        Seconds("--load-monitor-interval", "Between two readings of /v1/loads; 0 is off.", o => o.LoadInterval, (o, v) => o with { LoadInterval = v });

        _flags.Number("--max-payload-size", "Largest request body in bytes.", 1, 1L << 40, o => o.MaxPayloadSize, (o, v) => o with { MaxPayloadSize = v });
        Seconds("--connect-timeout-secs", "For a TCP connection to a worker.", o => o.ConnectTimeout, (o, v) => o with { ConnectTimeout = v }, min: 0.001);
        Seconds("--request-timeout-secs", "From first to last byte of one attempt.", o => o.RequestTimeout, (o, v) => o with { RequestTimeout = v }, min: 0.001);
        Seconds("--ttft-timeout-secs", "To decode's first byte; 0 is off. Keep it under 300, SGLang's own bootstrap timeout.", o => o.TtftTimeout, (o, v) => o with { TtftTimeout = v });
        Seconds("--stall-timeout-secs", "Between two chunks of an answer.", o => o.StallTimeout, (o, v) => o with { StallTimeout = v }, min: 0.001);
        _flags.Switch("--stream-continuation", "When decode dies in the middle of a stream of one text, let another pair go on with it.", o => o with { StreamContinuation = true });
        Seconds("--sse-heartbeat-secs", "While a stream's first token is waited for, a comment so often; 0 is off. The first one commits the answer to 200.", o => o.SseHeartbeat, (o, v) => o with { SseHeartbeat = v });
        Admission("--max-concurrent-requests", "Requests at once, until their last byte; -1 is no limit.", -1, a => a.MaxConcurrent, (a, v) => a with { MaxConcurrent = v });
        Admission("--max-concurrent-per-key", "The same for each API key's tenant; -1 is no limit.", -1, a => a.MaxConcurrentPerKey, (a, v) => a with { MaxConcurrentPerKey = v });
        Admission("--queue-size", "Requests that may wait for a place; more are answered 429.", 0, a => a.QueueSize, (a, v) => a with { QueueSize = v });
        Seconds("--queue-timeout-secs", "How long one may wait; then 408.", o => o.Admission.QueueTimeout, (o, v) => o with { Admission = o.Admission with { QueueTimeout = v } });

        _flags.Bind(_flags.Add(new Option<double?>("--rate-limit-tokens-per-second") { Description = "Requests per second over a longer time; more are answered 429. As many as --max-concurrent-requests (or one second's worth) may come together. Default: no limit." }),
            (o, v) => v is null or (>= 0.001 and <= 1e9) ? o with { Admission = o.Admission with { RatePerSecond = v } } : throw new FormatException($"--rate-limit-tokens-per-second is {v}: give 0.001 to 1e9."));

        Retry("--retry-max-retries", "Total attempts, the first one included.", 1, 1000, r => r.MaxAttempts, (r, v) => r with { MaxAttempts = v });
        Retry("--retry-initial-backoff-ms", "Before the second attempt.", 0.0, 1e9, r => r.InitialBackoff.TotalMilliseconds, (r, v) => r with { InitialBackoff = TimeSpan.FromMilliseconds(v) });
        Retry("--retry-max-backoff-ms", "At most.", 0.0, 1e9, r => r.MaxBackoff.TotalMilliseconds, (r, v) => r with { MaxBackoff = TimeSpan.FromMilliseconds(v) });
        Retry("--retry-backoff-multiplier", "From one to the next.", 1.0, 1000, r => r.Multiplier, (r, v) => r with { Multiplier = v });
        Retry("--retry-jitter-factor", "Each delay x (1 + U[-j, +j]).", 0.0, 1, r => r.Jitter, (r, v) => r with { Jitter = v });
        _flags.Switch("--disable-retries", "One attempt only.", o => o with { Retry = o.Retry with { IsEnabled = false } });
        Breaker("--cb-failure-threshold", "Failures in a row that open a rank's breaker.", b => b.FailureThreshold, (b, v) => b with { FailureThreshold = v });
        Breaker("--cb-success-threshold", "Successes in a row that close it.", b => b.SuccessThreshold, (b, v) => b with { SuccessThreshold = v });
        Seconds("--cb-timeout-duration-secs", "How long it stays open before one probe.", o => o.Breaker.OpenTime, (o, v) => o with { Breaker = o.Breaker with { OpenTime = v } });
        Seconds("--cb-window-duration-secs", "Window of the failure ratio (half of at least 20).", o => o.Breaker.Window, (o, v) => o with { Breaker = o.Breaker with { Window = v } }, min: 0.001);
        _flags.Switch("--disable-circuit-breaker", "Never open a breaker.", o => o with { Breaker = o.Breaker with { IsEnabled = false } });

        Seconds("--health-check-interval-secs", "Between two checks of a ready worker.", o => o.HealthCheckInterval, (o, v) => o with { HealthCheckInterval = v });
        Seconds("--health-check-timeout-secs", "For one check.", o => o.HealthCheckTimeout, (o, v) => o with { HealthCheckTimeout = v }, min: 0.001);
        _flags.Text("--health-check-endpoint", "What is asked; a prefill worker's bootstrap server is asked as well.", o => o.HealthCheckEndpoint, (o, v) => o with { HealthCheckEndpoint = RouterFlagText.APath(v!) });
        _flags.Number("--health-failure-threshold", "Failed checks in a row that take a worker out.", 1, 1000, o => o.HealthFailureThreshold, (o, v) => o with { HealthFailureThreshold = v });
        _flags.Number("--health-success-threshold", "Passed checks in a row that bring it back.", 1, 1000, o => o.HealthSuccessThreshold, (o, v) => o with { HealthSuccessThreshold = v });
        _flags.Switch("--disable-health-check", "Every worker counts as ready; nothing is asked of it.", o => o with { IsHealthCheckEnabled = false });
        _flags.Switch("--remove-unhealthy-workers", "Remove a worker that fails its checks for 3 x failure threshold x interval, or that never became ready within --worker-startup-timeout-secs.", o => o with { RemoveUnhealthyWorkers = true });
        _flags.Bind(_flags.Add(new Option<int?>("--health-check-port") { Description = "A port that serves /health, /liveness and /readiness only. The main port serves them as well." }),
            (o, v) => o with { HealthCheckPort = v is null or (>= 1 and <= 65535) ? v : throw new FormatException($"--health-check-port is {v}: give 1 to 65535.") });
        Seconds("--worker-startup-timeout-secs", "For the first worker to become ready (else exit code 4); with --check for all of them.", o => o.WorkerStartupTimeout, (o, v) => o with { WorkerStartupTimeout = v });
        Seconds("--worker-startup-check-interval", "Between two checks of a worker that is not ready.", o => o.StartupCheckInterval, (o, v) => o with { StartupCheckInterval = v }, min: 0.01);
        Seconds("--drain-settle-secs", "At shutdown, between \"not ready\" and refusing requests.", o => o.DrainSettle, (o, v) => o with { DrainSettle = v });
        Seconds("--shutdown-grace-period-secs", "Then for running requests to end.", o => o.ShutdownGrace, (o, v) => o with { ShutdownGrace = v });
        Seconds("--drain-timeout-secs", "For a removed worker's requests to end.", o => o.DrainTimeout, (o, v) => o with { DrainTimeout = v });

        _apiKey = _flags.Texts("--api-key", "A key for the data plane, or tenant:key. Repeatable.");
        _tenantKey = _flags.Texts("--tenant-api-key", "The same, as tenant:key. Repeatable.");
        _flags.Text("--admin-key", "The key for the control plane.", o => o.AdminKey, (o, v) => o with { AdminKey = v });
        _flags.Text("--tls-cert-path", "PEM certificate: serve HTTPS.", o => o.TlsCertPath, (o, v) => o with { TlsCertPath = v });
        _flags.Text("--tls-key-path", "PEM key of the certificate.", o => o.TlsKeyPath, (o, v) => o with { TlsKeyPath = v });
        _flags.Bind(_flags.Texts("--ca-cert-path", "PEM certificates of the authorities that workers at https are believed by. Default: the system's. Repeatable."), (o, v) => o with { CaCertPaths = v ?? [] });
        _flags.Text("--client-cert-path", "PEM certificate shown to workers at https (mTLS).", o => o.ClientCertPath, (o, v) => o with { ClientCertPath = v });
        _flags.Text("--client-key-path", "PEM key of that certificate.", o => o.ClientKeyPath, (o, v) => o with { ClientKeyPath = v });
        _flags.Bind(_flags.Texts("--forward-header", "One more request header to forward to workers. Repeatable."), (o, v) => o with { ForwardHeaders = v ?? [] });
        _flags.Bind(_flags.Texts("--request-id-headers", "Headers in which clients name their requests, the first that is there counts; workers get it as x-request-id. Default: x-request-id.", severalPerFlag: true),
            (o, v) => v is { Length: > 0 } ? o with { RequestIdHeaders = v } : o);
        _flags.Bind(_flags.Texts("--cors-allowed-origins", "Origins whose pages may call the router from a browser; * is every one. Default: none.", severalPerFlag: true), (o, v) => o with { CorsAllowedOrigins = [.. (v ?? []).Select(RouterFlagText.AnOrigin)] });
        _flags.Bind(_flags.Texts("--model-alias", "NAME=WORKERS_NAME: clients may call the model NAME. Repeatable."), (o, v) => o with { ModelAliases = (v ?? []).Select(RouterFlagText.SplitAlias).ToDictionary(a => a.Name, a => a.Model) });
        _flags.Switch("--expose-route", "Add x-baton-prefill, x-baton-decode, ranks, room and attempts to every answer.", o => o with { ExposeRoute = true });
        _flags.Switch("--compat-headers", "Errors carry x-smg-error-code beside x-baton-error-code, for clients of SGLang's router.", o => o with { CompatHeaders = true });
        _flags.Bind(_flags.Add(new Option<int?>("--prometheus-port") { Description = "A second port that serves /metrics only; SGLang's router has 29000. The main port serves it as well. Default: none." }),
            (o, v) => o with { PrometheusPort = v is null or (>= 1 and <= 65535) ? v : throw new FormatException($"--prometheus-port is {v}: give 1 to 65535.") });
        _flags.Text("--prometheus-host", "Address for --prometheus-port. Default: --host.", o => o.PrometheusHost, (o, v) => o with { PrometheusHost = v });
        _flags.Bind(_flags.Add(new Option<double[]>("--prometheus-duration-buckets") { Description = "Upper ends of the buckets of durations, ascending. Default: 19 from 0.0001 to 120. Seconds.", AllowMultipleArgumentsPerToken = true }),
            (o, v) => v is { Length: > 0 } ? o with { DurationBuckets = RouterFlagText.Ascending(v) } : o);
        _flags.Choice("--metrics-compat", "smg: every series also under the prefix smg_.", [("none", MetricsCompat.None), ("smg", MetricsCompat.Smg)], (o, v) => o with { MetricsCompat = v });
        EnableTrace = _flags.Switch("--enable-trace", "Export spans and metrics over OTLP.");
        OtlpEndpoint = _flags.Text("--otlp-traces-endpoint", "host:port of the OTLP/gRPC receiver.", _ => "localhost:4317", (o, _) => o);
        LogLevel = _flags.Add(new Option<LogLevels>("--log-level") { Description = "Least severe line that is logged; info and warn are understood.", CustomParser = OptionText.Level, DefaultValueFactory = _ => LogLevels.Information });
        LogJson = _flags.Switch("--log-json", "One JSON object a line.");
        LogDir = _flags.Add(new Option<string?>("--log-dir") { Description = "A directory for the log, beside the console: baton-router.log, a new one every 16 MiB, 8 of them kept. Made when it is not there." });
        Check = _flags.Switch("--check", "Start, ask every worker, print what was found, and end with 0 (all ready) or 1.");
        DryRun = _flags.Switch("--dry-run", "As --check without asking anybody: read every flag and file, print the workers, and end with 0 or 2.");
        PrintConfig = _flags.Switch("--print-config", "Print every option with its value and end.");
    }

    public IReadOnlyList<Option> All => _flags.All;

    public Option<string?> Host { get; }
    public Option<int> Port { get; }
    public Option<bool> EnableTrace { get; }
    public Option<string?> OtlpEndpoint { get; }
    public Option<LogLevels> LogLevel { get; }
    public Option<bool> LogJson { get; }
    public Option<string?> LogDir { get; }
    public Option<bool> Check { get; }
    public Option<bool> DryRun { get; }
    public Option<bool> PrintConfig { get; }

    /// <exception cref="FormatException">The flags contradict each other or name no worker.</exception>
    public (RouterOptions Options, List<WorkerSpec> Workers) Read(ParseResult parse)
    {
        string[] tenants = parse.GetValue(_tenantKey) ?? [], keys = [.. parse.GetValue(_apiKey) ?? [], .. tenants];
        if (tenants.Any(k => !k.Contains(':', StringComparison.Ordinal))) throw new FormatException("--tenant-api-key is written tenant:key.");
        RouterOptions options = _flags.Read(parse) with { ApiKeys = keys, Discovery = _workers.Discovery(parse) };
        if (options is { StreamContinuation: true, Retry.IsEnabled: false }) throw new FormatException("--stream-continuation is a retry: leave out --disable-retries.");
        if ((options.TlsCertPath is null) != (options.TlsKeyPath is null)) throw new FormatException("--tls-cert-path and --tls-key-path go together.");
        if ((options.ClientCertPath is null) != (options.ClientKeyPath is null)) throw new FormatException("--client-cert-path and --client-key-path go together.");
        (string, string?)[] files =
        [
            ("--tls-cert-path", options.TlsCertPath), ("--tls-key-path", options.TlsKeyPath), ("--client-cert-path", options.ClientCertPath), ("--client-key-path", options.ClientKeyPath),
            .. options.CaCertPaths.Select(path => ("--ca-cert-path", (string?)path)),
        ];
        foreach ((string flag, string? file) in files)
            if (file is not null && !File.Exists(file)) throw new FormatException($"{flag} '{file}': there is no such file.");
        return (options, _workers.Workers(parse, keys, options.WorkersFile is not null || options.Discovery is not null));
    }

    private void Policy(string name, string description, Func<RouterOptions, string?> get, Func<RouterOptions, string?, RouterOptions> set) =>
        _flags.Text(name, description, get, set).Among([.. RoutingPolicies.Names]);

    private void Seconds(string name, string description, Func<RouterOptions, TimeSpan> get, Func<RouterOptions, TimeSpan, RouterOptions> set, double min = 0) =>
        _flags.Number(name, description + " Seconds.", min, LongestSeconds, o => get(o).TotalSeconds, (o, v) => set(o, TimeSpan.FromSeconds(v)));

    private void Share(string name, string description, Func<PolicyOptions, double> get, Func<PolicyOptions, double, PolicyOptions> set) => PolicyNumber(name, description, 0.0, 1, get, set);

    private void PolicyNumber<T>(string name, string description, T min, T max, Func<PolicyOptions, T> get, Func<PolicyOptions, T, PolicyOptions> set)
        where T : struct, INumber<T> => _flags.Number(name, description, min, max, o => get(o.Policies), (o, v) => o with { Policies = set(o.Policies, v) });

    private void Admission(string name, string description, int min, Func<AdmissionOptions, int> get, Func<AdmissionOptions, int, AdmissionOptions> set) =>
        _flags.Number(name, description, min, int.MaxValue, o => get(o.Admission), (o, v) => o with { Admission = set(o.Admission, v) });

    private void Retry<T>(string name, string description, T min, T max, Func<RetryOptions, T> get, Func<RetryOptions, T, RetryOptions> set)
        where T : struct, INumber<T> => _flags.Number(name, description, min, max, o => get(o.Retry), (o, v) => o with { Retry = set(o.Retry, v) });

    private void Breaker(string name, string description, Func<BreakerOptions, int> get, Func<BreakerOptions, int, BreakerOptions> set) =>
        _flags.Number(name, description, 1, 1_000_000, o => get(o.Breaker), (o, v) => o with { Breaker = set(o.Breaker, v) });
}
