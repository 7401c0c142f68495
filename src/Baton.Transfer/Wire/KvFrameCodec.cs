using System.Buffers;
using System.Buffers.Binary;
using Baton.Core.Failures;
using Baton.Core.Handover;
using Baton.Core.Ids;
using Baton.Core.Kv;
using Baton.Core.Requests;

namespace Baton.Transfer.Wire;

/// <summary>Frames to bytes and back. The table is in docs/wire-protocol.md, and its golden bytes are in the tests.</summary>
public static class KvFrameCodec
{
    /// <summary>A chunk's payload begins with its range; the cells follow.</summary>
    public const int RangeBytes = 8;

    /// <summary>What stands in front of a chunk's cells: header and range.</summary>
    public const int ChunkHeadBytes = KvFrameHeader.Size + RangeBytes;

    /// <summary>Longer failure texts are cut, at a character.</summary>
    public const int MaxTextBytes = 4096;

    /// <summary>As many alternatives as SGLang's metadata buffer holds.</summary>
    public const int MaxTopLogprobs = 128;

    /// <summary>Reads one whole frame off the front of <paramref name="unread"/>, or leaves it alone when it is not all there.</summary>
    /// <param name="gate">Asked before memory is rented for a chunk; null on a side that may not be sent any.</param>
    /// <param name="frame">Default, with type <see cref="KvFrameType.None"/>, for a frame that was skipped. The caller owns its payload.</param>
    /// <exception cref="KvProtocolException">The header, the checksum or a field is wrong.</exception>
    internal static bool TryRead(ref ReadOnlySequence<byte> unread, ChunkGate? gate, out KvFrame frame)
    {
        frame = default;
        if (!KvFrameHeader.TryPeek(unread, gate?.MaxFrameBytes ?? 0, out KvFrameHeader header)) return false;
        if (unread.Length < KvFrameHeader.Size + (long)header.PayloadBytes) return false;

        ReadOnlySequence<byte> whole = unread.Slice(0, KvFrameHeader.Size + (long)header.PayloadBytes);
        CheckCrc(header, whole);
        ReadOnlySequence<byte> payload = whole.Slice(KvFrameHeader.Size);
        if (header.Type == KvFrameType.Chunk)
        {
            frame = ReadChunk(header, payload, gate!);
        }
        else if (header.Type.IsKnown)
        {
            frame = ReadControl(header, payload);
        }
        unread = unread.Slice(whole.End);
        return true;
    }

    /// <summary>Reads the payload of a goodbye that came instead of a handshake frame.</summary>
    internal static KvFrame ReadGoodbye(ReadOnlySpan<byte> payload) => ReadFields(new KvFrameHeader(KvFrameType.Goodbye, default, 0, 0, payload.Length, 0), payload);

    /// <summary>Reads the range that a chunk's payload begins with.</summary>
    internal static KvRange ReadRange(ReadOnlySpan<byte> payload) =>
        new(BinaryPrimitives.ReadInt32LittleEndian(payload), BinaryPrimitives.ReadInt32LittleEndian(payload[4..]));

    /// <summary>Writes a chunk's header and range, with the checksum over them and the cells, which go out as they are.</summary>
    /// <param name="to">At least <see cref="ChunkHeadBytes"/> bytes.</param>
    public static void WriteChunkHead(in KvFrame chunk, Span<byte> to)
    {
        ReadOnlySpan<byte> cells = chunk.Payload!.Span;
        new KvFrameHeader(KvFrameType.Chunk, chunk.Room, chunk.Claim, chunk.Number, RangeBytes + cells.Length, 0).Write(to);
        BinaryPrimitives.WriteInt32LittleEndian(to[KvFrameHeader.Size..], chunk.Range.Start);
        BinaryPrimitives.WriteInt32LittleEndian(to[(KvFrameHeader.Size + 4)..], chunk.Range.End);
        uint register = Crc32C.Append(uint.MaxValue, to[..KvFrameHeader.CrcOffset]);
        register = Crc32C.Append(register, to.Slice(KvFrameHeader.Size, RangeBytes));
        KvFrameHeader.WriteCrc(to, ~Crc32C.Append(register, cells));
    }

    /// <summary>Appends a whole frame that is not a chunk.</summary>
    public static void WriteControl(in KvFrame frame, IBufferWriter<byte> to)
    {
        Span<byte> whole = to.GetSpan(KvFrameHeader.Size + KvFrameHeader.MaxControlBytes);
        KvFieldWriter fields = new(whole.Slice(KvFrameHeader.Size, KvFrameHeader.MaxControlBytes));
        WriteFields(frame, ref fields);
        to.Advance(Seal(new KvFrameHeader(frame.Type, frame.Room, frame.Claim, frame.Number, fields.Count, 0), whole));
    }

    /// <summary>Writes header and checksum in front of a payload that is already in place.</summary>
    /// <returns>Bytes of the whole frame.</returns>
    internal static int Seal(KvFrameHeader header, Span<byte> whole)
    {
        header.Write(whole);
        ReadOnlySpan<byte> payload = whole.Slice(KvFrameHeader.Size, header.PayloadBytes);
        KvFrameHeader.WriteCrc(whole, ~Crc32C.Append(Crc32C.Append(uint.MaxValue, whole[..KvFrameHeader.CrcOffset]), payload));
        return KvFrameHeader.Size + header.PayloadBytes;
    }

    /// <summary>Compares the checksum of a frame that is all there.</summary>
    internal static void CheckCrc(KvFrameHeader header, in ReadOnlySequence<byte> whole)
    {
        uint register = uint.MaxValue;
        foreach (ReadOnlyMemory<byte> part in whole.Slice(0, KvFrameHeader.CrcOffset)) register = Crc32C.Append(register, part.Span);
        foreach (ReadOnlyMemory<byte> part in whole.Slice(KvFrameHeader.Size)) register = Crc32C.Append(register, part.Span);
        CheckCrc(header, ~register);
    }

    internal static void CheckCrc(KvFrameHeader header, uint found)
    {
        if (found != header.Crc)
            throw new KvProtocolException($"A {header.Type} frame of {header.PayloadBytes} bytes for {header.Room} has CRC-32C 0x{found:x8} and announces 0x{header.Crc:x8}.");
    }

    private static KvFrame ReadChunk(KvFrameHeader header, in ReadOnlySequence<byte> payload, ChunkGate gate)
    {
        if (payload.Length < RangeBytes) throw new KvProtocolException($"A chunk of {header.Room} has {payload.Length} bytes and not even a range.");
        Span<byte> front = stackalloc byte[RangeBytes];
        payload.Slice(0, RangeBytes).CopyTo(front);
        KvRange range = ReadRange(front);
        ReadOnlySequence<byte> cells = payload.Slice(RangeBytes);
        if (!gate.Admit(header.Claim, header.Room, range, cells.Length))
            return KvFrame.ForChunk(header.Room, header.Claim, range, null) with { Number = header.Number };

        KvBuffer buffer = KvBuffer.Rent(gate.Layout, range.TokenCount);
        cells.CopyTo(buffer.Span);
        buffer.IsFinite = KvPayloadCheck.IsFinite(buffer.Span, gate.Layout, range.TokenCount);
        if (buffer.IsFinite)
            return KvFrame.ForChunk(header.Room, header.Claim, range, buffer) with { Number = header.Number };
        buffer.Dispose();
        throw NotFinite(range, header.Room);
    }

    internal static KvProtocolException NotFinite(KvRange range, BootstrapRoom room) => new($"Chunk {range} of {room} holds a NaN or an infinity.");

    private static KvFrame ReadControl(KvFrameHeader header, in ReadOnlySequence<byte> payload)
    {
        if (payload.IsSingleSegment) return ReadFields(header, payload.FirstSpan);
        byte[] copy = ArrayPool<byte>.Shared.Rent(header.PayloadBytes);
        try
        {
            payload.CopyTo(copy);
            return ReadFields(header, copy.AsSpan(0, header.PayloadBytes));
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(copy);
        }
    }

    private static KvFrame ReadFields(KvFrameHeader header, ReadOnlySpan<byte> payload)
    {
        KvFieldReader fields = new(payload, header.Type);
        KvFrame frame = new() { Type = header.Type, Number = header.Number, Room = header.Room, Claim = header.Claim };
        frame = header.Type switch
        {
            KvFrameType.Claim => frame with { PromptTokens = fields.Int32(1, int.MaxValue, "prompt tokens") },
            KvFrameType.WrongRank => frame with { Rank = new DpRank(fields.Int32(0, int.MaxValue, "rank")) },
            KvFrameType.Last => frame with { First = ReadFirst(ref fields) },
            KvFrameType.Fail or KvFrameType.Goodbye => frame with { Reason = (FailureReason)fields.Byte(), Text = fields.Text(MaxTextBytes) },
            KvFrameType.Credit => frame with { CreditBytes = fields.Int64(1, long.MaxValue, "credit") },
            KvFrameType.Ack or KvFrameType.Ping or KvFrameType.Pong => frame,
            _ => throw new KvProtocolException($"A {header.Type} frame came after the handshake."),
        };
        fields.ExpectEnd();
        return frame;
    }

    private static void WriteFields(in KvFrame frame, ref KvFieldWriter fields)
    {
        switch (frame.Type)
        {
            case KvFrameType.Claim:
                fields.Int32(frame.PromptTokens);
                break;
            case KvFrameType.WrongRank:
                fields.Int32(frame.Rank.Value);
                break;
            case KvFrameType.Last:
                WriteFirst(frame.First!, ref fields);
                break;
            case KvFrameType.Fail or KvFrameType.Goodbye:
                fields.Byte((byte)frame.Reason);
                fields.Text(frame.Text ?? "", MaxTextBytes);
                break;
            case KvFrameType.Credit:
                fields.Int64(frame.CreditBytes);
                break;
            case KvFrameType.Ack or KvFrameType.Ping or KvFrameType.Pong:
                break;
            default:
                throw new ArgumentException($"{frame.Type} is not written here.", nameof(frame));
        }
    }

    private static FirstToken ReadFirst(ref KvFieldReader fields)
    {
        int token = fields.Int32(0, int.MaxValue, "token");
        float logprob = fields.Single();
        ulong seed = fields.UInt64();
        int cached = fields.Int32(0, int.MaxValue, "cached tokens");
        bool isEnd = fields.Flag("end of generation");
        bool hasTop = fields.Flag("top logprobs");
        int count = fields.UInt16(MaxTopLogprobs, "top logprobs");
        if (!hasTop && count != 0) throw new KvProtocolException($"A last frame says that it has no top logprobs and then counts {count}.");
        TokenLogprob[]? top = hasTop ? new TokenLogprob[count] : null;
        for (int i = 0; i < count; i++) top![i] = new TokenLogprob(fields.Int32(0, int.MaxValue, "token"), fields.Single());
        return new FirstToken(new OutputToken(token, logprob, top), isEnd, seed, cached);
    }

    private static void WriteFirst(FirstToken first, ref KvFieldWriter fields)
    {
        IReadOnlyList<TokenLogprob>? top = first.Token.TopLogprobs;
        ArgumentOutOfRangeException.ThrowIfGreaterThan(top?.Count ?? 0, MaxTopLogprobs);
        fields.Int32(first.Token.TokenId);
        fields.Single(first.Token.Logprob);
        fields.UInt64(first.Seed);
        fields.Int32(first.CachedTokens);
        fields.Flag(first.IsEndOfGeneration);
        fields.Flag(top is not null);
        fields.UInt16((ushort)(top?.Count ?? 0));
        for (int i = 0; i < (top?.Count ?? 0); i++)
        {
            fields.Int32(top![i].TokenId);
            fields.Single(top[i].Logprob);
        }
    }
}
