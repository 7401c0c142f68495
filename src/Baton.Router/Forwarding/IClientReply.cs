namespace Baton.Router.Forwarding;

/// <summary>The client's side of one request. Real: an HTTP response. In tests: memory.</summary>
public interface IClientReply
{
    bool HasStarted { get; }

    /// <summary>Sends status and headers. Once.</summary>
    void Start(int status, IReadOnlyList<KeyValuePair<string, string>> headers);

    /// <summary>Passes bytes on and waits until the client took enough of them: a slow client slows the caller down.</summary>
    ValueTask WriteAsync(ReadOnlyMemory<byte> bytes, CancellationToken ct);

    /// <summary>Passes the last bytes on together with the end: the client need not wait for what the router still has to do.</summary>
    ValueTask FinishAsync(ReadOnlyMemory<byte> last, CancellationToken ct) => WriteAsync(last, ct);

    /// <summary>A stream that breaks is ended by whoever made this reply, and not by the attempt that broke.</summary>
    bool TellsEnd => false;

    /// <summary>Closes the connection so that the client sees a broken answer, for a body that can be neither finished nor marked.</summary>
    void Abort();
}
