using System.Buffers;
using Baton.Transfer.Wire;

namespace Baton.Simulation.Network;

/// <summary>Frames to the bytes of a TCP link and back, with the product's codec.</summary>
/// <param name="gate">On decode: what may come in, as beside the reading loop of a TCP link.</param>
internal sealed class FrameBytes(ChunkGate? gate)
{
    private byte[] _unread = new byte[1024];
    private int _count;

    /// <summary>Bytes of a frame that is not all there.</summary>
    public int LeftoverBytes => _count;

    /// <summary>Takes over the frame's payload.</summary>
    public static byte[] Write(in KvFrame frame)
    {
        if (frame.Type != KvFrameType.Chunk)
        {
            ArrayBufferWriter<byte> control = new();
            KvFrameCodec.WriteControl(frame, control);
            return control.WrittenSpan.ToArray();
        }
        using (frame.Payload)
        {
            byte[] chunk = new byte[KvFrameCodec.ChunkHeadBytes + frame.Payload!.Length];
            KvFrameCodec.WriteChunkHead(frame, chunk);
            frame.Payload.Span.CopyTo(chunk.AsSpan(KvFrameCodec.ChunkHeadBytes));
            return chunk;
        }
    }

    public void Append(ReadOnlySpan<byte> bytes)
    {
        if (_count + bytes.Length > _unread.Length) Array.Resize(ref _unread, Math.Max(2 * _unread.Length, _count + bytes.Length));
        bytes.CopyTo(_unread.AsSpan(_count));
        _count += bytes.Length;
    }

    /// <exception cref="KvProtocolException">The peer sent what it may not, or the bytes changed on their way.</exception>
    public bool TryRead(out KvFrame frame)
    {
        ReadOnlySequence<byte> unread = new(_unread, 0, _count);
        if (!KvFrameCodec.TryRead(ref unread, gate, out frame)) return false;
        int used = _count - (int)unread.Length;
        _unread.AsSpan(used, _count - used).CopyTo(_unread);
        _count -= used;
        return true;
    }
}
