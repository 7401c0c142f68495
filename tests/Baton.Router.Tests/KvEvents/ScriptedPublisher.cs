using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Baton.Router.Tests.KvEvents;

/// <summary>A ZeroMQ publisher over a real socket, in raw ZMTP 3.1, that serves one subscriber at a time and sends what it is told.</summary>
internal sealed class ScriptedPublisher : IAsyncDisposable
{
    private readonly TcpListener _listener;
    private readonly Task _accepting;
    private volatile NetworkStream? _subscriber;
    private int _accepted, _left;
    private volatile string? _topic;

    /// <param name="port">0 takes a free one.</param>
    public ScriptedPublisher(int port = 0)
    {
        _listener = new TcpListener(IPAddress.Loopback, port);
        _listener.Start();
        _accepting = AcceptAsync();
    }

    public int Port => ((IPEndPoint)_listener.LocalEndpoint).Port;

    /// <summary>Connections that came, and how many of those ended.</summary>
    public int Accepted => Volatile.Read(ref _accepted);

    public int Left => Volatile.Read(ref _left);

    /// <summary>What the current subscriber asked for; null while there is none.</summary>
    public string? Topic => _topic;

    /// <summary>The socket type that it says it is.</summary>
    public string Type { get; set; } = "PUB";

    /// <summary>It accepts connections and never says a word.</summary>
    public bool IsSilent { get; set; }

    public Task SendAsync(ulong sequence, byte[] batch) => SendPartsAsync(Encoding.UTF8.GetBytes(_topic ?? ""), KvWire.BigEndian(sequence), batch);

    /// <summary>One message of any parts.</summary>
    public async Task SendPartsAsync(params byte[][] parts)
    {
        for (int i = 0; i < parts.Length; i++) await WriteAsync(Frame(i + 1 < parts.Length ? (byte)1 : (byte)0, parts[i]));
    }

    public async Task WriteAsync(byte[] bytes) => await _subscriber!.WriteAsync(bytes);

    /// <summary>Frames that came after the subscription.</summary>
    public ConcurrentQueue<byte[]> Said { get; } = new();

    /// <summary>Sends a message with PING in its middle.</summary>
    public async Task PingInsideAsync(ulong sequence, byte[] batch)
    {
        await WriteAsync(Frame(1, []));
        await WriteAsync(Frame(4, [4, .. "PING"u8, 0, 10, .. "ctx"u8]));
        await WriteAsync(Frame(1, KvWire.BigEndian(sequence)));
        await WriteAsync(Frame(0, batch));
    }

    public void Cut() => _subscriber!.Socket.Close();

    public async ValueTask DisposeAsync()
    {
        _listener.Stop();
        _subscriber?.Socket.Close();
        await _accepting;
    }

    public static byte[] Frame(byte flags, byte[] body) => body.Length < 256
        ? [flags, (byte)body.Length, .. body]
        : [(byte)(flags | 2), .. KvWire.BigEndian((ulong)body.Length), .. body];

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
            {
                using Socket socket = await _listener.AcceptSocketAsync();
                Interlocked.Increment(ref _accepted);
                await ServeAsync(new NetworkStream(socket));
                _topic = null;
                Interlocked.Increment(ref _left);
            }
        }
        catch (Exception e) when (e is SocketException or InvalidOperationException)
        {
            // The test is over.
        }
    }

    private async Task ServeAsync(NetworkStream stream)
    {
        try
        {
            _subscriber = stream;
            if (!IsSilent)
            {
                await stream.WriteAsync((byte[])[0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 0x7F, 3, 1, .. "NULL"u8, .. new byte[48]]);
                await stream.ReadExactlyAsync(new byte[64]);
                byte[] type = Encoding.ASCII.GetBytes(Type);
                await stream.WriteAsync(Frame(4, [5, .. "READY"u8, 11, .. "Socket-Type"u8, 0, 0, 0, (byte)type.Length, .. type]));
                await ReadFrameAsync(stream);
                _topic = Encoding.UTF8.GetString((await ReadFrameAsync(stream))[1..]);
            }
            else
            {
                await stream.ReadExactlyAsync(new byte[64]);
            }
            while (true) Said.Enqueue(await ReadFrameAsync(stream));
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException or SocketException)
        {
            // The subscriber left, or the test cut it.
        }
    }

    private static async Task<byte[]> ReadFrameAsync(NetworkStream stream)
    {
        byte[] head = new byte[2];
        await stream.ReadExactlyAsync(head);
        byte[] body = new byte[head[1]];
        await stream.ReadExactlyAsync(body);
        return body;
    }
}
