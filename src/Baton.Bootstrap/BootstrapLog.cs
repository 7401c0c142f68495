using Baton.Core.Ids;
using Microsoft.Extensions.Logging;

namespace Baton.Bootstrap;

/// <summary>Every line this project logs. Event ids 2000 to 2999.</summary>
internal static partial class BootstrapLog
{
    [LoggerMessage(2001, LogLevel.Information, "bootstrap server on {Address}: rooms live {EntryLifeSeconds} s, at most {Capacity}, writes {Writes}")]
    public static partial void ServerStarted(this ILogger logger, BootstrapAddress address, double entryLifeSeconds, int capacity, string writes);
}
