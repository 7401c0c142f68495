using System.Globalization;
using Baton.Core.Engine;
using Baton.Core.Failures;
using Baton.Core.Ids;
using Baton.Core.Kv;

namespace Baton.Transfer.Links;

/// <summary>Who one end of a link is, and what must fit before KV may flow: told by both sides in the handshake.</summary>
public sealed record KvIdentity
{
    public required WorkerRole Role { get; init; }
    public required DpRank Rank { get; init; }
    /// <summary>New at every start of the worker. For logs.</summary>
    public required string InstanceId { get; init; }
    public required string ModelFingerprint { get; init; }
    public required string EngineOptions { get; init; }
    public required KvLayout Layout { get; init; }
    /// <summary>Prefill: the longest chunk that it will send. Decode: the longest that it takes.</summary>
    public required int MaxChunkTokens { get; init; }
    /// <summary>Decode: payload bytes that may be under way to it on one link before it grants more. Prefill: the most that it will use of that.</summary>
    public required long WindowBytes { get; init; }

    /// <summary>This rank as its engine and options make it. The window is raised to two chunks, so that one can travel while another is imported.</summary>
    public static KvIdentity Of(EngineInfo engine, WorkerRole role, DpRank rank, string instanceId, TransferOptions options) => new()
    {
        Role = role,
        Rank = rank,
        InstanceId = instanceId,
        ModelFingerprint = engine.ModelFingerprint,
        EngineOptions = engine.EngineOptions,
        Layout = engine.Kv,
        MaxChunkTokens = options.MaxChunkTokens,
        WindowBytes = Math.Max(options.WindowBytes, 2 * engine.Kv.PayloadBytes(options.MaxChunkTokens)),
    };

    /// <summary>What keeps a prefill and a decode rank from handing over, naming both sides' values; null when they fit.</summary>
    public static RequestFailure? FindMismatch(KvIdentity prefill, KvIdentity decode)
    {
        string? difference =
            prefill.Role != WorkerRole.Prefill || decode.Role != WorkerRole.Decode ? Differ("role", prefill.Role, decode.Role)
            : prefill.ModelFingerprint != decode.ModelFingerprint ? Differ("model fingerprint", prefill.ModelFingerprint, decode.ModelFingerprint)
            : prefill.EngineOptions != decode.EngineOptions ? Differ("engine options", prefill.EngineOptions, decode.EngineOptions)
            : prefill.Layout != decode.Layout ? Differ("KV layout", Describe(prefill.Layout), Describe(decode.Layout))
            : prefill.MaxChunkTokens > decode.MaxChunkTokens ? Differ("longest chunk in tokens", prefill.MaxChunkTokens, decode.MaxChunkTokens)
            : decode.WindowBytes < prefill.Layout.PayloadBytes(prefill.MaxChunkTokens)
                ? Differ("bytes of the longest chunk, against the window", prefill.Layout.PayloadBytes(prefill.MaxChunkTokens), decode.WindowBytes)
            : null;
        return difference is null ? null : RequestFailure.Of(
            FailureReason.PeerMismatch, $"Prefill rank {prefill.Rank} ({prefill.InstanceId}) and decode rank {decode.Rank} ({decode.InstanceId}) cannot hand over: {difference}.");
    }

    private static string Differ<T>(string what, T prefill, T decode) =>
        string.Create(CultureInfo.InvariantCulture, $"{what}: prefill has '{prefill}', decode has '{decode}'");

    private static string Describe(KvLayout layout) =>
        $"{layout.LayerCount} layers, {layout.BytesPerToken} bytes a token, K type {layout.KeyType}, V type {layout.ValueType}";
}
