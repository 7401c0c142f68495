using System.Diagnostics;
using Baton.Core.Handover;
using Baton.Core.Ids;
using Baton.Core.Kv;
using Baton.Transfer.Links;
using Baton.Transfer.Receiving;
using Baton.Transfer.Sending;
using Baton.Transfer.Tcp;
using Microsoft.Extensions.Logging.Abstractions;

namespace Baton.Transfer.Tests.Tcp;

/// <summary>One prefill rank that listens and one decode rank that connects, over loopback sockets. The test is both ranks' thread and waits for wakes.</summary>
internal sealed class TcpRig : IAsyncDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);
    private readonly SemaphoreSlim _woken = new(0);

    public TcpRig(TransferOptions? options = null, KvIdentity? prefill = null, KvIdentity? decode = null, TransferOptions? decodeOptions = null, TimeProvider? time = null)
    {
        time ??= TimeProvider.System;
        options ??= new TransferOptions();
        prefill ??= Make.Prefill();
        decode ??= Make.Decode();
        KvInbox prefillInbox = new(1000, Wake), decodeInbox = new(1000, Wake);
        Sender = new KvSender(prefillInbox, prefill, options, _ => null, NullLogger.Instance);
        Listener = new TcpKvListener(prefillInbox, prefill, options, time, NullLogger.Instance);
        Connector = new TcpKvConnector(decode, decodeOptions ?? options, time, NullLogger.Instance);
        Receiver = new KvReceiver(decodeInbox, Connector, decode, NullLogger.Instance);
        Listener.Start();
        Endpoint = new KvEndpoint("127.0.0.1", Listener.Port, prefill.Rank);
    }

    public KvSender Sender { get; }

    public KvReceiver Receiver { get; }

    public TcpKvListener Listener { get; }

    public TcpKvConnector Connector { get; }

    public KvEndpoint Endpoint { get; set; }

    public List<KvSenderEvent> Sent { get; } = [];

    public List<KvReceiverEvent> Received { get; } = [];

    public void Wake() => _woken.Release();

    /// <summary>Polls both sides, once more after each wake, until the condition holds.</summary>
    public async Task UntilAsync(Func<bool> isDone, string what)
    {
        long began = Stopwatch.GetTimestamp();
        while (true)
        {
            Sender.Poll(TimeSpan.Zero, Sent);
            Receiver.Poll(TimeSpan.Zero, Received);
            if (isDone()) return;
            TimeSpan left = Patience - Stopwatch.GetElapsedTime(began);
            if (left <= TimeSpan.Zero || !await _woken.WaitAsync(left)) throw new TimeoutException($"Nothing after {Patience}: {what}. Sender saw {string.Join(", ", Sent.Select(e => e.Kind))}; receiver saw {string.Join(", ", Received.Select(e => e.Kind))}.");
        }
    }

    public async Task MeetAsync(BootstrapRoom room, int promptTokens)
    {
        Sender.Open(room, promptTokens);
        Receiver.Claim(room, Endpoint, promptTokens);
        await UntilAsync(() => Sent.Exists(e => e.Room == room && e.Kind == KvSenderEventKind.Claimed), $"{room} is claimed");
    }

    public bool TrySend(BootstrapRoom room, KvRange range)
    {
        if (!Sender.CanSend(room, (int)Make.Layout.PayloadBytes(range.TokenCount))) return false;
        Sender.SendChunk(room, range, Make.Cells(room, range));
        return true;
    }

    public async ValueTask DisposeAsync()
    {
        Sender.Dispose();
        Receiver.Dispose();
        await Listener.DisposeAsync();
        await Connector.DisposeAsync();
        foreach (KvReceiverEvent chunk in Received.Where(e => e.Kind == KvReceiverEventKind.Chunk)) TryDispose(chunk.Payload!);
        _woken.Dispose();
    }

    private static void TryDispose(KvBuffer buffer)
    {
        try
        {
            buffer.Dispose();
        }
        catch (UnreachableException)
        {
            // The test returned it.
        }
    }
}
