using System.Buffers;
using System.Text.Encodings.Web;
using System.Text.Json;
using Microsoft.AspNetCore.Http;

namespace Baton.Serving.Http;

/// <summary>Writes JSON answers and server-sent events. One per HTTP request; its buffer is used for every event.</summary>
internal sealed class JsonReply(HttpContext context) : IDisposable
{
    private static readonly JsonWriterOptions Options = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, SkipValidation = true };

    private readonly ArrayBufferWriter<byte> _buffer = new(512);
    private readonly Utf8JsonWriter _writer = new(Stream.Null, Options);

    /// <summary>The status line is out: an error can only be an event now.</summary>
    public bool HasBegun => context.Response.HasStarted;

    /// <summary>The answer that has begun is a stream of events.</summary>
    public bool IsStream { get; private set; }

    public async Task SendAsync(int status, Action<Utf8JsonWriter> write, CancellationToken ct)
    {
        _buffer.ResetWrittenCount();
        Write(write);
        context.Response.StatusCode = status;
        context.Response.ContentType = "application/json";
        context.Response.ContentLength = _buffer.WrittenCount;
        await context.Response.BodyWriter.WriteAsync(_buffer.WrittenMemory, ct);
    }

    /// <summary>One event. It waits while the client is slow; nothing but this request waits with it.</summary>
    public async ValueTask SendEventAsync(Action<Utf8JsonWriter> write, CancellationToken ct)
    {
        _buffer.ResetWrittenCount();
        _buffer.Write("data: "u8);
        Write(write);
        _buffer.Write("\n\n"u8);
        await FlushEventAsync(ct);
    }

    public async ValueTask SendDoneAsync(CancellationToken ct)
    {
        _buffer.ResetWrittenCount();
        _buffer.Write("data: [DONE]\n\n"u8);
        await FlushEventAsync(ct);
    }

    public void Dispose() => _writer.Dispose();

    private void Write(Action<Utf8JsonWriter> write)
    {
        _writer.Reset(_buffer);
        write(_writer);
        _writer.Flush();
    }

    private async ValueTask FlushEventAsync(CancellationToken ct)
    {
        if (!context.Response.HasStarted)
        {
            context.Response.StatusCode = StatusCodes.Status200OK;
            context.Response.ContentType = "text/event-stream";
            IsStream = true;
            context.Response.Headers.CacheControl = "no-cache";
        }
        // Kestrel reports a vanished client as a completed flush and cancels the request's token with it.
        if ((await context.Response.BodyWriter.WriteAsync(_buffer.WrittenMemory, ct)).IsCompleted) ct.ThrowIfCancellationRequested();
    }
}
