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
}
