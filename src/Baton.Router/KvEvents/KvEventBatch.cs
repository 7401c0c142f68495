using System.Buffers;

namespace Baton.Router.KvEvents;

/// <summary>A batch of SGLang's KV events: <c>[time, [event, ...], ...]</c>, each event <c>[name, field, ...]</c>, in msgpack.</summary>
/// <remarks>Events and fields that are not known are stepped over: they are added to, at the end.</remarks>
internal static class KvEventBatch
{
    private const int NameBytes = 32;

    /// <summary>Applies a batch; when it throws, the part in front of the fault was applied.</summary>
    /// <exception cref="KvEventException">Not such a batch.</exception>
    public static void Apply(in ReadOnlySequence<byte> payload, KvBlocks blocks)
    {
        MsgpackReader reader = new(payload);
        int fields = reader.ReadArray();
        if (fields < 2) throw new KvEventException($"A batch of {fields} fields: time and events are expected.");
        reader.Skip();
        for (int left = reader.ReadArray(); left > 0; left--) ApplyEvent(ref reader, blocks);
        for (int left = fields - 2; left > 0; left--) reader.Skip();
        if (!reader.IsAtEnd) throw new KvEventException("More bytes follow the batch.");
    }

    private static void ApplyEvent(ref MsgpackReader reader, KvBlocks blocks)
    {
        int fields = reader.ReadArray();
        if (fields == 0) throw new KvEventException("An event without a name.");
        Span<byte> buffer = stackalloc byte[NameBytes];
        ReadOnlySpan<byte> name = buffer[..reader.ReadText(buffer)];
        int left = fields - 1;
        if (name.SequenceEqual("BlockStored"u8)) left -= Stored(ref reader, left, blocks);
        else if (name.SequenceEqual("BlockRemoved"u8)) left -= Removed(ref reader, left, blocks);
        else if (name.SequenceEqual("AllBlocksCleared"u8)) blocks.Clear();
        for (; left > 0; left--) reader.Skip();
    }

    /// <summary>Fields: hashes, the parent's hash, token ids, block size, LoRA adapter, medium.</summary>
    /// <returns>Fields that were read.</returns>
    private static int Stored(ref MsgpackReader reader, int fields, KvBlocks blocks)
    {
        if (fields < 4) throw new KvEventException($"BlockStored has {fields} fields: hashes, parent, token ids and block size are expected.");
        int hashCount = reader.ReadArray();
        long[] hashes = ArrayPool<long>.Shared.Rent(hashCount);
        uint[] tokens = [];
        try
        {
            for (int i = 0; i < hashCount; i++) hashes[i] = reader.ReadInteger();
            long? parent = reader.TryReadNil() ? null : reader.ReadInteger();
            int tokenCount = reader.ReadArray();
            tokens = ArrayPool<uint>.Shared.Rent(tokenCount);
            for (int i = 0; i < tokenCount; i++) tokens[i] = ReadToken(ref reader);
            long blockSize = reader.ReadInteger();
            // Another adapter's blocks are of no use to a request without it, and what lies in host memory is not in the cache.
            bool isPlain = fields < 5 || ReadIsNil(ref reader);
            bool isOnDevice = fields < 6 || ReadIsOnDevice(ref reader);
            if (isPlain && isOnDevice) blocks.Store(hashes.AsSpan(0, hashCount), parent, tokens.AsSpan(0, tokenCount), blockSize);
            return Math.Min(fields, 6);
        }
        finally
        {
            ArrayPool<long>.Shared.Return(hashes);
            if (tokens.Length > 0) ArrayPool<uint>.Shared.Return(tokens);
        }
    }

    /// <summary>Fields: hashes, medium.</summary>
    /// <returns>Fields that were read.</returns>
    private static int Removed(ref MsgpackReader reader, int fields, KvBlocks blocks)
    {
        if (fields < 1) throw new KvEventException("BlockRemoved names no blocks.");
        int hashCount = reader.ReadArray();
        long[] hashes = ArrayPool<long>.Shared.Rent(hashCount);
        try
        {
            for (int i = 0; i < hashCount; i++) hashes[i] = reader.ReadInteger();
            if (fields < 2 || ReadIsOnDevice(ref reader)) blocks.Remove(hashes.AsSpan(0, hashCount));
            return Math.Min(fields, 2);
        }
        finally
        {
            ArrayPool<long>.Shared.Return(hashes);
        }
    }

    private static uint ReadToken(ref MsgpackReader reader)
    {
        long token = reader.ReadInteger();
        return token is >= 0 and <= uint.MaxValue ? (uint)token : throw new KvEventException($"{token} is no token id.");
    }

    private static bool ReadIsNil(ref MsgpackReader reader)
    {
        if (reader.TryReadNil()) return true;
        reader.Skip();
        return false;
    }

    private static bool ReadIsOnDevice(ref MsgpackReader reader)
    {
        if (reader.TryReadNil()) return true;
        Span<byte> buffer = stackalloc byte[NameBytes];
        return buffer[..reader.ReadText(buffer)].SequenceEqual("GPU"u8);
    }
}
