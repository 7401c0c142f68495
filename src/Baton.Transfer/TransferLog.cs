using Baton.Core.Ids;
using Microsoft.Extensions.Logging;

namespace Baton.Transfer;

/// <summary>Log lines of the hand-over. A room's failure is logged by its rank, once; here are the links.</summary>
internal static partial class TransferLog
{
    [LoggerMessage(3001, LogLevel.Information, "Prefill rank {Rank}: decode rank {DecodeRank} ({Instance}) is linked")]
    public static partial void DecodeLinked(this ILogger logger, DpRank rank, DpRank decodeRank, string instance);

    [LoggerMessage(3002, LogLevel.Information, "Prefill rank {Rank}: the link to {Peer} ended: {Why}")]
    public static partial void DecodeUnlinked(this ILogger logger, DpRank rank, string peer, string why);

    [LoggerMessage(3003, LogLevel.Warning, "Rank {Rank}: {Peer} broke the hand-over protocol; its link is closed")]
    public static partial void PeerBrokeProtocol(this ILogger logger, DpRank rank, string peer, Exception broken);

    [LoggerMessage(3004, LogLevel.Information, "Decode rank {Rank}: {Peer} is linked")]
    public static partial void PrefillLinked(this ILogger logger, DpRank rank, string peer);

    [LoggerMessage(3005, LogLevel.Information, "Decode rank {Rank}: the link to {Peer} ended: {Why}")]
    public static partial void PrefillUnlinked(this ILogger logger, DpRank rank, string peer, string why);

    [LoggerMessage(3006, LogLevel.Error, "Rank {Rank}: the link to {Peer} crashed")]
    public static partial void LinkCrashed(this ILogger logger, DpRank rank, string peer, Exception bug);

    [LoggerMessage(3007, LogLevel.Warning, "Prefill rank {Rank}: the handshake with {Peer} failed: {Why}")]
    public static partial void HandshakeFailed(this ILogger logger, DpRank rank, string peer, string why);

    [LoggerMessage(3008, LogLevel.Warning, "Prefill rank {Rank}: a connection from {Peer} was closed: {Why}")]
    public static partial void ConnectionRefused(this ILogger logger, DpRank rank, string peer, string why);

    [LoggerMessage(3009, LogLevel.Information, "Prefill rank {Rank}: KV listener on {Address}")]
    public static partial void Listening(this ILogger logger, DpRank rank, string address);

    [LoggerMessage(3010, LogLevel.Error, "Prefill rank {Rank}: the KV listener cannot accept: {Why}")]
    public static partial void AcceptFailed(this ILogger logger, DpRank rank, string why);
}
