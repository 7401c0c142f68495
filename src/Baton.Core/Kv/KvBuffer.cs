using System.Buffers;
using System.Diagnostics;

namespace Baton.Core.Kv;

/// <summary>One chunk's payload in pooled memory. It has one owner, who disposes it once; passing it on passes the ownership.</summary>
public sealed class KvBuffer : IDisposable
{
    private byte[]? _array;

    private KvBuffer(byte[] array, int length) => (_array, Length) = (array, length);

    public int Length { get; }

    /// <summary>Called once with <see cref="Length"/> when the memory goes back, on the thread that disposes. Must not throw.</summary>
    /// <remarks>A KV receiver sets it on the buffers that it hands out: the peer's window opens again when the rank has really used them up.</remarks>
    public Action<int>? Returned { get; set; }

    /// <summary>Set by whoever has found every value in it finite, so that nobody looks again.</summary>
    public bool IsFinite { get; set; }

    public Span<byte> Span => Array.AsSpan(0, Length);

    /// <summary>All of the rented memory; the payload is at its front. For an engine, which may spread the payload out over it when nobody reads it any more.</summary>
    public Span<byte> Room => Array;

    public Memory<byte> Memory => Array.AsMemory(0, Length);

    /// <summary>The memory is back in the pool. For accounting, never to decide whether to dispose: an owner knows.</summary>
    public bool IsReturned => Volatile.Read(ref _array) is null;

    private byte[] Array => _array ?? throw new UnreachableException("A KV buffer was used after it went back to the pool.");

    /// <summary>Rents <paramref name="length"/> bytes, not cleared. The caller checks the length against the handshake's limits first.</summary>
    public static KvBuffer Rent(int length) => new(ArrayPool<byte>.Shared.Rent(length), length);

    /// <summary>Rents the memory of one chunk, with room for an engine's headers.</summary>
    public static KvBuffer Rent(KvLayout layout, int tokenCount) =>
        new(ArrayPool<byte>.Shared.Rent(checked((int)layout.RoomBytes(tokenCount))), (int)layout.PayloadBytes(tokenCount));

    public void Dispose()
    {
        byte[]? array = Interlocked.Exchange(ref _array, null);
        if (array is null) throw new UnreachableException("A KV buffer was returned twice.");
        ArrayPool<byte>.Shared.Return(array);
        Returned?.Invoke(Length);
    }
}
