using Baton.Core.Failures;
using Baton.Core.Ids;
using Microsoft.Extensions.Logging;

namespace Baton.Serving;

internal static partial class ServingLog
{
    [LoggerMessage(6001, LogLevel.Information, "{Role} worker with {DpSize} dp ranks serves {Model} on {Url} ({Method})")]
    public static partial void WorkerStarted(this ILogger logger, WorkerRole role, int dpSize, string model, string url, string method);

    [LoggerMessage(6002, LogLevel.Information, "draining: {LiveRequests} requests have {Seconds} s to end")]
    public static partial void Draining(this ILogger logger, int liveRequests, double seconds);

    [LoggerMessage(6003, LogLevel.Warning, "drain deadline: {LiveRequests} requests are ended")]
    public static partial void DrainDeadline(this ILogger logger, int liveRequests);

    [LoggerMessage(6010, LogLevel.Critical, "dp rank {DpRank}: its thread ended by a bug; its requests fail and it takes no more")]
    public static partial void RankThreadDied(this ILogger logger, int dpRank, Exception bug);

    [LoggerMessage(6011, LogLevel.Error, "dp rank {DpRank} did not stop within {Seconds} s")]
    public static partial void RankDoesNotStop(this ILogger logger, int dpRank, double seconds);

    [LoggerMessage(6012, LogLevel.Information, "registered at router {Router} as {Url}")]
    public static partial void RegisteredAtRouter(this ILogger logger, Uri router, string url);

    [LoggerMessage(6013, LogLevel.Warning, "not registered at router {Router}: {Why}; trying again until it works")]
    public static partial void NotRegisteredAtRouter(this ILogger logger, Uri router, string why);

    [LoggerMessage(6014, LogLevel.Warning, "removed at router {Router} by an operator: {Why}")]
    public static partial void RemovedAtRouter(this ILogger logger, Uri router, string why);

    [LoggerMessage(6020, LogLevel.Warning, "{Id} failed: {Reason}: {Message}")]
    public static partial void RequestFailed(this ILogger logger, RequestId id, FailureReason reason, string message);

    [LoggerMessage(6021, LogLevel.Warning, "data_parallel_rank is deprecated; use routed_dp_rank{Note}")]
    public static partial void DeprecatedRank(this ILogger logger, string note);

    [LoggerMessage(6022, LogLevel.Error, "{Method} {Path} failed by a bug")]
    public static partial void EndpointFailed(this ILogger logger, string method, string path, Exception bug);
}
