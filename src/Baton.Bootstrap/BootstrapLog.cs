using Baton.Bootstrap.Client;
using Baton.Bootstrap.Registry;
using Baton.Core.Ids;
using Microsoft.Extensions.Logging;

namespace Baton.Bootstrap;

/// <summary>Every line this project logs. Event ids 2000 to 2999.</summary>
internal static partial class BootstrapLog
{
    [LoggerMessage(2001, LogLevel.Information, "bootstrap server on {Address}: rooms live {EntryLifeSeconds} s, at most {Capacity}, writes {Writes}")]
    public static partial void ServerStarted(this ILogger logger, BootstrapAddress address, double entryLifeSeconds, int capacity, string writes);

    [LoggerMessage(2101, LogLevel.Information, "{Server}: prefill rank {Rank} registered with {Endpoint}")]
    public static partial void RankRegistered(this ILogger logger, BootstrapAddress server, int rank, RankEndpoint endpoint);

    [LoggerMessage(2102, LogLevel.Warning, "{Server}: prefill rank {Rank} is not registered ({Status}): {Detail}. Trying again.")]
    public static partial void RankNotRegistered(this ILogger logger, BootstrapAddress server, int rank, BootstrapStatus status, string detail);

    [LoggerMessage(2103, LogLevel.Warning, "{Server}: the bootstrap server was replaced or lost our ranks; registering them again")]
    public static partial void RegistrationLost(this ILogger logger, BootstrapAddress server);

    [LoggerMessage(2111, LogLevel.Warning, "{Server}: {Rooms} rooms not posted ({Status}): {Detail}. Trying again.")]
    public static partial void RoomsNotPosted(this ILogger logger, BootstrapAddress server, int rooms, BootstrapStatus status, string detail);

    [LoggerMessage(2112, LogLevel.Error, "{Server}: {Room} was refused and is given up: {Detail}")]
    public static partial void RoomRefused(this ILogger logger, BootstrapAddress server, BootstrapRoom room, string detail);

    [LoggerMessage(2113, LogLevel.Error, "{Server}: the room poster broke; the next room starts it again")]
    public static partial void PosterBroke(this ILogger logger, BootstrapAddress server, Exception exception);

    [LoggerMessage(2104, LogLevel.Information, "{Server}: this worker's ranks are taken back")]
    public static partial void RanksTakenBack(this ILogger logger, BootstrapAddress server);

    [LoggerMessage(2105, LogLevel.Warning, "{Server}: this worker's ranks could not be taken back ({Status}): {Detail}. They stay until its next start.")]
    public static partial void RanksNotTakenBack(this ILogger logger, BootstrapAddress server, BootstrapStatus status, string detail);

    [LoggerMessage(2114, LogLevel.Warning, "{Server}: {Rooms} or more rooms were not told within {Seconds} s of the stop")]
    public static partial void NoticesUnsent(this ILogger logger, BootstrapAddress server, int rooms, double seconds);

    [LoggerMessage(2201, LogLevel.Information, "{Server}: prefill has {DpSize} ranks, follows rooms: {Follows}, instance {InstanceId}, parks queries: {Parks}")]
    public static partial void TopologyLearned(this ILogger logger, BootstrapAddress server, int dpSize, bool follows, string instanceId, bool parks);

    [LoggerMessage(2202, LogLevel.Warning, "{Server}: what was cached about it is dropped: {Why}")]
    public static partial void TopologyDropped(this ILogger logger, BootstrapAddress server, string why);

    [LoggerMessage(2203, LogLevel.Error, "{Server}: no answer for {SilentSeconds:F1} s, {Rooms} rooms fail: {Detail}")]
    public static partial void ServerUnreachable(this ILogger logger, BootstrapAddress server, double silentSeconds, int rooms, string detail);

    [LoggerMessage(2204, LogLevel.Error, "{Server}: a resolver loop broke; its rooms end with their deadlines")]
    public static partial void LoopBroke(this ILogger logger, BootstrapAddress server, Exception exception);

    [LoggerMessage(2205, LogLevel.Warning, "{Server}: its prefill worker has been stopped for {Seconds:F1} s and no other has come, {Rooms} rooms fail")]
    public static partial void PrefillStopped(this ILogger logger, BootstrapAddress server, double seconds, int rooms);
}
