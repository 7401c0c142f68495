using System.Net;
using System.Net.Sockets;
using System.Text;
using Baton.Core.Ids;

namespace Baton.Benchmarks.Router;

/// <summary>The cheapest worker that speaks HTTP: reads a request and writes bytes that were made once. What remains is the router's cost.</summary>
/// <remarks>
/// A decode worker streams four events, each in a write of its own. A prefill worker computes one token, so it streams one event, and all of
/// its answer is there at once: its writes would keep the socket thread that it shares with decode, and pass for the router's.
/// </remarks>
internal sealed class TrivialWorker : IDisposable
{
    private static readonly byte[] Whole = Answer("application/json", """{"text":"hello","meta_info":{"id":"x","finish_reason":{"type":"stop"},"prompt_tokens":9,"completion_tokens":1}}""");
    private static readonly byte[] Info = Answer("application/json", "{}");
    private static readonly byte[] StreamHead = Encoding.ASCII.GetBytes("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
    private static readonly byte[] StreamEvent = Chunk("data: {\"text\":\"hello\",\"meta_info\":{\"id\":\"x\"}}\n\n");
    private static readonly byte[] StreamEnd = [.. Chunk("data: [DONE]\n\n"), .. "0\r\n\r\n"u8];
    private static readonly byte[] PrefillStream = [.. StreamHead, .. StreamEvent, .. StreamEnd];
    private readonly Socket _listener = new(SocketType.Stream, ProtocolType.Tcp);
    private readonly WorkerRole _role;

    public TrivialWorker(WorkerRole role)
    {
        _role = role;
        _listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        _listener.Listen(1024);
        Port = ((IPEndPoint)_listener.LocalEndPoint!).Port;
        _ = AcceptAsync();
    }

    public int Port { get; }

    public void Dispose() => _listener.Dispose();

    private async Task AcceptAsync()
    {
        try
        {
            while (true) _ = ServeAsync(await _listener.AcceptAsync());
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // Disposed.
        }
    }

    private async Task ServeAsync(Socket socket)
    {
        socket.NoDelay = true;
        byte[] buffer = new byte[256 * 1024];
        int length = 0;
        try
        {
            while (true)
            {
                int total = RequestLength(buffer.AsSpan(0, length));
                if (total < 0 || total > length)
                {
                    int read = await socket.ReceiveAsync(buffer.AsMemory(length));
                    if (read == 0) return;
                    length += read;
                    continue;
                }
                bool post = buffer[0] == 'P';
                bool stream = post && buffer.AsSpan(0, total).IndexOf("\"stream\":true"u8) >= 0;
                buffer.AsSpan(total, length - total).CopyTo(buffer);
                length -= total;
                if (!stream) await socket.SendAsync(post ? Whole : Info);
                else if (_role == WorkerRole.Prefill) await socket.SendAsync(PrefillStream);
                else
                {
                    await socket.SendAsync(StreamHead);
                    for (int i = 0; i < 4; i++) await socket.SendAsync(StreamEvent);
                    await socket.SendAsync(StreamEnd);
                }
            }
        }
        catch (SocketException)
        {
            // The peer closed.
        }
        finally
        {
            socket.Dispose();
        }
    }

    /// <summary>Bytes of the first request, head and body, or -1 while its head is not there.</summary>
    private static int RequestLength(ReadOnlySpan<byte> bytes)
    {
        int head = bytes.IndexOf("\r\n\r\n"u8);
        if (head < 0) return -1;
        int at = bytes[..head].IndexOf("Content-Length: "u8);
        if (at < 0) return head + 4;
        int value = 0;
        for (int i = at + 16; bytes[i] is >= (byte)'0' and <= (byte)'9'; i++) value = value * 10 + bytes[i] - '0';
        return head + 4 + value;
    }

    private static byte[] Answer(string type, string body) =>
        Encoding.UTF8.GetBytes($"HTTP/1.1 200 OK\r\nContent-Type: {type}\r\nContent-Length: {Encoding.UTF8.GetByteCount(body)}\r\n\r\n{body}");

    private static byte[] Chunk(string text) => Encoding.UTF8.GetBytes($"{Encoding.UTF8.GetByteCount(text):x}\r\n{text}\r\n");
}
