using System.Buffers;
using System.Buffers.Binary;
using System.Net.Sockets;
using Microsoft.Extensions.Logging;

namespace Baton.Router.KvEvents;

/// <summary>Keeps <see cref="KvBlocks"/> as one rank's events tell: connects, listens, and connects again after a pause.</summary>
/// <param name="name">Of the rank, for the log: <c>url@rank</c>.</param>
internal sealed class KvEventFollower(string host, int port, string topic, string name, KvBlocks blocks, TimeSpan connectTimeout, TimeProvider time, ILogger logger)
{
    // A prompt of a million tokens, stored at once in blocks of one token, is about 40 MB.
    private const int MaxBatchBytes = 64 << 20;
    private const int MaxTopicBytes = 4096, SequenceBytes = 8;
    private static readonly TimeSpan FirstPause = TimeSpan.FromSeconds(1), MaxPause = TimeSpan.FromSeconds(30);

    public async Task RunAsync(CancellationToken ct)
    {
        TimeSpan pause = FirstPause;
        bool hasFailed = false;
        blocks.IsFollowed = true;
        while (!ct.IsCancellationRequested)
        {
            long began = time.GetTimestamp();
            try
            {
                await FollowAsync(hasFailed, ct);
            }
            catch (OperationCanceledException) when (ct.IsCancellationRequested)
            {
                break;
            }
            catch (Exception e) when (e is IOException or SocketException or KvEventException or OperationCanceledException)
            {
                // One that held for long begins a new row of failures; a row is logged once.
                if (time.GetElapsedTime(began) > MaxPause) (pause, hasFailed) = (FirstPause, false);
                if (!hasFailed) logger.KvEventsLost(name, port, e is OperationCanceledException ? $"no connection within {connectTimeout.TotalSeconds} s." : e.Message);
                hasFailed = true;
            }
            finally
            {
                blocks.End();
            }
            await PauseAsync(pause, ct);
            pause = pause * 2 < MaxPause ? pause * 2 : MaxPause;
        }
        blocks.IsFollowed = false;
    }

    private async Task FollowAsync(bool hasFailed, CancellationToken ct)
    {
        await using ZmtpSubscriber publisher = await ConnectAsync(ct);
        blocks.Begin();
        if (hasFailed) logger.KvEventsFollowed(name, port);
        while (true)
        {
            ZmtpFrame part = await publisher.ReadPartAsync(MaxTopicBytes, ct);
            if (!part.HasMore) throw Misshapen();
            part = await publisher.ReadPartAsync(SequenceBytes, ct);
            if (!part.HasMore || part.Body.Length != SequenceBytes) throw Misshapen();
            ulong sequence = SequenceOf(part.Body);
            part = await publisher.ReadPartAsync(MaxBatchBytes, ct);
            if (part.HasMore) throw Misshapen();
            blocks.BeginBatch(sequence);
            KvEventBatch.Apply(part.Body, blocks);
        }
    }

    private async Task<ZmtpSubscriber> ConnectAsync(CancellationToken ct)
    {
        using CancellationTokenSource limit = new(connectTimeout, time);
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(ct, limit.Token);
        return await ZmtpSubscriber.ConnectAsync(host, port, topic, either.Token);
    }

    private async Task PauseAsync(TimeSpan pause, CancellationToken ct)
    {
        try
        {
            await Task.Delay(pause, time, ct);
        }
        catch (OperationCanceledException)
        {
            // Shutting down, or the worker was removed.
        }
    }

    private static ulong SequenceOf(in ReadOnlySequence<byte> bytes)
    {
        Span<byte> copy = stackalloc byte[SequenceBytes];
        bytes.CopyTo(copy);
        return BinaryPrimitives.ReadUInt64BigEndian(copy);
    }

    private static KvEventException Misshapen() => new("A message is not of three parts: topic, a sequence number of 8 bytes, and the batch.");
}
