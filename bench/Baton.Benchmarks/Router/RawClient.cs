using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Baton.Benchmarks.Router;

/// <summary>One kept connection that sends the same request over and over and reads each answer to its end, without parsing more than that.</summary>
internal sealed class RawClient : IDisposable
{
    private readonly Socket _socket = new(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
    private readonly byte[] _request;
    private readonly byte[] _buffer = new byte[64 * 1024];

    private RawClient(byte[] request) => _request = request;

    public static async Task<RawClient> ConnectAsync(int port, string json)
    {
        int length = Encoding.UTF8.GetByteCount(json);
        RawClient client = new(Encoding.UTF8.GetBytes($"POST /generate HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{json}"));
        await client._socket.ConnectAsync(new IPEndPoint(IPAddress.Loopback, port));
        return client;
    }

    /// <exception cref="InvalidOperationException">The answer was not 200, or the connection ended.</exception>
    public async ValueTask AskAsync()
    {
        await _socket.SendAsync(_request);
        int length = 0;
        while (!IsWhole(_buffer.AsSpan(0, length)))
        {
            int read = await _socket.ReceiveAsync(_buffer.AsMemory(length));
            if (read == 0) throw new InvalidOperationException("The connection ended in the middle of an answer.");
            length += read;
        }
        if (!_buffer.AsSpan(0, 12).SequenceEqual("HTTP/1.1 200"u8)) throw new InvalidOperationException(Encoding.UTF8.GetString(_buffer, 0, length));
    }

    public void Dispose() => _socket.Dispose();

    private static bool IsWhole(ReadOnlySpan<byte> bytes)
    {
        int head = bytes.IndexOf("\r\n\r\n"u8);
        if (head < 0) return false;
        int at = bytes[..head].IndexOf("ontent-Length: "u8);
        if (at < 0) return bytes[(head + 4)..].EndsWith("0\r\n\r\n"u8);
        int value = 0;
        for (int i = at + 15; bytes[i] is >= (byte)'0' and <= (byte)'9'; i++) value = value * 10 + bytes[i] - '0';
        return bytes.Length >= head + 4 + value;
    }
}
