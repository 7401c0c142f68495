using System.Buffers;
using Baton.Core.Failures;
using Baton.Core.Handover;
using Baton.Core.Ids;
using Baton.Core.Kv;
using Baton.Core.Requests;
using Baton.Transfer.Wire;

namespace Baton.Transfer.Tests.Wire;

/// <summary>The frames of <see cref="GoldenBytes"/>, and short ways to write and read.</summary>
internal static class Frames
{
    private static readonly BootstrapRoom Room = new(0x0123456789abcdef);

    public static readonly Dictionary<string, Func<KvFrame>> All = new(StringComparer.Ordinal)
    {
        ["Goodbye"] = () => KvFrame.ForGoodbye(new RequestFailure(FailureReason.ShuttingDown, "bye")),
        ["Ping"] = () => KvFrame.Ping,
        ["Pong"] = () => KvFrame.Pong,
        ["Claim"] = () => KvFrame.ForClaim(Room, 5, 100) with { Number = 9 },
        ["WrongRank"] = () => KvFrame.ForWrongRank(Room, 5, new DpRank(2)) with { Number = 9 },
        ["Chunk"] = () => KvFrame.ForChunk(Room, 5, new KvRange(10, 12), Counting(2 * Make.BytesPerToken)) with { Number = 9 },
        ["Last"] = () => KvFrame.ForLast(Room, 5, new FirstToken(new OutputToken(42, -0.5f, [new(42, -0.5f), new(43, -2)]), IsEndOfGeneration: false, Seed: 7, CachedTokens: 3)) with { Number = 9 },
        ["Ack"] = () => KvFrame.ForAck(Room, 5) with { Number = 9 },
        ["Fail"] = () => KvFrame.ForFail(Room, 5, new RequestFailure(FailureReason.Aborted, "The client went away ☂.")) with { Number = 9 },
        ["Credit"] = () => KvFrame.ForCredit(3_145_728) with { Number = 9 },
    };

    public static TheoryData<string> Names => [.. All.Keys];

    public static byte[] Write(in KvFrame frame)
    {
        if (frame.Type != KvFrameType.Chunk)
        {
            ArrayBufferWriter<byte> written = new();
            KvFrameCodec.WriteControl(frame, written);
            return written.WrittenSpan.ToArray();
        }
        using (frame.Payload)
        {
            byte[] whole = new byte[KvFrameCodec.ChunkHeadBytes + frame.Payload!.Length];
            KvFrameCodec.WriteChunkHead(frame, whole);
            frame.Payload.Span.CopyTo(whole.AsSpan(KvFrameCodec.ChunkHeadBytes));
            return whole;
        }
    }

    /// <summary>A gate that waits for the golden chunk: claim 5 with [0,10) there already.</summary>
    public static ChunkGate Gate()
    {
        ChunkGate gate = new(Make.Layout, maxChunkTokens: 64, windowBytes: 1 << 20);
        gate.Claim(5, Room, 100);
        gate.Admit(5, Room, new KvRange(0, 10), 10 * Make.BytesPerToken);
        return gate;
    }

    public static bool TryRead(ReadOnlySequence<byte> bytes, out KvFrame frame, out long consumed, ChunkGate? gate = null)
    {
        long before = bytes.Length;
        bool isRead = KvFrameCodec.TryRead(ref bytes, gate ?? Gate(), out frame);
        consumed = before - bytes.Length;
        return isRead;
    }

    public static KvFrame Read(byte[] bytes)
    {
        Assert.True(TryRead(new ReadOnlySequence<byte>(bytes), out KvFrame frame, out long consumed));
        Assert.Equal(bytes.Length, consumed);
        return frame;
    }

    /// <summary>The bytes in two pieces of memory.</summary>
    public static ReadOnlySequence<byte> Split(byte[] bytes, int at)
    {
        Piece first = new(bytes.AsMemory(0, at), 0), second = new(bytes.AsMemory(at), at);
        first.Link(second);
        return new ReadOnlySequence<byte>(first, 0, second, bytes.Length - at);
    }

    /// <summary>Puts a header with a right checksum around any payload.</summary>
    public static byte[] Forge(KvFrameType type, ReadOnlySpan<byte> payload, BootstrapRoom? room = null, uint claim = 5, uint number = 9)
    {
        byte[] whole = new byte[KvFrameHeader.Size + payload.Length];
        payload.CopyTo(whole.AsSpan(KvFrameHeader.Size));
        KvFrameCodec.Seal(new KvFrameHeader(type, room ?? Room, claim, number, payload.Length, 0), whole);
        return whole;
    }

    public static KvBuffer Counting(int length)
    {
        KvBuffer buffer = KvBuffer.Rent(length);
        for (int i = 0; i < length; i++) buffer.Span[i] = (byte)i;
        return buffer;
    }

    private sealed class Piece : ReadOnlySequenceSegment<byte>
    {
        public Piece(ReadOnlyMemory<byte> memory, long runningIndex) => (Memory, RunningIndex) = (memory, runningIndex);

        public void Link(Piece next) => Next = next;
    }
}
