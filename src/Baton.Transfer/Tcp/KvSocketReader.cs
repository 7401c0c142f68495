using System.Buffers;
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using Baton.Core.Kv;
using Baton.Transfer.Wire;

namespace Baton.Transfer.Tcp;

/// <summary>Frames off one socket. Control frames pass through one pooled buffer; a large chunk goes from the kernel straight into its own.</summary>
/// <param name="onReceived">Called when a whole frame, or more of a large chunk, is there. Fewer bytes are no sign of life: behind a length that
/// changed on its way, everything the peer sends, pings included, becomes the inside of one frame.</param>
internal sealed class KvSocketReader(Socket socket, Action onReceived) : IDisposable
{
    /// <summary>Holds the largest control frame, and many small ones a receive.</summary>
    private const int BufferBytes = 64 * 1024;

    /// <summary>A large chunk is received and checked piece by piece, each still in the second-level cache from the kernel's copy.</summary>
    private const int SliceBytes = 256 * 1024;

    private byte[]? _buffer = ArrayPool<byte>.Shared.Rent(BufferBytes);
    private int _start;
    private int _end;

    /// <summary>Bytes of a frame that is not all there.</summary>
    public int LeftoverBytes => _end - _start;

    private byte[] Buffer => _buffer ?? throw new ObjectDisposedException(nameof(KvSocketReader));

    /// <summary>The next whole frame of the handshake.</summary>
    /// <returns>Its type and payload; a payload of its own, so that it may outlive the next read.</returns>
    /// <exception cref="KvProtocolException">Not a handshake frame or a goodbye, or broken.</exception>
    public async ValueTask<(KvFrameType Type, byte[] Payload)?> ReadHandshakeAsync(CancellationToken ct)
    {
        while (true)
        {
            if (TryReadHandshake(out (KvFrameType Type, byte[] Payload) read)) return read;
            if (!await FillAsync(ct)) return null;
        }
    }

    /// <summary>The next frame, or null at the end of the stream. A skipped frame comes as type None.</summary>
    /// <param name="gate">Asked, under a lock on itself, before memory is rented for a chunk; null on a side that may not be sent any.</param>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    public async ValueTask<KvFrame?> ReadAsync(ChunkGate? gate, CancellationToken ct)
    {
        while (true)
        {
            if (TryReadWhole(gate, out KvFrame frame))
            {
                onReceived();
                return frame;
            }
            if (gate is not null && TryPeekLargeChunk(gate, out KvFrameHeader header)) return await ReadLargeChunkAsync(header, gate, ct);
            if (!await FillAsync(ct)) return null;
        }
    }

    public void Dispose()
    {
        byte[]? buffer = _buffer;
        _buffer = null;
        if (buffer is not null) ArrayPool<byte>.Shared.Return(buffer);
    }

    private ReadOnlySequence<byte> Unread => new(Buffer, _start, _end - _start);

    private bool TryReadHandshake(out (KvFrameType Type, byte[] Payload) read)
    {
        read = default;
        ReadOnlySequence<byte> unread = Unread;
        if (!KvFrameHeader.TryPeek(unread, 0, out KvFrameHeader header)) return false;
        if (!header.Type.IsHandshake && header.Type != KvFrameType.Goodbye) throw new KvProtocolException($"A {header.Type} frame came before the handshake was over.");
        if (unread.Length < KvFrameHeader.Size + header.PayloadBytes) return false;
        KvFrameCodec.CheckCrc(header, unread.Slice(0, KvFrameHeader.Size + header.PayloadBytes));
        read = (header.Type, Buffer.AsSpan(_start + KvFrameHeader.Size, header.PayloadBytes).ToArray());
        _start += KvFrameHeader.Size + header.PayloadBytes;
        return true;
    }

    private bool TryReadWhole(ChunkGate? gate, out KvFrame frame)
    {
        ReadOnlySequence<byte> unread = Unread;
        bool isRead;
        if (gate is null)
        {
            isRead = KvFrameCodec.TryRead(ref unread, null, out frame);
        }
        else
        {
            lock (gate) isRead = KvFrameCodec.TryRead(ref unread, gate, out frame);
        }
        if (isRead) _start = _end - (int)unread.Length;
        return isRead;
    }

    /// <summary>True when the front of what is buffered is a chunk that has to be received into its own memory, with its range in view.</summary>
    private bool TryPeekLargeChunk(ChunkGate gate, out KvFrameHeader header) =>
        KvFrameHeader.TryPeek(Unread, gate.MaxFrameBytes, out header) && header.Type == KvFrameType.Chunk
        && header.PayloadBytes >= KvFrameCodec.RangeBytes && _end - _start >= KvFrameCodec.ChunkHeadBytes;

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<KvFrame> ReadLargeChunkAsync(KvFrameHeader header, ChunkGate gate, CancellationToken ct)
    {
        int cellBytes = header.PayloadBytes - KvFrameCodec.RangeBytes;
        KvRange range = KvFrameCodec.ReadRange(Buffer.AsSpan(_start + KvFrameHeader.Size));
        bool isWanted;
        lock (gate) isWanted = gate.Admit(header.Claim, header.Room, range, cellBytes);

        uint register = Crc32C.Append(uint.MaxValue, Buffer.AsSpan(_start, KvFrameHeader.CrcOffset));
        register = Crc32C.Append(register, Buffer.AsSpan(_start + KvFrameHeader.Size, KvFrameCodec.RangeBytes));
        _start += KvFrameCodec.ChunkHeadBytes;
        KvBuffer? cells = isWanted ? KvBuffer.Rent(gate.Layout, range.TokenCount) : null;
        KvPayloadScan scan = new(gate.Layout, range.TokenCount);
        bool isFinite = true;
        try
        {
            int had = Math.Min(_end - _start, cellBytes);
            register = Crc32C.Append(register, Buffer.AsSpan(_start, had));
            if (cells is not null) Buffer.AsSpan(_start, had).CopyTo(cells.Span);
            _start += had;
            while (had < cellBytes)
            {
                // A late chunk is read over and over into the buffer, which is empty by now.
                Memory<byte> into = cells is not null
                    ? cells.Memory.Slice(had, Math.Min(SliceBytes, cellBytes - had))
                    : Buffer.AsMemory(0, Math.Min(BufferBytes, cellBytes - had));
                int got = await socket.ReceiveAsync(into, SocketFlags.None, ct);
                if (got == 0) throw new EndOfStreamException();
                onReceived();
                register = Crc32C.Append(register, into.Span[..got]);
                had += got;
                if (cells is not null) isFinite = isFinite && scan.IsFinite(cells.Span, had);
            }
            KvFrameCodec.CheckCrc(header, ~register);
            if (!isFinite) throw KvFrameCodec.NotFinite(range, header.Room);
            cells?.IsFinite = true;
        }
        catch
        {
            cells?.Dispose();
            throw;
        }
        return KvFrame.ForChunk(header.Room, header.Claim, range, cells) with { Number = header.Number };
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<bool> FillAsync(CancellationToken ct)
    {
        if (_start == _end)
        {
            (_start, _end) = (0, 0);
        }
        else if (_end == Buffer.Length || _start > BufferBytes / 2)
        {
            Buffer.AsSpan(_start, _end - _start).CopyTo(Buffer);
            (_start, _end) = (0, _end - _start);
        }
        int got = await socket.ReceiveAsync(Buffer.AsMemory(_end), SocketFlags.None, ct);
        if (got == 0) return false;
        _end += got;
        return true;
    }
}
