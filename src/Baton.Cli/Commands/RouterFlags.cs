using System.CommandLine;
using System.CommandLine.Parsing;
using Baton.Core.Ids;
using Baton.Router;
using Baton.Router.Choice;
using Baton.Router.Rooms;
using Baton.Router.Workers;
using LogLevels = Microsoft.Extensions.Logging.LogLevel;

namespace Baton.Cli.Commands;

/// <summary>Every flag of <c>baton router</c>, under SGLang's name where SGLang has it. Defaults come from <see cref="RouterOptions"/>.</summary>
internal sealed class RouterFlags
{
    private static readonly RouterOptions Defaults = new();
    private readonly List<Option> _all = [];

    public RouterFlags()
    {
        Host = Value("--host", "Address to listen on: an address of this machine or localhost.", Defaults.Host);
        Port = Value("--port", "Port to listen on; 0 takes a free one.", Defaults.Port);
        PdDisaggregation = Switch("--pd-disaggregation", "Prefill and decode on separate workers. Any --prefill implies it; without one this is an error.");
        Prefill = Add(new Option<List<WorkerSpec>>("--prefill")
        {
            Description = "A prefill worker: URL [BOOTSTRAP_PORT|none]. Repeatable.",
            Arity = ArgumentArity.OneOrMore,
            AllowMultipleArgumentsPerToken = true,
            CustomParser = ParsePrefills,
        });
        Decode = Urls("--decode", "A decode worker's URL. Repeatable.");
        Unified = Urls("--worker", "A unified worker's URL (both phases in one place). Repeatable.");
        WorkersFile = Text("--workers-file", "JSON list of workers ({\"url\",\"worker_type\",\"bootstrap_port\",...}), read again when it changes.");
        WorkerApiKey = Text("--worker-api-key", "Bearer key of the workers given on the command line.");
        InheritKey = Switch("--inherit-key", "Workers given on the command line have the router's first --api-key.");
        AllowRoleMismatch = Switch("--allow-role-mismatch", "Use a worker that says it runs in another mode than it was given as.");

        Policy = Policies("--policy", "How workers and ranks are chosen.", Defaults.Policy);
        PrefillPolicy = Policies("--prefill-policy", "Overrides --policy for prefill.", null);
        DecodePolicy = Policies("--decode-policy", "Overrides --policy for decode.", null);
        DpModeFlag = Choice("--dp-mode", "auto, expand: choose a rank of every worker that reports dp_size > 1. two-level: choose the worker, then --rank-policy. off: the worker chooses.",
            "auto", "auto", "expand", "two-level", "off");
        DpAware = Switch("--dp-aware", "SGLang's name for --dp-mode expand.");
        MinTokens = Switch("--dp-minimum-tokens-scheduler", "SGLang's name for --dp-mode two-level --rank-policy min_tokens.");
        RankPolicyFlag = Choice("--rank-policy", "Under two-level: how a rank is picked inside the worker.", "min_tokens", "min_tokens", "round_robin", "follow_room");
        RoomModeFlag = Choice("--room-mode", "aligned: room % prefill dp_size is the prefill rank. random: uniform.", "aligned", "aligned", "random");
        SampleModeFlag = Choice("--n-mode", "n > 1. fanout: n single requests, merged. passthrough: as sent.", "fanout", "fanout", "passthrough");
        VerifyFlag = Choice("--verify-dp-rank", "When an answer names another rank than was asked for: count and log, or answer 500.", "warn", "off", "warn", "fail");
        TestRouting = Switch("--test-external-dp-routing", "Random ranks for every request, and every native answer must name them (500 dp_rank_mismatch if not).");
        AllowClientRank = Switch("--allow-client-rank", "Let clients name ranks by x-prefill-dp-rank and x-decode-dp-rank.");
        Seed = Add(new Option<ulong?>("--seed") { Description = "Seed of rooms and random policies. Default: drawn at start." });

        CacheThreshold = Value("--cache-threshold", "cache_aware: share of the prompt that must match.", Defaults.Policies.CacheThreshold);
        BalanceAbs = Value("--balance-abs-threshold", "cache_aware, bucket: imbalance needs a difference above this.", Defaults.Policies.BalanceAbsThreshold);
        BalanceRel = Value("--balance-rel-threshold", "cache_aware: and a ratio above this.", Defaults.Policies.BalanceRelThreshold);
        BalanceUsage = Value("--balance-token-usage-threshold", "cache_aware: hottest minus coldest KV usage; 1 is off.", Defaults.Policies.BalanceTokenUsageThreshold);
        OverloadUsage = Value("--overload-token-usage-threshold", "cache_aware: hottest KV usage; 1 is off.", Defaults.Policies.OverloadTokenUsageThreshold);
        EvictionInterval = Seconds("--eviction-interval", "cache_aware: between two cuts of the tree.", Defaults.Policies.EvictionInterval);
        MaxTreeSize = Value("--max-tree-size", "cache_aware: bytes of prompt text remembered per candidate.", Defaults.Policies.MaxTreeSize);
        KvPressure = Value("--least-load-kv-pressure-weight", "least_load: seconds added by a half-full KV cache on prefill.", Defaults.Policies.KvPressureSeconds);
        Throughput = Value("--least-load-default-throughput", "least_load: prompt tokens per second.", Defaults.Policies.DefaultThroughput);
        LoadInterval = Seconds("--load-monitor-interval", "Between two readings of /v1/loads; 0 is off.", Defaults.LoadInterval);

        MaxPayload = Value("--max-payload-size", "Largest request body in bytes.", Defaults.MaxPayloadSize);
        ConnectTimeout = Seconds("--connect-timeout-secs", "For a TCP connection to a worker.", Defaults.ConnectTimeout);
        RequestTimeout = Seconds("--request-timeout-secs", "From first to last byte of one attempt.", Defaults.RequestTimeout);
        TtftTimeout = Seconds("--ttft-timeout-secs", "To decode's first byte; 0 is off. Keep it under 300, SGLang's own bootstrap timeout.", Defaults.TtftTimeout);
        StallTimeout = Seconds("--stall-timeout-secs", "Between two chunks of an answer.", Defaults.StallTimeout);
        MaxConcurrent = Value("--max-concurrent-requests", "Requests at once, until their last byte; -1 is no limit.", Defaults.Admission.MaxConcurrent);
        MaxPerKey = Value("--max-concurrent-per-key", "The same for each API key's tenant; -1 is no limit.", Defaults.Admission.MaxConcurrentPerKey);
        QueueSize = Value("--queue-size", "Requests that may wait for a place; more are answered 429.", Defaults.Admission.QueueSize);
        QueueTimeout = Seconds("--queue-timeout-secs", "How long one may wait; then 408.", Defaults.Admission.QueueTimeout);

        RetryMax = Value("--retry-max-retries", "Total attempts, the first one included.", Defaults.Retry.MaxAttempts);
        RetryInitial = Value("--retry-initial-backoff-ms", "Before the second attempt.", Defaults.Retry.InitialBackoff.TotalMilliseconds);
        RetryMaxBackoff = Value("--retry-max-backoff-ms", "At most.", Defaults.Retry.MaxBackoff.TotalMilliseconds);
        RetryMultiplier = Value("--retry-backoff-multiplier", "From one to the next.", Defaults.Retry.Multiplier);
        RetryJitter = Value("--retry-jitter-factor", "Each delay x (1 + U[-j, +j]).", Defaults.Retry.Jitter);
        RetryOff = Switch("--disable-retries", "One attempt only.");
        BreakerFailures = Value("--cb-failure-threshold", "Failures in a row that open a rank's breaker.", Defaults.Breaker.FailureThreshold);
        BreakerSuccesses = Value("--cb-success-threshold", "Successes in a row that close it.", Defaults.Breaker.SuccessThreshold);
        BreakerOpen = Seconds("--cb-timeout-duration-secs", "How long it stays open before one probe.", Defaults.Breaker.OpenTime);
        BreakerWindow = Seconds("--cb-window-duration-secs", "Window of the failure ratio (half of at least 20).", Defaults.Breaker.Window);
        BreakerOff = Switch("--disable-circuit-breaker", "Never open a breaker.");

        HealthInterval = Seconds("--health-check-interval-secs", "Between two checks of a ready worker.", Defaults.HealthCheckInterval);
        HealthTimeout = Seconds("--health-check-timeout-secs", "For one check.", Defaults.HealthCheckTimeout);
        HealthEndpoint = Value("--health-check-endpoint", "What is asked; a prefill worker's bootstrap server is asked as well.", Defaults.HealthCheckEndpoint);
        HealthFailures = Value("--health-failure-threshold", "Failed checks in a row that take a worker out.", Defaults.HealthFailureThreshold);
        HealthSuccesses = Value("--health-success-threshold", "Passed checks in a row that bring it back.", Defaults.HealthSuccessThreshold);
        HealthOff = Switch("--disable-health-check", "Every worker counts as ready; nothing is asked of it.");
        StartupTimeout = Value("--worker-startup-timeout-secs", "For the first worker to become ready (else exit code 4); with --check for all of them. Seconds.", 1800.0);
        DrainSettle = Seconds("--drain-settle-secs", "At shutdown, between \"not ready\" and refusing requests.", Defaults.DrainSettle);
        ShutdownGrace = Seconds("--shutdown-grace-period-secs", "Then for running requests to end.", Defaults.ShutdownGrace);
        DrainTimeout = Seconds("--drain-timeout-secs", "For a removed worker's requests to end.", Defaults.DrainTimeout);

        ApiKey = Texts("--api-key", "A key for the data plane, or tenant:key. Repeatable.");
        TenantKey = Texts("--tenant-api-key", "The same, as tenant:key. Repeatable.");
        AdminKey = Text("--admin-key", "The key for the control plane.");
        TlsCert = Text("--tls-cert-path", "PEM certificate: serve HTTPS.");
        TlsKey = Text("--tls-key-path", "PEM key of the certificate.");
        ForwardHeader = Texts("--forward-header", "One more request header to forward to workers. Repeatable.");
        Alias = Texts("--model-alias", "NAME=WORKERS_NAME: clients may call the model NAME. Repeatable.");
        ExposeRoute = Switch("--expose-route", "Add x-baton-prefill, x-baton-decode, ranks, room and attempts to every answer.");
        PrometheusPort = Add(new Option<int?>("--prometheus-port") { Description = "A second port that serves /metrics only. The main port serves it as well." });
        EnableTrace = Switch("--enable-trace", "Export spans and metrics over OTLP.");
        OtlpEndpoint = Value("--otlp-traces-endpoint", "host:port of the OTLP/gRPC receiver.", "localhost:4317");
        LogLevel = Value("--log-level", "Least severe line that is logged.", LogLevels.Information);
        LogJson = Switch("--log-json", "One JSON object a line.");
        Check = Switch("--check", "Start, ask every worker, print what was found, and end with 0 (all ready) or 1.");
        PrintConfig = Switch("--print-config", "Print every option with its value and end.");
    }

    public IReadOnlyList<Option> All => _all;

    public Option<string> Host { get; }
    public Option<int> Port { get; }
    public Option<ulong?> Seed { get; }
    public Option<double> StartupTimeout { get; }
    public Option<bool> EnableTrace { get; }
    public Option<string> OtlpEndpoint { get; }
    public Option<LogLevels> LogLevel { get; }
    public Option<bool> LogJson { get; }
    public Option<bool> Check { get; }
    public Option<bool> PrintConfig { get; }

    private Option<List<WorkerSpec>> Prefill { get; }
    private Option<string[]> Decode { get; }
    private Option<string[]> Unified { get; }
    private Option<string?> WorkersFile { get; }
    private Option<string?> WorkerApiKey { get; }
    private Option<bool> InheritKey { get; }
    private Option<bool> PdDisaggregation { get; }
    private Option<bool> AllowRoleMismatch { get; }
    private Option<string?> Policy { get; }
    private Option<string?> PrefillPolicy { get; }
    private Option<string?> DecodePolicy { get; }
    private Option<string> DpModeFlag { get; }
    private Option<bool> DpAware { get; }
    private Option<bool> MinTokens { get; }
    private Option<string> RankPolicyFlag { get; }
    private Option<string> RoomModeFlag { get; }
    private Option<string> SampleModeFlag { get; }
    private Option<string> VerifyFlag { get; }
    private Option<bool> TestRouting { get; }
    private Option<bool> AllowClientRank { get; }
    private Option<double> CacheThreshold { get; }
    private Option<int> BalanceAbs { get; }
    private Option<double> BalanceRel { get; }
    private Option<double> BalanceUsage { get; }
    private Option<double> OverloadUsage { get; }
    private Option<double> EvictionInterval { get; }
    private Option<int> MaxTreeSize { get; }
    private Option<double> KvPressure { get; }
    private Option<double> Throughput { get; }
    private Option<double> LoadInterval { get; }
    private Option<long> MaxPayload { get; }
    private Option<double> ConnectTimeout { get; }
    private Option<double> RequestTimeout { get; }
    private Option<double> TtftTimeout { get; }
    private Option<double> StallTimeout { get; }
    private Option<int> MaxConcurrent { get; }
    private Option<int> MaxPerKey { get; }
    private Option<int> QueueSize { get; }
    private Option<double> QueueTimeout { get; }
    private Option<int> RetryMax { get; }
    private Option<double> RetryInitial { get; }
    private Option<double> RetryMaxBackoff { get; }
    private Option<double> RetryMultiplier { get; }
    private Option<double> RetryJitter { get; }
    private Option<bool> RetryOff { get; }
    private Option<int> BreakerFailures { get; }
    private Option<int> BreakerSuccesses { get; }
    private Option<double> BreakerOpen { get; }
    private Option<double> BreakerWindow { get; }
    private Option<bool> BreakerOff { get; }
    private Option<double> HealthInterval { get; }
    private Option<double> HealthTimeout { get; }
    private Option<string> HealthEndpoint { get; }
    private Option<int> HealthFailures { get; }
    private Option<int> HealthSuccesses { get; }
    private Option<bool> HealthOff { get; }
    private Option<double> DrainSettle { get; }
    private Option<double> ShutdownGrace { get; }
    private Option<double> DrainTimeout { get; }
    private Option<string[]> ApiKey { get; }
    private Option<string[]> TenantKey { get; }
    private Option<string?> AdminKey { get; }
    private Option<string?> TlsCert { get; }
    private Option<string?> TlsKey { get; }
    private Option<string[]> ForwardHeader { get; }
    private Option<string[]> Alias { get; }
    private Option<bool> ExposeRoute { get; }
    private Option<int?> PrometheusPort { get; }

    /// <exception cref="FormatException">The flags contradict each other or name no worker.</exception>
    public (RouterOptions Options, List<WorkerSpec> Workers) Read(ParseResult parse)
    {
        string[] keys = [.. parse.GetValue(ApiKey) ?? [], .. parse.GetValue(TenantKey) ?? []];
        if ((parse.GetValue(TlsCert) is null) != (parse.GetValue(TlsKey) is null)) throw new FormatException("--tls-cert-path and --tls-key-path go together.");
        if ((parse.GetValue(TenantKey) ?? []).FirstOrDefault(k => !k.Contains(':', StringComparison.Ordinal)) is not null) throw new FormatException("--tenant-api-key is written tenant:key.");
        return (new RouterOptions
        {
            Host = parse.GetValue(Host)!,
            Port = parse.GetValue(Port),
            Policy = parse.GetValue(Policy)!,
            PrefillPolicy = parse.GetValue(PrefillPolicy),
            DecodePolicy = parse.GetValue(DecodePolicy),
            DpMode = Mode(parse),
            RankPolicy = parse.GetValue(MinTokens) ? RankPolicy.MinTokens : parse.GetValue(RankPolicyFlag) switch { "round_robin" => RankPolicy.RoundRobin, "follow_room" => RankPolicy.FollowRoom, _ => RankPolicy.MinTokens },
            RoomMode = parse.GetValue(RoomModeFlag) == "random" ? RoomMode.Random : RoomMode.Aligned,
            SampleMode = parse.GetValue(SampleModeFlag) == "passthrough" ? SampleMode.Passthrough : SampleMode.Fanout,
            VerifyDpRank = parse.GetValue(VerifyFlag) switch { "off" => VerifyMode.Off, "fail" => VerifyMode.Fail, _ => VerifyMode.Warn },
            TestExternalDpRouting = parse.GetValue(TestRouting),
            AllowClientRank = parse.GetValue(AllowClientRank),
            AllowRoleMismatch = parse.GetValue(AllowRoleMismatch),
            Policies = new PolicyOptions
            {
                CacheThreshold = parse.GetValue(CacheThreshold),
                BalanceAbsThreshold = parse.GetValue(BalanceAbs),
                BalanceRelThreshold = parse.GetValue(BalanceRel),
                BalanceTokenUsageThreshold = parse.GetValue(BalanceUsage),
                OverloadTokenUsageThreshold = parse.GetValue(OverloadUsage),
                EvictionInterval = Time(parse, EvictionInterval),
                MaxTreeSize = parse.GetValue(MaxTreeSize),
                KvPressureSeconds = parse.GetValue(KvPressure),
                DefaultThroughput = parse.GetValue(Throughput),
            },
            LoadInterval = Time(parse, LoadInterval),
            MaxPayloadSize = parse.GetValue(MaxPayload),
            ConnectTimeout = Time(parse, ConnectTimeout),
            RequestTimeout = Time(parse, RequestTimeout),
            TtftTimeout = Time(parse, TtftTimeout),
            StallTimeout = Time(parse, StallTimeout),
            Admission = new() { MaxConcurrent = parse.GetValue(MaxConcurrent), MaxConcurrentPerKey = parse.GetValue(MaxPerKey), QueueSize = parse.GetValue(QueueSize), QueueTimeout = Time(parse, QueueTimeout) },
            Retry = new()
            {
                MaxAttempts = parse.GetValue(RetryMax),
                InitialBackoff = TimeSpan.FromMilliseconds(parse.GetValue(RetryInitial)),
                MaxBackoff = TimeSpan.FromMilliseconds(parse.GetValue(RetryMaxBackoff)),
                Multiplier = parse.GetValue(RetryMultiplier),
                Jitter = parse.GetValue(RetryJitter),
                IsEnabled = !parse.GetValue(RetryOff),
            },
            Breaker = new()
            {
                FailureThreshold = parse.GetValue(BreakerFailures),
                SuccessThreshold = parse.GetValue(BreakerSuccesses),
                OpenTime = Time(parse, BreakerOpen),
                Window = Time(parse, BreakerWindow),
                IsEnabled = !parse.GetValue(BreakerOff),
            },
            IsHealthCheckEnabled = !parse.GetValue(HealthOff),
            HealthCheckInterval = Time(parse, HealthInterval),
            HealthCheckTimeout = Time(parse, HealthTimeout),
            HealthCheckEndpoint = parse.GetValue(HealthEndpoint)!,
            HealthFailureThreshold = parse.GetValue(HealthFailures),
            HealthSuccessThreshold = parse.GetValue(HealthSuccesses),
            DrainSettle = Time(parse, DrainSettle),
            ShutdownGrace = Time(parse, ShutdownGrace),
            DrainTimeout = Time(parse, DrainTimeout),
            ApiKeys = keys,
            AdminKey = parse.GetValue(AdminKey),
            TlsCertPath = parse.GetValue(TlsCert),
            TlsKeyPath = parse.GetValue(TlsKey),
            ForwardHeaders = parse.GetValue(ForwardHeader) ?? [],
            ModelAliases = (parse.GetValue(Alias) ?? []).Select(SplitAlias).ToDictionary(a => a.Name, a => a.Model),
            WorkersFile = parse.GetValue(WorkersFile),
            ExposeRoute = parse.GetValue(ExposeRoute),
            PrometheusPort = parse.GetValue(PrometheusPort),
        }, Workers(parse, keys));
    }

    private List<WorkerSpec> Workers(ParseResult parse, string[] keys)
    {
        if (parse.GetValue(InheritKey) && keys.Length == 0) throw new FormatException("--inherit-key needs an --api-key.");
        string? key = parse.GetValue(WorkerApiKey) ?? (parse.GetValue(InheritKey) ? keys[0][(keys[0].IndexOf(':', StringComparison.Ordinal) + 1)..] : null);
        List<WorkerSpec> prefills = parse.GetValue(Prefill) ?? [];
        List<WorkerSpec> workers =
            [.. prefills, .. Specs(parse.GetValue(Decode), WorkerRole.Decode), .. Specs(parse.GetValue(Unified), WorkerRole.Unified)];
        if (parse.GetValue(PdDisaggregation) && prefills.Count == 0 && parse.GetValue(WorkersFile) is null) throw new FormatException("--pd-disaggregation needs at least one --prefill URL.");
        if (workers.Count == 0 && parse.GetValue(WorkersFile) is null) throw new FormatException("No workers: give --prefill URL and --decode URL, or --worker URL, or --workers-file.");
        return [.. workers.Select(w => w with { ApiKey = key })];
    }

    private DpMode Mode(ParseResult parse) => parse.GetValue(DpAware) ? DpMode.Expand
        : parse.GetValue(MinTokens) ? DpMode.TwoLevel
        : parse.GetValue(DpModeFlag) switch { "expand" => DpMode.Expand, "two-level" => DpMode.TwoLevel, "off" => DpMode.Off, _ => DpMode.Auto };

    private static TimeSpan Time(ParseResult parse, Option<double> flag)
    {
        double seconds = parse.GetValue(flag);
        // Timers take a little under 50 days.
        if (!(seconds is >= 0 and <= 4_000_000)) throw new FormatException($"{flag.Name} is {seconds}: give 0 to 4000000 seconds.");
        return TimeSpan.FromSeconds(seconds);
    }

    private static (string Name, string Model) SplitAlias(string text) => text.Split('=', 2) is [{ Length: > 0 } name, { Length: > 0 } model]
        ? (name, model) : throw new FormatException($"--model-alias '{text}' is written NAME=WORKERS_NAME.");

    private static IEnumerable<WorkerSpec> Specs(string[]? urls, WorkerRole role) =>
        (urls ?? []).Select(url => new WorkerSpec { Url = WorkerSpec.ParseUrl(url), Role = role });

    /// <summary>URL, then optionally a port or the word none, any number of times.</summary>
    private static List<WorkerSpec>? ParsePrefills(ArgumentResult result)
    {
        List<WorkerSpec> found = [];
        try
        {
            foreach (string text in result.Tokens.Select(t => t.Value))
            {
                if (found.Count > 0 && text is "none" or "None") continue;
                if (found.Count == 0 || !int.TryParse(text, out int port)) found.Add(new WorkerSpec { Url = WorkerSpec.ParseUrl(text), Role = WorkerRole.Prefill });
                else if (port is >= 1 and <= 65535) found[^1] = found[^1] with { BootstrapPort = port };
                else throw new FormatException($"{port} is not a port.");
            }
            return found;
        }
        catch (FormatException e)
        {
            result.AddError($"--prefill: {e.Message}");
            return null;
        }
    }

    private T Add<T>(T option)
        where T : Option
    {
        _all.Add(option);
        return option;
    }

    private Option<T> Value<T>(string name, string description, T value) => Add(new Option<T>(name) { Description = description, DefaultValueFactory = _ => value });

    private Option<double> Seconds(string name, string description, TimeSpan value) => Value(name, description + " Seconds.", value.TotalSeconds);

    private Option<bool> Switch(string name, string description) => Add(new Option<bool>(name) { Description = description });

    private Option<string?> Text(string name, string description) => Add(new Option<string?>(name) { Description = description });

    private Option<string[]> Texts(string name, string description) => Add(new Option<string[]>(name) { Description = description });

    private Option<string[]> Urls(string name, string description) => Add(new Option<string[]>(name) { Description = description, AllowMultipleArgumentsPerToken = true });

    private Option<string> Choice(string name, string description, string value, params string[] among)
    {
        Option<string> option = Value(name, description, value);
        option.AcceptOnlyFromAmong(among);
        return option;
    }

    private Option<string?> Policies(string name, string description, string? value)
    {
        Option<string?> option = Text(name, description);
        if (value is not null) option.DefaultValueFactory = _ => value;
        option.AcceptOnlyFromAmong([.. RoutingPolicies.Names]);
        return option;
    }
}
