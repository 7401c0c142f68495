using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using Baton.Core.Failures;
using Baton.Transfer.Links;
using Baton.Transfer.Wire;
using Microsoft.Extensions.Logging;

namespace Baton.Transfer.Tcp;

/// <summary>Prefill's side of TCP: one port for one rank. Accepts decode ranks, shakes hands and runs the links.</summary>
/// <remarks>Dispose the sender first: it says goodbye on its links. What is left is closed here.</remarks>
/// <param name="inbox">Of the rank's sender.</param>
public sealed class TcpKvListener(KvInbox inbox, KvIdentity self, TransferOptions options, TimeProvider time, ILogger logger) : IAsyncDisposable
{
    private const int Backlog = 512;
    private static readonly TimeSpan AcceptPause = TimeSpan.FromMilliseconds(100);

    private readonly Socket _socket = new(IPAddress.Parse(options.BindAddress).AddressFamily, SocketType.Stream, ProtocolType.Tcp);
    private readonly CancellationTokenSource _shutdown = new();
    private readonly ConcurrentDictionary<TcpKvLink, Task> _running = new();
    private Task _accepting = Task.CompletedTask;
    private int _unauthenticated;

    /// <summary>The port that was bound, after <see cref="Start"/>.</summary>
    public int Port { get; private set; }

    /// <summary>Binds and listens. On return a decode rank can connect.</summary>
    /// <exception cref="InvalidOperationException">The options are wrong, or the port is taken; the message says which.</exception>
    public void Start()
    {
        if (options.Validate() is { Count: > 0 } errors) throw new InvalidOperationException(string.Join(' ', errors));
        int wanted = options.Port == 0 ? 0 : options.Port + self.Rank.Value;
        try
        {
            _socket.Bind(new IPEndPoint(IPAddress.Parse(options.BindAddress), wanted));
            _socket.Listen(Backlog);
        }
        catch (SocketException broken)
        {
            throw new InvalidOperationException($"The KV listener of prefill rank {self.Rank} cannot bind {options.BindAddress}:{wanted}: {broken.Message}. Choose another --kv-port, or 0.", broken);
        }
        Port = ((IPEndPoint)_socket.LocalEndPoint!).Port;
        logger.Listening(self.Rank, $"{options.BindAddress}:{Port}");
        _accepting = AcceptAsync();
    }

    public async ValueTask DisposeAsync()
    {
        using (ITimer giveUp = time.CreateTimer(_ => _shutdown.Cancel(), null, options.CloseTimeout, Timeout.InfiniteTimeSpan))
        {
            _socket.Dispose();
            await _accepting;
            RequestFailure why = RequestFailure.Of(FailureReason.ShuttingDown, $"Prefill rank {self.Rank} ({self.InstanceId}) is shutting down.");
            foreach (TcpKvLink link in _running.Keys) link.Close(why);
            await Task.WhenAll(_running.Values);
        }
        _shutdown.Dispose();
    }

    private async Task AcceptAsync()
    {
        while (!_shutdown.IsCancellationRequested)
        {
            try
            {
                Socket accepted = await _socket.AcceptAsync(_shutdown.Token);
                Admit(accepted);
            }
            catch (Exception stopped) when (stopped is OperationCanceledException or ObjectDisposedException or SocketException { SocketErrorCode: SocketError.OperationAborted })
            {
                return;
            }
            catch (SocketException broken)
            {
                // Out of file descriptors, most likely: it passes, and a loop without a pause would make it worse.
                logger.AcceptFailed(self.Rank, broken.Message);
                await Task.Delay(AcceptPause, time, CancellationToken.None);
            }
        }
    }

    private void Admit(Socket accepted)
    {
        string name = $"decode rank at {accepted.RemoteEndPoint}";
        if (Volatile.Read(ref _unauthenticated) >= options.MaxUnauthenticated || _running.Count >= options.MaxLinks)
        {
            logger.ConnectionRefused(self.Rank, name, $"{_unauthenticated} handshakes (of {options.MaxUnauthenticated}) and {_running.Count} connections (of {options.MaxLinks}) are open");
            accepted.Dispose();
            return;
        }
        Interlocked.Increment(ref _unauthenticated);
        TcpKvLink link = new(inbox, options, time, gate: null, name);
        TaskCompletionSource started = new(TaskCreationOptions.RunContinuationsAsynchronously);
        _running[link] = ServeAsync(link, accepted, name, started.Task);
        started.SetResult();
    }

    private async Task ServeAsync(TcpKvLink link, Socket accepted, string name, Task started)
    {
        await started; // so that this connection is in the table before it can be taken out
        using Socket socket = accepted;
        using KvSocketReader reader = new(socket, link.OnReceived);
        try
        {
            socket.NoDelay = true;
            KvIdentity? peer = await OpenAsync(socket, reader, name);
            if (peer is null) return;
            inbox.Opened(link, peer);
            await link.RunAsync(socket, reader, _shutdown.Token);
        }
        catch (Exception bug)
        {
            logger.LinkCrashed(self.Rank, name, bug);
            link.End(RequestFailure.Of(FailureReason.InternalError, $"The link to {name} crashed: {bug.Message}"));
        }
        finally
        {
            _running.TryRemove(link, out _);
        }
    }

    /// <summary>The peer, or null when the handshake failed: no rank needs to hear of that.</summary>
    private async Task<KvIdentity?> OpenAsync(Socket socket, KvSocketReader reader, string name)
    {
        using CancellationTokenSource deadline = new(options.HandshakeTimeout, time);
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(deadline.Token, _shutdown.Token);
        try
        {
            return await ShakeAsync(new KvSocketFrames(socket, reader), either.Token);
        }
        catch (Exception failed) when (failed is KvHandshakeException or KvProtocolException or SocketException)
        {
            logger.HandshakeFailed(self.Rank, name, failed.Message);
        }
        catch (OperationCanceledException)
        {
            logger.HandshakeFailed(self.Rank, name, $"not done within {options.HandshakeTimeout.TotalSeconds:0.###} s");
        }
        finally
        {
            Interlocked.Decrement(ref _unauthenticated);
        }
        return null;
    }

    private async Task<KvIdentity> ShakeAsync(KvSocketFrames frames, CancellationToken ct)
    {
        KvHandshake handshake = new(options.ClusterSecret);
        try
        {
            byte[] hello = await frames.ExpectAsync(KvFrameType.Hello, "The decode rank", ct);
            await frames.SendAsync(handshake.Challenge(hello, RandomNumberGenerator.GetBytes(KvHandshake.NonceBytes)), ct);
            byte[] proof = await frames.ExpectAsync(KvFrameType.Proof, "The decode rank", ct);
            byte[] ready = handshake.Accept(proof, self, out KvIdentity peer);
            await frames.SendAsync(ready, ct);
            return peer;
        }
        catch (KvHandshakeException refused)
        {
            await frames.TryRefuseAsync(refused.Failure, ct);
            throw;
        }
    }
}
