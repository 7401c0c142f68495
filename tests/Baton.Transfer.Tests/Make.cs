using Baton.Core.Failures;
using Baton.Core.Handover;
using Baton.Core.Ids;
using Baton.Core.Kv;
using Baton.Core.Requests;
using Baton.Transfer.Links;

namespace Baton.Transfer.Tests;

/// <summary>The small things that every test needs.</summary>
internal static class Make
{
    public const int BytesPerToken = 24;

    /// <summary>Two layers of F16, 24 bytes a token.</summary>
    public static readonly KvLayout Layout = new([8, 4], [8, 4], KeyType: 1, ValueType: 1);

    public static readonly FirstToken First = new(new OutputToken(42, -0.5f, null), IsEndOfGeneration: false, Seed: 7, CachedTokens: 3);

    public static readonly RequestFailure Aborted = RequestFailure.Of(FailureReason.Aborted, "The client went away.");

    public static BootstrapRoom Room(ulong value) => new(value);

    public static KvIdentity Prefill(int rank = 0, int maxChunkTokens = 64, long windowBytes = 1 << 20) => Identity(WorkerRole.Prefill, rank, maxChunkTokens, windowBytes);

    public static KvIdentity Decode(int rank = 0, int maxChunkTokens = 64, long windowBytes = 1 << 20) => Identity(WorkerRole.Decode, rank, maxChunkTokens, windowBytes);

    /// <summary>Cells of a range, each byte told by its room, position and place; no F16 among them is infinite or NaN.</summary>
    public static KvBuffer Cells(BootstrapRoom room, KvRange range)
    {
        KvBuffer cells = KvBuffer.Rent((int)Layout.PayloadBytes(range.TokenCount));
        Span<byte> bytes = cells.Span;
        for (int i = 0; i < bytes.Length; i++) bytes[i] = (byte)((room.Value + (ulong)(range.Start * 31) + (ulong)i) & 0x3B);
        return cells;
    }

    public static bool IsRight(BootstrapRoom room, KvRange range, KvBuffer found)
    {
        using KvBuffer expected = Cells(room, range);
        return expected.Span.SequenceEqual(found.Span);
    }

    private static KvIdentity Identity(WorkerRole role, int rank, int maxChunkTokens, long windowBytes) => new()
    {
        Role = role,
        Rank = new DpRank(rank),
        InstanceId = $"{role}-a",
        ModelFingerprint = "f00d",
        EngineOptions = "lib b1; fa on; unified",
        Layout = Layout,
        MaxChunkTokens = maxChunkTokens,
        WindowBytes = windowBytes,
    };
}
