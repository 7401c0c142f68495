using System.Buffers;
using System.IO.Pipelines;
using System.Net;
using System.Net.Sockets;

namespace Baton.Router.KvEvents;

/// <summary>One connection to a ZeroMQ publisher, subscribed to one topic. One caller at a time.</summary>
/// <remarks>
/// Enough of ZMTP 3.0 for that and no more: no queue, no reconnecting, no keys. A silent publisher is told from a vanished one by the
/// keep-alive of TCP; PING is answered where a publisher sends it.
/// </remarks>
internal sealed class ZmtpSubscriber : IAsyncDisposable
{
    private const int MaxCommandBytes = 4096;
    private const int ReadBlockBytes = 64 * 1024;
    private static readonly (int Idle, int Interval, int Count) KeepAlive = (15, 5, 3);
    private readonly NetworkStream _stream;
    private readonly PipeReader _input;
    private SequencePosition? _read;

    private ZmtpSubscriber(Socket socket)
    {
        _stream = new NetworkStream(socket, ownsSocket: true);
        _input = PipeReader.Create(_stream, new StreamPipeReaderOptions(bufferSize: ReadBlockBytes, leaveOpen: true));
    }

    /// <summary>Connects, greets and subscribes.</summary>
    /// <exception cref="SocketException">Nobody listens there.</exception>
    /// <exception cref="IOException">The connection broke.</exception>
    /// <exception cref="KvEventException">Not a publisher that this class can follow.</exception>
    public static async Task<ZmtpSubscriber> ConnectAsync(string host, int port, string topic, CancellationToken ct)
    {
        Socket socket = new(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(new DnsEndPoint(host, port), ct);
            socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
            socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveTime, KeepAlive.Idle);
            socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveInterval, KeepAlive.Interval);
            socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveRetryCount, KeepAlive.Count);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
        ZmtpSubscriber subscriber = new(socket);
        try
        {
            await subscriber.GreetAsync(topic, ct);
            return subscriber;
        }
        catch
        {
            await subscriber.DisposeAsync();
            throw;
        }
    }

    /// <summary>The next part of a message. Its body is borrowed until the next call.</summary>
    /// <param name="maxBytes">A longer part ends the connection.</param>
    /// <exception cref="IOException">The connection broke.</exception>
    /// <exception cref="KvEventException">The publisher left, or broke the protocol.</exception>
    public async ValueTask<ZmtpFrame> ReadPartAsync(int maxBytes, CancellationToken ct)
    {
        while (true)
        {
            ZmtpFrame frame = await ReadFrameAsync(Math.Max(maxBytes, MaxCommandBytes), ct);
            if (!frame.IsCommand)
                return frame.Body.Length <= maxBytes ? frame : throw new KvEventException($"A part of {frame.Body.Length} bytes: at most {maxBytes} are expected here.");
            if (PongTo(frame.Body) is { } pong) await _stream.WriteAsync(pong, ct);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _input.CompleteAsync();
        await _stream.DisposeAsync();
    }

    private async Task GreetAsync(string topic, CancellationToken ct)
    {
        await _stream.WriteAsync(ZmtpHandshake.Greeting(), ct);
        ReadResult greeting = await _input.ReadAtLeastAsync(ZmtpHandshake.GreetingBytes, ct);
        if (greeting.Buffer.Length < ZmtpHandshake.GreetingBytes) throw Left();
        ReadOnlySequence<byte> theirs = greeting.Buffer.Slice(0, ZmtpHandshake.GreetingBytes);
        ZmtpHandshake.CheckGreeting(theirs.ToArray());
        _input.AdvanceTo(theirs.End);
        await _stream.WriteAsync(ZmtpHandshake.Ready(), ct);
        ZmtpHandshake.CheckReady(await ReadFrameAsync(MaxCommandBytes, ct));
        await _stream.WriteAsync(ZmtpHandshake.Subscribe(topic), ct);
    }

    private async ValueTask<ZmtpFrame> ReadFrameAsync(int maxBytes, CancellationToken ct)
    {
        if (_read is { } done) _input.AdvanceTo(done);
        _read = null;
        while (true)
        {
            ReadResult read = await _input.ReadAsync(ct);
            ReadOnlySequence<byte> unread = read.Buffer;
            if (ZmtpFrame.TryRead(ref unread, maxBytes, out ZmtpFrame frame))
            {
                _read = unread.Start;
                return frame;
            }
            _input.AdvanceTo(unread.Start, unread.End);
            if (read.IsCompleted) throw Left();
        }
    }

    // PING is a time to live of two bytes and a context, which PONG gives back.
    private static byte[]? PongTo(in ReadOnlySequence<byte> command)
    {
        byte[] body = command.ToArray();
        const int contextAt = 7;
        return body.AsSpan().StartsWith((ReadOnlySpan<byte>)[4, .. "PING"u8]) && body.Length >= contextAt
            ? ZmtpFrame.Write(isCommand: true, [4, .. "PONG"u8, .. body.AsSpan(contextAt)])
            : null;
    }

    private static KvEventException Left() => new("The publisher closed the connection.");
}
