using System.Buffers;
using System.IO.Pipelines;
using Microsoft.AspNetCore.Http;

namespace Baton.Router.Http;

/// <summary>A request body read whole into one pooled buffer.</summary>
internal readonly struct BodyBuffer : IDisposable
{
    // Well below what the server holds for a request before it stops reading its socket.
    private const int ReadBytes = 256 * 1024;
    private readonly byte[] _rented;
    private readonly int _length;

    private BodyBuffer(byte[] rented, int length) => (_rented, _length) = (rented, length);

    public ReadOnlyMemory<byte> Utf8 => _rented.AsMemory(0, _length);

    public void Dispose() => ArrayPool<byte>.Shared.Return(_rented);

    /// <exception cref="BadHttpRequestException">Longer than the server's limit, or cut short.</exception>
    public static async Task<BodyBuffer> ReadAsync(HttpRequest request, CancellationToken ct)
    {
        // A declared length is only a hint for the first rent: a lie costs its sender a copy, not us a large buffer.
        byte[] buffer = ArrayPool<byte>.Shared.Rent((int)Math.Clamp(request.ContentLength ?? 4096, 256, 1 << 20));
        int length = 0;
        try
        {
            while (true)
            {
                // Bytes arrive in small pieces: woken once for many of them, not for each. A declared length that is a lie ends the wait as well.
                int expected = (int)Math.Clamp((request.ContentLength ?? 0) - length, 0, ReadBytes);
                ReadResult read = expected > 0 ? await request.BodyReader.ReadAtLeastAsync(expected, ct) : await request.BodyReader.ReadAsync(ct);
                int more = checked((int)read.Buffer.Length);
                if (length + more > buffer.Length) buffer = Grow(buffer, length, length + more);
                read.Buffer.CopyTo(buffer.AsSpan(length));
                length += more;
                request.BodyReader.AdvanceTo(read.Buffer.End);
                if (read.IsCompleted) return new BodyBuffer(buffer, length);
            }
        }
        catch
        {
            ArrayPool<byte>.Shared.Return(buffer);
            throw;
        }
    }

    private static byte[] Grow(byte[] buffer, int length, int needed)
    {
        byte[] larger = ArrayPool<byte>.Shared.Rent(Math.Max(needed, checked(buffer.Length * 2)));
        buffer.AsSpan(0, length).CopyTo(larger);
        ArrayPool<byte>.Shared.Return(buffer);
        return larger;
    }
}
