using System.Buffers;
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using System.Threading.Channels;
using Baton.Transfer.Wire;

namespace Baton.Transfer.Tcp;

/// <summary>Frames onto one socket, in the order in which they were posted.</summary>
/// <remarks>
/// Whoever posts to an idle link writes the frame itself, as far as the socket takes it without blocking: on the way of a prompt's last
/// chunk no other thread has to wake up. What does not fit, what is large, and what comes while somebody writes is the loop's.
/// One of them has the turn at any time; the loop has it until the link is open and after its end.
/// </remarks>
/// <param name="maxQueuedFrames">Frames that may wait; bytes are bounded by the peer's window.</param>
internal sealed class KvSocketWriter(int maxQueuedFrames, TimeProvider time)
{
    /// <summary>What is sent in one call: small enough that a slow but living peer shows progress before its deadline. And what a poster writes itself at most.</summary>
    private const int SliceBytes = 1 << 20;
    private const int StagingBytes = 64 * 1024;

    private readonly Channel<KvFrame> _frames = Channel.CreateBounded<KvFrame>(new BoundedChannelOptions(maxQueuedFrames) { SingleReader = true });
    private readonly Channel<bool> _passedTurn = Channel.CreateBounded<bool>(1);
    private readonly ArrayBufferWriter<byte> _staging = new(StagingBytes);
    private Socket? _socket;
    private int _turn = 1;
    private bool _isCompleted;
    private KvFrame _chunk;
    private int _sent;
    private long _sendingSince;

    /// <summary>How long the peer has taken no byte of what is being sent.</summary>
    public TimeSpan Stalled => Volatile.Read(ref _sendingSince) is var since and not 0 ? time.GetElapsedTime(since) : TimeSpan.Zero;

    /// <summary>Takes a frame over. False, with nothing taken, when too many wait or <see cref="Complete"/> was called.</summary>
    public bool TryPost(in KvFrame frame)
    {
        if (!_frames.Writer.TryWrite(frame)) return false;
        if (!TryTakeTurn()) return true;
        // Nobody waits for these, and what a rank that draws tokens does not write itself costs its running answers nothing. A pong that rouses
        // is written here: on a busy machine the loop runs when this thread sleeps, and then the chunk behind the pong would be the loop's as well.
        if (frame.Type is KvFrameType.Ack or KvFrameType.Credit) PassTurn();
        else WriteNow();
        return true;
    }

    /// <summary>Nothing is posted any more; what waits still goes out.</summary>
    public void Complete(in KvFrame last)
    {
        _frames.Writer.TryWrite(last);
        _frames.Writer.TryComplete();
        Volatile.Write(ref _isCompleted, true);
        if (TryTakeTurn()) PassTurn();
    }

    /// <summary>Writes until everything is sent that was posted before <see cref="Complete"/>.</summary>
    /// <exception cref="SocketException">The connection is broken.</exception>
    /// <exception cref="OperationCanceledException">Not everything was sent.</exception>
    public async Task RunAsync(Socket socket, CancellationToken ct)
    {
        _socket = socket;
        socket.Blocking = false;
        while (true)
        {
            while (HasRest || Load(int.MaxValue)) await SendRestAsync(socket, ct);
            if (Volatile.Read(ref _isCompleted) && _frames.Reader.Count == 0) return;
            if (!TryKeepTurn()) await WaitForTurnAsync(ct);
        }
    }

    /// <summary>Throws away what was not sent. Only when the link is not running.</summary>
    public void DropUnsent()
    {
        _chunk.Payload?.Dispose();
        _chunk = default;
        while (_frames.Reader.TryRead(out KvFrame unsent)) unsent.Payload?.Dispose();
    }

    private bool HasRest => _sent < _staging.WrittenCount + (_chunk.Payload?.Length ?? 0);

    private ReadOnlyMemory<byte> Rest => _sent < _staging.WrittenCount
        ? _staging.WrittenMemory[_sent..]
        : _chunk.Payload!.Memory[(_sent - _staging.WrittenCount)..]; // never copied: the kernel reads it where the engine wrote it

    private bool TryTakeTurn() => Interlocked.CompareExchange(ref _turn, 1, 0) == 0;

    /// <summary>Gives the turn back, unless there is more to write by now.</summary>
    private bool TryKeepTurn()
    {
        Volatile.Write(ref _turn, 0);
        Interlocked.MemoryBarrier();
        return (_frames.Reader.Count > 0 || Volatile.Read(ref _isCompleted)) && TryTakeTurn();
    }

    /// <summary>To the loop.</summary>
    private void PassTurn() => _passedTurn.Writer.TryWrite(true);

    private async ValueTask WaitForTurnAsync(CancellationToken ct)
    {
        try
        {
            await _passedTurn.Reader.ReadAsync(ct);
        }
        catch (OperationCanceledException)
        {
            // Nobody may be left who writes: the socket is closed next.
            while (!TryTakeTurn() && !_passedTurn.Reader.TryRead(out _)) await Task.Yield();
            throw;
        }
    }

    private void WriteNow()
    {
        do
        {
            while (Load(SliceBytes))
            {
                if (TrySendRest()) continue;
                PassTurn();
                return;
            }
            if (_frames.Reader.Count == 0 && !Volatile.Read(ref _isCompleted)) continue;
            PassTurn();
            return;
        }
        while (TryKeepTurn());
    }

    /// <summary>Takes the next frames, as many control frames as there are and at most one chunk behind them.</summary>
    /// <param name="maxChunkBytes">A larger chunk stays where it is.</param>
    private bool Load(int maxChunkBytes)
    {
        _staging.ResetWrittenCount();
        _sent = 0;
        while (_staging.WrittenCount <= StagingBytes - KvFrameHeader.Size - KvFrameHeader.MaxControlBytes && _frames.Reader.TryPeek(out KvFrame next))
        {
            if (next.Payload?.Length > maxChunkBytes) break;
            _frames.Reader.TryRead(out KvFrame frame);
            if (frame.Type != KvFrameType.Chunk)
            {
                KvFrameCodec.WriteControl(frame, _staging);
                continue;
            }
            _chunk = frame;
            KvFrameCodec.WriteChunkHead(frame, _staging.GetSpan(KvFrameCodec.ChunkHeadBytes));
            _staging.Advance(KvFrameCodec.ChunkHeadBytes);
            break;
        }
        return HasRest;
    }

    /// <summary>False when the socket does not take more now, or is broken: the loop will find out.</summary>
    private bool TrySendRest()
    {
        while (HasRest)
        {
            int sent = _socket!.Send(Rest.Span, SocketFlags.None, out SocketError error);
            if (error != SocketError.Success) return false;
            Advance(sent);
        }
        return true;
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask SendRestAsync(Socket socket, CancellationToken ct)
    {
        while (HasRest)
        {
            ReadOnlyMemory<byte> rest = Rest;
            Volatile.Write(ref _sendingSince, time.GetTimestamp());
            int sent = await socket.SendAsync(rest[..Math.Min(rest.Length, SliceBytes)], SocketFlags.None, ct);
            Volatile.Write(ref _sendingSince, 0);
            Advance(sent);
        }
    }

    private void Advance(int sent)
    {
        _sent += sent;
        if (HasRest || _chunk.Payload is null) return;
        (_sent, KvFrame done) = (_sent - _chunk.Payload.Length, _chunk);
        _chunk = default;
        done.Payload!.Dispose();
    }
}
