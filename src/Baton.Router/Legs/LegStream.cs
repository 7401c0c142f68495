using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace Baton.Router.Legs;

/// <summary>A connection's stream: it leaves notes for <see cref="ConnectionUse"/>, and sends a request in one piece.</summary>
/// <remarks>
/// The HTTP client fills its buffer of 4 KiB with the head and the body's beginning, sends that, and then the rest. Each piece wakes the
/// worker, and costs a system call here and there: the first one waits for the second instead, which follows at once.
/// </remarks>
/// <param name="inner">What the request is written to: the connection itself, or TLS above it, whose pieces are left as they come.</param>
internal sealed class LegStream(Stream inner) : Stream
{
    private readonly Socket? _plain = (inner as NetworkStream)?.Socket;
    private readonly ArraySegment<byte>[] _pieces = new ArraySegment<byte>[2];
    private byte[] _first = [];
    private int _held;
    private bool _answered;
    private ConnectionUse? _use;

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        int read = await inner.ReadAsync(buffer, cancellationToken);
        if (read > 0 && buffer.Length > 0)
        {
            _answered = true;
            if (_use is { } use) use.GotBytes = true;
        }
        return read;
    }

    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (ConnectionUse.Current is { } use && use != _use)
        {
            use.WasReused = _answered;
            _use = use;
            if (_plain is not null && TryHold(buffer.Span, use.BodyBytes)) return ValueTask.CompletedTask;
        }
        return _held == 0 ? inner.WriteAsync(buffer, cancellationToken) : WriteBothAsync(buffer, cancellationToken);
    }

    /// <summary>Keeps a copy of a request's first bytes when the rest of its body must follow them.</summary>
    private bool TryHold(ReadOnlySpan<byte> first, long bodyBytes)
    {
        int head = first.IndexOf("\r\n\r\n"u8) + 4;
        // A head alone is never held: whoever sends one may want to hear from the worker before the body.
        if (head < 4 || first.Length == head || first.Length >= head + bodyBytes) return false;
        if (_first.Length < first.Length) _first = new byte[first.Length];
        first.CopyTo(_first);
        _held = first.Length;
        return true;
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
