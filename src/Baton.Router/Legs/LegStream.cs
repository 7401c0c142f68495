using System.Buffers.Text;
using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace Baton.Router.Legs;

/// <summary>A request went out on a connection that had served others, and its worker closed that before it answered a byte.</summary>
/// <remarks>The close was on its way when the request was written, so the worker never took it.</remarks>
internal sealed class StaleConnectionException(Exception? inner) : IOException("The worker closed its connection before it answered.", inner);

/// <summary>A connection's stream: it tells a connection that was closed while it lay idle, and sends a request in one piece.</summary>
/// <remarks>
/// The HTTP client fills its buffer of 4 KiB with the head and the body's beginning, sends that, and then the rest. Each piece wakes the
/// worker, and costs a system call here and there: the first one waits for the second instead, which follows at once.
/// </remarks>
/// <param name="inner">What the request is written to: the connection itself, or TLS above it, whose pieces are left as they come.</param>
internal sealed class LegStream(Stream inner) : Stream
{
    // Its end is not known: a head longer than the client's buffer. Such a request is neither held nor ever called stale.
    private const long Unknown = -1;
    private readonly Socket? _plain = (inner as NetworkStream)?.Socket;
    private readonly ArraySegment<byte>[] _pieces = new ArraySegment<byte>[2];
    private byte[] _first = [];
    private int _held;
    // Of the request that is being written.
    private long _left;
    // The reader may find the end just when the next request begins: one of the two has to see the other.
    private readonly Lock _turn = new();
    private bool _isAnswered, _wasReused, _hasServed, _hasEnded;

    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        ValueTask<int> reading = inner.ReadAsync(buffer, cancellationToken);
        if (!reading.IsCompletedSuccessfully) return WaitAsync(reading, buffer.Length);
        int read = reading.Result;
        return IsCut(read, buffer.Length) ? ValueTask.FromException<int>(new StaleConnectionException(null)) : new(read);
    }

    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (_left == 0 || (_left == Unknown && _isAnswered))
        {
            _left = Begin(buffer.Span, out bool waits, out bool isTooLate);
            if (isTooLate) return ValueTask.FromException(new StaleConnectionException(null));
            if (waits)
            {
                _left -= buffer.Length;
                return ValueTask.CompletedTask;
            }
        }
        if (_left != Unknown) _left -= Math.Min(_left, buffer.Length);
        ValueTask writing = _held == 0 ? inner.WriteAsync(buffer, cancellationToken) : WriteBothAsync(buffer, cancellationToken);
        return writing.IsCompletedSuccessfully || !_wasReused ? writing : WaitAsync(writing);
    }

    /// <summary>A request's first bytes: notes what it is, and keeps a copy of them when the rest of its body must follow.</summary>
    /// <param name="isTooLate">The connection ended after it was picked up.</param>
    /// <returns>Bytes of the whole request.</returns>
    private long Begin(ReadOnlySpan<byte> first, out bool waits, out bool isTooLate)
    {
        int head = first.IndexOf("\r\n\r\n"u8) + 4;
        waits = false;
        lock (_turn)
        {
            (_wasReused, _isAnswered) = (_hasServed && head >= 4, false);
            isTooLate = _hasEnded && _wasReused;
        }
        if (head < 4) return Unknown;
        long whole = head + BodyBytes(first[..head]);
        // A head alone is never held: whoever sends one may want to hear from the worker before the body.
        if (_plain is null || first.Length == head || first.Length >= whole) return whole;
        if (_first.Length < first.Length) _first = new byte[first.Length];
        first.CopyTo(_first);
        _held = first.Length;
        waits = true;
        return whole;
    }

    private static long BodyBytes(ReadOnlySpan<byte> head)
    {
        int at = head.LastIndexOf("\r\nContent-Length: "u8);
        return at >= 0 && Utf8Parser.TryParse(head[(at + "\r\nContent-Length: ".Length)..], out long length, out _) ? length : 0;
    }

    // An idle connection is none that a request waits for: the last one was answered.
    private bool IsStale => _wasReused && !_isAnswered;

    /// <summary>Notes what was read, and whether it is the end of a connection that a request waits for.</summary>
    private bool IsCut(int read, int wanted)
    {
        if (wanted == 0) return false;
        lock (_turn)
        {
            if (read == 0) _hasEnded = true;
            else (_isAnswered, _hasServed) = (true, true);
            return read == 0 && IsStale;
        }
    }

    private async ValueTask<int> WaitAsync(ValueTask<int> reading, int wanted)
    {
        int read;
        try
        {
            read = await reading;
        }
        catch (IOException e)
        {
            if (IsCut(0, 1)) throw new StaleConnectionException(e);
            throw;
        }
        return IsCut(read, wanted) ? throw new StaleConnectionException(null) : read;
    }

    private async ValueTask WaitAsync(ValueTask writing)
    {
        try
        {
            await writing;
        }
        catch (IOException e) when (IsStale)
        {
            throw new StaleConnectionException(e);
        }
    }

    private async ValueTask WriteBothAsync(ReadOnlyMemory<byte> rest, CancellationToken ct)
    {
        (_pieces[0], _held) = (new ArraySegment<byte>(_first, 0, _held), 0);
        if (!MemoryMarshal.TryGetArray(rest, out _pieces[1]))
        {
            await inner.WriteAsync(_pieces[0], ct);
            await inner.WriteAsync(rest, ct);
            return;
        }
        try
        {
            // Takes no token: the HTTP client closes the connection of a request that is cancelled, which ends this as well.
            await _plain!.SendAsync(_pieces, SocketFlags.None);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            throw new IOException(e.Message, e);
        }
        finally
        {
            _pieces[1] = default;
        }
    }

    public override Task FlushAsync(CancellationToken cancellationToken) => inner.FlushAsync(cancellationToken);

    public override async ValueTask DisposeAsync()
    {
        await inner.DisposeAsync();
        await base.DisposeAsync();
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing) inner.Dispose();
        base.Dispose(disposing);
    }

    public override bool CanRead => true;
    public override bool CanSeek => false;
    public override bool CanWrite => true;
    public override long Length => throw new NotSupportedException();
    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }
    public override void Flush() => inner.Flush();
    public override int Read(byte[] buffer, int offset, int count) => inner.Read(buffer, offset, count);
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
    public override void SetLength(long value) => throw new NotSupportedException();
    public override void Write(byte[] buffer, int offset, int count) => inner.Write(buffer, offset, count);
}
