using System.Collections.Concurrent;
using System.Net.Sockets;
using System.Security.Cryptography;
using Baton.Core.Failures;
using Baton.Core.Handover;
using Baton.Transfer.Links;
using Baton.Transfer.Wire;
using Microsoft.Extensions.Logging;

namespace Baton.Transfer.Tcp;

/// <summary>Decode's side of TCP: connects to prefill ranks, shakes hands and runs the links.</summary>
/// <remarks>Dispose the receiver first: it says goodbye on its links. What is left is closed here.</remarks>
public sealed class TcpKvConnector(KvIdentity self, TransferOptions options, TimeProvider time, ILogger logger) : IKvConnector, IAsyncDisposable
{
    private readonly CancellationTokenSource _shutdown = new();
    private readonly ConcurrentDictionary<TcpKvLink, Task> _running = new();

    public IKvLink Connect(KvEndpoint endpoint, KvInbox inbox)
    {
        string name = $"prefill rank {endpoint.Rank} at {endpoint.Host}:{endpoint.Port}";
        ChunkGate gate = new(self.Layout, self.MaxChunkTokens, self.WindowBytes);
        TcpKvLink link = new(inbox, options, time, gate, name);
        TaskCompletionSource started = new(TaskCreationOptions.RunContinuationsAsynchronously);
        _running[link] = ServeAsync(link, inbox, endpoint, name, started.Task);
        started.SetResult();
        return link;
    }

    public async ValueTask DisposeAsync()
    {
        using (ITimer giveUp = time.CreateTimer(_ => _shutdown.Cancel(), null, options.CloseTimeout, Timeout.InfiniteTimeSpan))
        {
            RequestFailure why = RequestFailure.Of(FailureReason.ShuttingDown, $"Decode rank {self.Rank} ({self.InstanceId}) is shutting down.");
            foreach (TcpKvLink link in _running.Keys) link.Close(why);
            await Task.WhenAll(_running.Values);
        }
        _shutdown.Dispose();
    }

    private async Task ServeAsync(TcpKvLink link, KvInbox inbox, KvEndpoint endpoint, string name, Task started)
    {
        await started; // goes on off the rank's thread, when this link is in the table that it takes itself out of
        using Socket socket = new(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        using KvSocketReader reader = new(socket, link.OnReceived);
        try
        {
            KvIdentity peer = await OpenAsync(socket, reader, endpoint, name);
            inbox.Opened(link, peer);
            await link.RunAsync(socket, reader, _shutdown.Token);
        }
        catch (KvHandshakeException refused)
        {
            link.End(refused.Failure);
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

    private async Task<KvIdentity> OpenAsync(Socket socket, KvSocketReader reader, KvEndpoint endpoint, string name)
    {
        using CancellationTokenSource deadline = new(options.ConnectTimeout, time);
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(deadline.Token, _shutdown.Token);
        string doing = $"connecting to {name}";
        TimeSpan limit = options.ConnectTimeout;
        try
        {
            await socket.ConnectAsync(endpoint.Host, endpoint.Port, either.Token);
            doing = $"the handshake with {name}";
            limit = options.HandshakeTimeout;
            return await WithDeadlineAsync(ct => ShakeAsync(new KvSocketFrames(socket, reader), endpoint, ct));
        }
        catch (SocketException broken)
        {
            throw new KvHandshakeException(RequestFailure.Of(FailureReason.LinkLost, $"{doing} failed: {broken.Message}."));
        }
        catch (OperationCanceledException)
        {
            string why = _shutdown.IsCancellationRequested ? "ended by this rank's shutdown" : $"not done within {limit.TotalSeconds:0.###} s";
            throw new KvHandshakeException(RequestFailure.Of(FailureReason.LinkLost, $"{doing}: {why}."));
        }
        catch (KvProtocolException broken)
        {
            throw new KvHandshakeException(RequestFailure.Of(FailureReason.PeerMismatch, $"{doing}: {broken.Message}"));
        }
    }

    private async Task<KvIdentity> WithDeadlineAsync(Func<CancellationToken, Task<KvIdentity>> shake)
    {
        using CancellationTokenSource deadline = new(options.HandshakeTimeout, time);
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(deadline.Token, _shutdown.Token);
        return await shake(either.Token);
    }

    private async Task<KvIdentity> ShakeAsync(KvSocketFrames frames, KvEndpoint endpoint, CancellationToken ct)
    {
        KvHandshake handshake = new(options.ClusterSecret);
        try
        {
            await frames.SendAsync(handshake.Hello(RandomNumberGenerator.GetBytes(KvHandshake.NonceBytes)), ct);
            byte[] challenge = await frames.ExpectAsync(KvFrameType.Challenge, "The prefill rank", ct);
            await frames.SendAsync(handshake.Prove(challenge, self, endpoint.Rank), ct);
            byte[] ready = await frames.ExpectAsync(KvFrameType.Ready, "The prefill rank", ct);
            return handshake.Finish(ready, self, endpoint.Rank);
        }
        catch (KvHandshakeException refused)
        {
            await frames.TryRefuseAsync(refused.Failure, ct);
            throw;
        }
    }
}
