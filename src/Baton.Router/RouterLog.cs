using Microsoft.Extensions.Logging;

namespace Baton.Router;

/// <summary>Every log line of the router: event ids 7000 to 7999.</summary>
internal static partial class RouterLog
{
    [LoggerMessage(7001, LogLevel.Information, "router listens on {Url} with {Prefills} prefill, {Decodes} decode and {Unified} unified workers")]
    public static partial void Listening(this ILogger logger, string url, int prefills, int decodes, int unified);

    [LoggerMessage(7002, LogLevel.Information, "worker {Worker} ({Role}) is {Status}: {Why}")]
    public static partial void WorkerStatusChanged(this ILogger logger, string worker, string role, string status, string why);

    [LoggerMessage(7003, LogLevel.Warning, "request {RequestId}: the answer was cut after it had begun: {Code}: {Why}")]
    public static partial void StreamCut(this ILogger logger, string requestId, string code, string why);

    [LoggerMessage(7004, LogLevel.Warning, "prefill {Worker} failed after decode's first byte; the client's stream goes on: {Why}")]
    public static partial void LatePrefillFailure(this ILogger logger, string worker, string why);

    [LoggerMessage(7005, LogLevel.Warning, "worker {Worker} was given as {Role} and says it runs in mode {Mode}: it stays out of rotation. Correct the flag, or use --allow-role-mismatch.")]
    public static partial void RoleMismatch(this ILogger logger, string worker, string role, string mode);

    [LoggerMessage(7006, LogLevel.Warning, "request {RequestId}: {Worker} answered from another rank: {Why}")]
    public static partial void RankMismatch(this ILogger logger, string requestId, string worker, string why);

    [LoggerMessage(7007, LogLevel.Information, "request {RequestId}: attempt {Attempt} failed ({Code}: {Why}); the next one in {DelayMs:0} ms")]
    public static partial void Retrying(this ILogger logger, string requestId, int attempt, string code, string why, double delayMs);

    [LoggerMessage(7008, LogLevel.Warning, "worker {Worker} was replaced (instance {Before} -> {Now}): its breakers and cache tree start anew")]
    public static partial void WorkerRestarted(this ILogger logger, string worker, string? before, string? now);

    [LoggerMessage(7009, LogLevel.Warning, "prefill {Worker} runs {DpSize} plain DP ranks (no DP attention) under follow_bootstrap_room: SGLang rejects routed ranks there. Start it with SGLANG_DISAGGREGATION_FORCE_QUERY_PREFILL_DP_RANK=1, or with another --load-balance-method.")]
    public static partial void PlainDp(this ILogger logger, string worker, int dpSize);

    [LoggerMessage(7010, LogLevel.Information, "worker {Worker} {Change}")]
    public static partial void FleetChanged(this ILogger logger, string worker, string change);

    [LoggerMessage(7011, LogLevel.Warning, "workers file {File} was not taken over: {Why}")]
    public static partial void WorkersFileRefused(this ILogger logger, string file, string why);

    [LoggerMessage(7015, LogLevel.Warning, "metric {Instrument} has more than {MaxSeries} series: measurements of further ones are dropped and counted in baton_metrics_dropped_total")]
    public static partial void MetricIsFull(this ILogger logger, string instrument, int maxSeries);

    [LoggerMessage(7016, LogLevel.Warning, "worker {Worker} has failed its health checks for {Seconds} s and is removed (--remove-unhealthy-workers): {Why}")]
    public static partial void UnhealthyRemoved(this ILogger logger, string worker, double seconds, string why);

    [LoggerMessage(7017, LogLevel.Warning, "pods cannot be listed or watched: {Why} The workers that are known stay; trying again until it works")]
    public static partial void DiscoveryFailed(this ILogger logger, string why);

    [LoggerMessage(7018, LogLevel.Information, "pods are followed again: {Pods} match")]
    public static partial void DiscoveryRecovered(this ILogger logger, int pods);

    [LoggerMessage(7019, LogLevel.Warning, "{Why} Its workers are not used")]
    public static partial void PodRefused(this ILogger logger, string why);

    [LoggerMessage(7014, LogLevel.Warning, "router has no workers yet: they register themselves (baton serve --router {Url}), or are added by POST /workers")]
    public static partial void NoWorkers(this ILogger logger, Uri url);

    [LoggerMessage(7013, LogLevel.Warning, "worker {Worker} did not renew its lease of {Seconds} s: it takes nothing new, and {InFlight} requests may end there")]
    public static partial void LeaseEnded(this ILogger logger, string worker, double seconds, int inFlight);

    [LoggerMessage(7012, LogLevel.Information, "router drains: {Running} requests run, {Waiting} wait")]
    public static partial void Draining(this ILogger logger, int running, int waiting);

    [LoggerMessage(7020, LogLevel.Warning, "{RequestId}: decode was lost after {Tokens} tokens, another pair goes on: {Code}: {Why}")]
    public static partial void Continuing(this ILogger logger, string requestId, int tokens, string code, string why);

    [LoggerMessage(7021, LogLevel.Warning, "KV events of {Rank} (port {Port}) are not followed, cache_aware goes by what it sent there: {Why}")]
    public static partial void KvEventsLost(this ILogger logger, string rank, int port, string why);

    [LoggerMessage(7022, LogLevel.Information, "KV events of {Rank} (port {Port}) are followed again")]
    public static partial void KvEventsFollowed(this ILogger logger, string rank, int port);

    [LoggerMessage(7023, LogLevel.Warning, "worker {Worker} publishes KV events at {Endpoint}, where nobody can subscribe: give it the endpoint tcp://*:PORT in --kv-events-config")]
    public static partial void KvEventsUnreachable(this ILogger logger, string worker, string endpoint);
}
