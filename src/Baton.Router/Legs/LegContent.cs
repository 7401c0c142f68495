using System.Net;
using Baton.Router.Bodies;

namespace Baton.Router.Legs;

/// <summary>A leg's body as HTTP content that knows whether its bytes are being read right now.</summary>
internal sealed class LegContent : HttpContent
{
    private readonly LegBody _body;
    private readonly long _length;
    private int _writers;

    public LegContent(LegBody body)
    {
        _body = body;
        _length = body.Utf8.Length;
        Headers.TryAddWithoutValidation("Content-Type", "application/json");
        Headers.ContentLength = _length;
    }

    protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context) => SerializeToStreamAsync(stream, context, CancellationToken.None);

    protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context, CancellationToken cancellationToken)
    {
        Interlocked.Increment(ref _writers);
        try
        {
            await stream.WriteAsync(_body.Utf8, cancellationToken);
        }
        finally
        {
            Interlocked.Decrement(ref _writers);
        }
    }

    protected override bool TryComputeLength(out long length)
    {
        length = _length;
        return true;
    }

    /// <summary>Returns the buffer, or leaves it to the collector when a cancelled write may still be reading it.</summary>
    public void Release()
    {
        if (Volatile.Read(ref _writers) == 0) _body.Dispose();
        else _body.Abandon();
    }
}
