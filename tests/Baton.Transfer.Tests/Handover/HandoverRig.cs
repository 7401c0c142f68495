using Baton.Core.Failures;
using Baton.Core.Handover;
using Baton.Core.Ids;
using Baton.Core.Kv;
using Baton.Transfer.Links;
using Baton.Transfer.Receiving;
using Baton.Transfer.Sending;
using Microsoft.Extensions.Logging.Abstractions;

namespace Baton.Transfer.Tests.Handover;

/// <summary>One prefill rank and one decode rank over an in-process link, polled by the test.</summary>
internal sealed class HandoverRig : IDisposable
{
    private readonly Dictionary<BootstrapRoom, DpRank> _directory = [];
    private IKvLink? _connected;

    public HandoverRig(TransferOptions? options = null, KvIdentity? prefill = null, KvIdentity? decode = null)
    {
        prefill ??= Make.Prefill();
        decode ??= Make.Decode();
        PrefillInbox = new KvInbox(1000, () => Wakes++);
        DecodeInbox = new KvInbox(1000, () => Wakes++);
        Network.Listen(Endpoint, PrefillInbox, prefill);
        Sender = new KvSender(PrefillInbox, prefill, options ?? new TransferOptions(), room => _directory.TryGetValue(room, out DpRank rank) ? rank : null, NullLogger.Instance);
        Receiver = new KvReceiver(DecodeInbox, new Keeping(this, Network.For(decode)), decode, NullLogger.Instance);
    }

    public static KvEndpoint Endpoint { get; } = new("here", 1, DpRank.Zero);

    public InProcessKvNetwork Network { get; } = new();

    public KvInbox PrefillInbox { get; }

    public KvInbox DecodeInbox { get; }

    public KvSender Sender { get; }

    public KvReceiver Receiver { get; }

    public TimeSpan Now { get; set; }

    public int Wakes { get; private set; }

    /// <summary>What the last <see cref="PollSender"/> brought.</summary>
    public List<KvSenderEvent> Sent { get; } = [];

    /// <summary>What the last <see cref="PollReceiver"/> brought.</summary>
    public List<KvReceiverEvent> Received { get; } = [];

    public void Dispatched(BootstrapRoom room, int rank) => _directory[room] = new DpRank(rank);

    public List<KvSenderEvent> PollSender()
    {
        Sent.Clear();
        Sender.Poll(Now, Sent);
        return Sent;
    }

    public List<KvReceiverEvent> PollReceiver()
    {
        Received.Clear();
        Receiver.Poll(Now, Received);
        return Received;
    }

    public void Claim(BootstrapRoom room, int promptTokens) => Receiver.Claim(room, Endpoint, promptTokens);

    /// <summary>Opened, claimed, and both sides know.</summary>
    public void Meet(BootstrapRoom room, int promptTokens)
    {
        Sender.Open(room, promptTokens);
        Claim(room, promptTokens);
        PollSender();
        PollReceiver();
    }

    /// <summary>One more decode rank that reaches the same prefill rank.</summary>
    public Decode AddDecode(int rank)
    {
        KvIdentity identity = Make.Decode(rank);
        return new Decode(new KvReceiver(new KvInbox(1000, () => Wakes++), Network.For(identity), identity, NullLogger.Instance));
    }

    /// <summary>Breaks the link between the two, and tells neither why.</summary>
    public void Sever() => _connected!.Close(RequestFailure.Of(FailureReason.LinkLost, "The test cut it."));

    public bool TrySend(BootstrapRoom room, KvRange range)
    {
        if (!Sender.CanSend(room, (int)Make.Layout.PayloadBytes(range.TokenCount))) return false;
        Sender.SendChunk(room, range, Make.Cells(room, range));
        return true;
    }

    public void Dispose()
    {
        Sender.Dispose();
        Receiver.Dispose();
    }

    internal sealed class Decode(KvReceiver receiver) : IDisposable
    {
        public KvReceiver Receiver { get; } = receiver;

        public List<KvReceiverEvent> Poll()
        {
            List<KvReceiverEvent> events = [];
            Receiver.Poll(TimeSpan.Zero, events);
            return events;
        }

        public void Dispose() => Receiver.Dispose();
    }

    private sealed class Keeping(HandoverRig rig, IKvConnector connector) : IKvConnector
    {
        public IKvLink Connect(KvEndpoint endpoint, KvInbox inbox) => rig._connected = connector.Connect(endpoint, inbox);
    }
}
