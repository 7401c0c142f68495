using System.Buffers;
using Baton.Router.Forwarding;
using Microsoft.AspNetCore.Http;

namespace Baton.Router.Http;

/// <summary>The client's side over Kestrel. Each write is flushed; the flush waits when the client's window is full.</summary>
internal sealed class HttpClientReply(HttpContext context) : IClientReply
{
    /// <summary>Bytes are on their way to the client. Between <see cref="Start"/> and the first write an error can still take the answer's place.</summary>
    public bool HasStarted => context.Response.HasStarted;

    public void Start(int status, IReadOnlyList<KeyValuePair<string, string>> headers)
    {
        context.Response.Clear();
        context.Response.StatusCode = status;
        foreach ((string name, string value) in headers) context.Response.Headers.Append(name, value);
    }

    public async ValueTask WriteAsync(ReadOnlyMemory<byte> bytes, CancellationToken ct)
    {
        await context.Response.BodyWriter.WriteAsync(bytes, ct);
    }

    public async ValueTask FinishAsync(ReadOnlyMemory<byte> last, CancellationToken ct)
    {
        context.Response.BodyWriter.Write(last.Span);
        // Completing takes no token: a client that does not read is let go of like this.
        await using CancellationTokenRegistration giveUp = ct.UnsafeRegister(static context => ((HttpContext)context!).Abort(), context);
        await context.Response.CompleteAsync();
        ct.ThrowIfCancellationRequested();
    }

    public void Abort() => context.Abort();
}
