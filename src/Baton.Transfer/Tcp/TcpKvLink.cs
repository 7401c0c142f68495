using System.Net.Sockets;
using System.Runtime.CompilerServices;
using Baton.Core.Failures;
using Baton.Transfer.Links;
using Baton.Transfer.Wire;

namespace Baton.Transfer.Tcp;

/// <summary>A link over one TCP connection: one loop reads, one writes, one asks now and then whether the peer is there.</summary>
/// <remarks>
/// What comes in is checked here, off the rank's thread. Reading stops while the inbox is full. What may be queued for sending is
/// bounded in frames, and in bytes by the peer's window; <see cref="KvSocketWriter"/> says who writes it.
/// </remarks>
/// <param name="gate">On decode: what may come in. Fed here with the claims, ends and credits that go out.</param>
/// <param name="name">Names the peer's address in messages.</param>
internal sealed class TcpKvLink(KvInbox inbox, TransferOptions options, TimeProvider time, ChunkGate? gate, string name) : IKvLink
{
    private readonly KvSocketWriter _writer = new(options.MaxQueuedFrames, time);
    private readonly Lock _ending = new();
    private RequestFailure? _why;
    private long _lastReceived;
    private volatile bool _isDelivering;

    public void Send(in KvFrame frame)
    {
        Note(frame);
        if (_writer.TryPost(frame)) return;
        frame.Payload?.Dispose();
        Close(RequestFailure.Of(FailureReason.LinkLost, $"{name} does not take the {options.MaxQueuedFrames} frames that are queued for it."));
    }

    /// <summary>A pong that nobody asked for: any peer reads it and does nothing.</summary>
    public void Rouse() => Send(KvFrame.Pong);

    public void Close(RequestFailure why)
    {
        lock (_ending)
        {
            if (_why is not null) return;
            _why = why;
        }
        _writer.Complete(KvFrame.ForGoodbye(why));
    }

    /// <summary>Called by whoever received something whole for this link.</summary>
    public void OnReceived() => Volatile.Write(ref _lastReceived, time.GetTimestamp());

    /// <summary>Runs the link from the end of its handshake to its own end, which it reports.</summary>
    public async Task RunAsync(Socket socket, KvSocketReader reader, CancellationToken shutdown)
    {
        OnReceived();
        using CancellationTokenSource stop = CancellationTokenSource.CreateLinkedTokenSource(shutdown);
        Task<RequestFailure> reading = ReadAsync(reader, stop.Token), writing = WriteAsync(socket, stop.Token), watching = WatchAsync(stop.Token);
        Close(await await Task.WhenAny(reading, writing, watching));

        // The goodbye and what was queued before it still go out, for a while.
        using ITimer giveUp = time.CreateTimer(static state => ((CancellationTokenSource)state!).Cancel(), stop, options.CloseTimeout, Timeout.InfiniteTimeSpan);
        await writing;
        await stop.CancelAsync();
        await Task.WhenAll(reading, watching);
        End(_why!);
    }

    /// <summary>The link ends without having run: no connection, or no handshake.</summary>
    public void End(RequestFailure why)
    {
        Close(why);
        _writer.DropUnsent();
        inbox.Closed(this, _why!);
    }

    /// <summary>The gate learns what this side has promised before the peer can act on it.</summary>
    private void Note(in KvFrame frame)
    {
        if (gate is null) return;
        lock (gate) gate.Note(frame);
    }

    private async Task<RequestFailure> ReadAsync(KvSocketReader reader, CancellationToken ct)
    {
        try
        {
            while (await reader.ReadAsync(gate, ct) is { } frame)
            {
                switch (frame.Type)
                {
                    case KvFrameType.Ping:
                        Send(KvFrame.Pong);
                        break;
                    case KvFrameType.Goodbye:
                        return PeerFailures.Translate(frame.Reason, frame.Text, name);
                    case KvFrameType.Pong or KvFrameType.None:
                        break;
                    default:
                        await DeliverAsync(frame, ct);
                        break;
                }
            }
            string cut = reader.LeftoverBytes > 0 ? $", {reader.LeftoverBytes} bytes into a frame" : "";
            return Lost($"{name} closed its connection without a goodbye{cut}.");
        }
        catch (EndOfStreamException)
        {
            return Lost($"{name} closed its connection in the middle of a chunk.");
        }
        catch (KvProtocolException broken)
        {
            return RequestFailure.Of(FailureReason.TransferCorrupt, $"{name} broke the hand-over protocol. {broken.Message}");
        }
        catch (SocketException broken)
        {
            return Lost($"Reading from {name} failed: {broken.Message}.");
        }
        catch (OperationCanceledException)
        {
            return Lost($"The link to {name} was closed here.");
        }
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask DeliverAsync(KvFrame frame, CancellationToken ct)
    {
        if (frame.Type is KvFrameType.Fail or KvFrameType.WrongRank) Note(frame);
        _isDelivering = true;
        await inbox.PostAsync(this, frame, ct);
        _isDelivering = false;
        OnReceived();
    }

    private async Task<RequestFailure> WriteAsync(Socket socket, CancellationToken ct)
    {
        try
        {
            await _writer.RunAsync(socket, ct);
            socket.Shutdown(SocketShutdown.Send);
            return Lost($"The link to {name} was closed here.");
        }
        catch (SocketException broken)
        {
            return Lost($"Writing to {name} failed: {broken.Message}.");
        }
        catch (OperationCanceledException)
        {
            return Lost($"The link to {name} was closed here.");
        }
    }

    private async Task<RequestFailure> WatchAsync(CancellationToken ct)
    {
        try
        {
            using PeriodicTimer tick = new(options.KeepAliveInterval, time);
            while (await tick.WaitForNextTickAsync(ct))
            {
                // While the inbox is full this side does not read, so the silence is its own.
                TimeSpan silence = _isDelivering ? TimeSpan.Zero : time.GetElapsedTime(Volatile.Read(ref _lastReceived));
                TimeSpan stalled = _writer.Stalled;
                if (silence >= options.PeerTimeout) return Lost($"{name} was silent for {silence.TotalSeconds:0.#} s.");
                if (stalled >= options.PeerTimeout) return Lost($"{name} took no byte for {stalled.TotalSeconds:0.#} s.");
                if (silence >= options.KeepAliveInterval) Send(KvFrame.Ping);
            }
        }
        catch (OperationCanceledException)
        {
            // The link ends for another loop's reason.
        }
        return Lost($"The link to {name} was closed here.");
    }

    private static RequestFailure Lost(string what) => RequestFailure.Of(FailureReason.LinkLost, what);
}
