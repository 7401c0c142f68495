using System.Net;
using Baton.Router.Bodies;

namespace Baton.Router.Legs;

/// <summary>A leg's body while it is sent, once or twice; knows whether its bytes are being read right now.</summary>
internal sealed class LegContent(LegBody body)
{
    private int _writers;

    public long Length { get; } = body.Utf8.Length;

    public async Task WriteAsync(Stream stream, CancellationToken ct)
    {
        Interlocked.Increment(ref _writers);
        try
        {
            await stream.WriteAsync(body.Utf8, ct);
        }
        finally
        {
            Interlocked.Decrement(ref _writers);
        }
    }

    /// <summary>Returns the buffer, or leaves it to the collector when a cancelled write may still be reading it.</summary>
    public void Release()
    {
        if (Volatile.Read(ref _writers) == 0) body.Dispose();
        else body.Abandon();
    }
}

/// <summary>Lends a <see cref="LegContent"/> to one message, which disposes this: the body can be sent once more.</summary>
internal sealed class KeptContent : HttpContent
{
    private readonly LegContent _content;

    public KeptContent(LegContent content)
    {
        _content = content;
        Headers.TryAddWithoutValidation("Content-Type", "application/json");
        Headers.ContentLength = content.Length;
    }

    protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context) => _content.WriteAsync(stream, CancellationToken.None);

    protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context, CancellationToken cancellationToken) => _content.WriteAsync(stream, cancellationToken);

    protected override bool TryComputeLength(out long length)
    {
        length = _content.Length;
        return true;
    }
}
