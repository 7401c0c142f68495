using System.Globalization;
using Baton.Bootstrap.Server;

namespace Baton.Bootstrap.Decode;

/// <summary>Timers and bounds of a <see cref="RankResolver"/>, with their defaults.</summary>
public sealed record RankResolverOptions
{
    public const string HeartbeatIntervalVariable = "SGLANG_DISAGGREGATION_HEARTBEAT_INTERVAL";
    public const string HeartbeatMaxFailureVariable = "SGLANG_DISAGGREGATION_HEARTBEAT_MAX_FAILURE";
    public const string ForceQueryVariable = "SGLANG_DISAGGREGATION_FORCE_QUERY_PREFILL_DP_RANK";

    /// <summary>SGLang's floor for the heartbeat interval.</summary>
    private static readonly TimeSpan HeartbeatFloor = TimeSpan.FromSeconds(2);

    /// <summary><c>--disaggregation-resolve-timeout</c>: a room that is not resolved by then fails with its own reason. Default: the smaller of bootstrap and waiting timeout.</summary>
    public TimeSpan ResolveTimeout { get; init; } = TimeSpan.FromSeconds(300);

    /// <summary>Ask for every room that has no hint, even where <c>room % dp_size</c> would do. Set it on prefill too.</summary>
    public bool ForceQuery { get; init; }

    /// <summary>This worker's page size: another one on the prefill side fails the request, not the worker.</summary>
    public int PageSize { get; init; } = 1;

    /// <summary>This worker's KV type as it would register it; null compares nothing.</summary>
    public string? KvCacheDtype { get; init; }

    /// <summary>A server that does not answer for so long fails the rooms that wait for its topology. SGLang: 15 tries, one a second.</summary>
    public TimeSpan UnreachableAfter { get; init; } = TimeSpan.FromSeconds(15);

    public TimeSpan TopologyRetryFloor { get; init; } = TimeSpan.FromMilliseconds(50);
    public TimeSpan TopologyRetryCeiling { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>How long one query parks on a Baton server before it is renewed.</summary>
    public TimeSpan ParkTime { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Pause between two queries of an SGLang server, which cannot park them.</summary>
    public TimeSpan PollFloor { get; init; } = TimeSpan.FromMilliseconds(1);
    public TimeSpan PollCeiling { get; init; } = TimeSpan.FromMilliseconds(20);

    /// <summary>Rooms in one body: 21 bytes each, so that a body stays below 1 MiB.</summary>
    public int MaxRoomsPerQuery { get; init; } = 40_000;

    public TimeSpan HeartbeatInterval { get; init => field = value < HeartbeatFloor ? HeartbeatFloor : value; } = TimeSpan.FromSeconds(5);

    /// <summary>Failed heartbeats in a row after which nothing cached about the server is believed.</summary>
    public int HeartbeatMaxFailure { get; init => field = Math.Max(1, value); } = 2;

    /// <summary>A server that no request named for so long is forgotten, and its heartbeat ends.</summary>
    public TimeSpan IdleLife { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>A rank beyond a cached topology makes it stale at most so often.</summary>
    public TimeSpan TopologyTrust { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Rooms that wait at the same time; the next one fails with <c>queue_full</c>.</summary>
    public int MaxPendingRooms { get; init; } = 100_000;

    /// <summary>Bootstrap servers known at the same time.</summary>
    public int MaxServers { get; init; } = 1024;

    /// <summary>Takes over the SGLANG_DISAGGREGATION_* variables that concern resolution. <see cref="ResolveTimeout"/> becomes the smaller of the
    /// bootstrap and the waiting timeout; a flag that sets it comes after.</summary>
    /// <exception cref="FormatException">A variable is set to something that cannot be meant.</exception>
    public RankResolverOptions FromEnvironment(Func<string, string?> variable) => this with
    {
        ResolveTimeout = TimeSpan.FromSeconds(Math.Min(
            Seconds(variable, BootstrapServerOptions.BootstrapTimeoutVariable), Seconds(variable, BootstrapServerOptions.WaitingTimeoutVariable))),
        HeartbeatInterval = variable(HeartbeatIntervalVariable) is { Length: > 0 } seconds
            ? TimeSpan.FromSeconds(Number(HeartbeatIntervalVariable, seconds, 86_400)) : HeartbeatInterval,
        HeartbeatMaxFailure = variable(HeartbeatMaxFailureVariable) is { Length: > 0 } count
            ? (int)Number(HeartbeatMaxFailureVariable, count, 1_000_000) : HeartbeatMaxFailure,
        ForceQuery = variable(ForceQueryVariable) is { Length: > 0 } flag
            ? flag.ToLowerInvariant() switch
            {
                "1" or "true" or "yes" or "y" => true,
                "0" or "false" or "no" or "n" => false,
                _ => throw new FormatException($"{ForceQueryVariable} is '{flag}'. Set it to 1 or 0."),
            }
            : ForceQuery,
    };

    private static double Seconds(Func<string, string?> variable, string name) => variable(name) is { Length: > 0 } text ? Number(name, text, 1e7) : 300;

    private static double Number(string name, string text, double max) =>
        double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double value) && value >= 0 && value <= max
            ? value
            : throw new FormatException($"{name} is '{text}'. Set it to a number in [0, {max}], or remove it.");
}
