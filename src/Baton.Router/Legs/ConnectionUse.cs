namespace Baton.Router.Legs;

/// <summary>Tells whether a request went out on a connection that had served another one before.</summary>
/// <remarks>
/// Only such a request may have met a connection that its worker closed in the meantime. The stream that writes it runs in the
/// request's own flow, so it finds the request's marker there.
/// </remarks>
internal sealed class ConnectionUse
{
    private static readonly AsyncLocal<ConnectionUse?> Ambient = new();

    public static ConnectionUse? Current
    {
        get => Ambient.Value;
        set => Ambient.Value = value;
    }

    /// <summary>The connection had carried an answer already when this request was written to it.</summary>
    public bool WasReused { get; set; }

    /// <summary>Bytes came back, so the request arrived and must not be sent again.</summary>
    public bool GotBytes { get; set; }
}

/// <summary>A connection's stream that leaves notes for <see cref="ConnectionUse"/>.</summary>
internal sealed class NotingStream(Stream inner) : Stream
{
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
        }
        return inner.WriteAsync(buffer, cancellationToken);
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
