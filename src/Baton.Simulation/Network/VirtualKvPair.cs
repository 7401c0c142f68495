using Baton.Core.Failures;
using Baton.Simulation.Events;
using Baton.Transfer.Links;
using Baton.Transfer.Wire;

namespace Baton.Simulation.Network;

/// <summary>Both ends of one connection between a decode rank and a prefill rank.</summary>
public sealed class VirtualKvPair
{
    private readonly VirtualKvNetwork _network;
    private readonly EventLoop _loop;
    private readonly NetworkOptions _options;
    private readonly Reachability _hosts;
    private readonly Queue<KvFrame> _beforeOpen = new();
    private bool _isStalled;

    internal VirtualKvPair(VirtualKvNetwork network, EventLoop loop, NetworkOptions options, Reachability hosts, string decodeHost, KvInbox decodeInbox)
    {
        (_network, _loop, _options, _hosts, DecodeHost) = (network, loop, options, hosts, decodeHost);
        DecodeEnd = new End(this, decodeInbox);
    }

    public string DecodeHost { get; }

    public string? PrefillHost { get; private set; }

    public bool IsOpen { get; private set; }

    internal End DecodeEnd { get; }

    internal End? PrefillEnd { get; private set; }

    /// <summary>What a fault does to the next chunk: gets the frame and what to deliver.</summary>
    public Func<KvFrame, IEnumerable<KvFrame>>? Tamper { get; set; }

    internal void Open(string prefillHost, KvInbox prefillInbox, KvIdentity prefill, KvIdentity decode)
    {
        if (DecodeEnd.IsClosed) return;
        PrefillHost = prefillHost;
        PrefillEnd = new End(this, prefillInbox);
        IsOpen = true;
        prefillInbox.Opened(PrefillEnd, decode);
        DecodeEnd.Inbox.Opened(DecodeEnd, prefill);
        while (_beforeOpen.TryDequeue(out KvFrame frame)) Carry(DecodeEnd, frame);
    }

    /// <summary>The connection is gone for both ends, each at its own time.</summary>
    public void Break(RequestFailure why)
    {
        DecodeEnd.Finish(why);
        PrefillEnd?.Finish(why);
        foreach (KvFrame frame in _beforeOpen) frame.Payload?.Dispose();
        _beforeOpen.Clear();
        _network.Remove(this);
    }

    private void Send(End from, in KvFrame frame)
    {
        if (from.IsClosed) frame.Payload?.Dispose();
        else if (!IsOpen) _beforeOpen.Enqueue(frame);
        else Carry(from, frame);
    }

    private void Carry(End from, KvFrame frame)
    {
        if (!_hosts.CanTalk(DecodeHost, PrefillHost!))
        {
            frame.Payload?.Dispose();
            Stall();
            return;
        }
        foreach (KvFrame carried in Tamper?.Invoke(frame) ?? [frame])
        {
            double bytes = 64 + (carried.Payload?.Length ?? 0);
            TimeSpan start = from.SentUntil > _loop.Now ? from.SentUntil : _loop.Now;
            from.SentUntil = start + TimeSpan.FromTicks((long)(bytes / _options.BytesPerSecond * TimeSpan.TicksPerSecond));
            End to = from == DecodeEnd ? PrefillEnd! : DecodeEnd;
            _loop.At(from.SentUntil + _options.Latency, () => Deliver(to, carried));
        }
    }

    private void Deliver(End to, in KvFrame frame)
    {
        if (!to.IsClosed && _hosts.CanTalk(DecodeHost, PrefillHost!) && to.Inbox.TryPost(to, frame)) return;
        frame.Payload?.Dispose();
        if (!to.IsClosed) Stall();
    }

    /// <summary>A frame was lost. TCP loses none, so the connection is dead: both sides notice by the silence.</summary>
    private void Stall()
    {
        if (_isStalled) return;
        _isStalled = true;
        _loop.After(_options.PeerTimeout, () => Break(RequestFailure.Of(FailureReason.LinkLost, $"{PrefillHost} and {DecodeHost} lost each other.")));
    }

    internal sealed class End(VirtualKvPair pair, KvInbox inbox) : IKvLink
    {
        public KvInbox Inbox => inbox;

        public bool IsClosed { get; private set; }

        /// <summary>When the last byte that was given to this end has left it.</summary>
        public TimeSpan SentUntil { get; set; }

        public void Send(in KvFrame frame) => pair.Send(this, frame);

        public void Close(RequestFailure why)
        {
            if (IsClosed) return;
            // What was sent before arrives first, then the goodbye ends the other side.
            TimeSpan arrives = (SentUntil > pair._loop.Now ? SentUntil : pair._loop.Now) + pair._options.Latency;
            Finish(why);
            pair._loop.At(arrives, () => pair.Break(why));
        }

        internal void Finish(RequestFailure why)
        {
            if (IsClosed) return;
            IsClosed = true;
            inbox.Closed(this, why);
        }
    }
}
