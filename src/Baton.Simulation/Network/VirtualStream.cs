using Baton.Core.Failures;
using Baton.Simulation.Events;
using Baton.Simulation.Faults;
using Baton.Transfer.Wire;

namespace Baton.Simulation.Network;

/// <summary>One direction of a connection, as TCP makes it: what is sent arrives once and in order, late when it must, or the connection dies.</summary>
/// <remarks>Only a link fault makes it do what TCP does not: repeat, swap or change frames.</remarks>
internal sealed class VirtualStream(VirtualKvPair pair, EventLoop loop, NetworkOptions options, VirtualKvPair.End to, FrameBytes? bytes)
{
    /// <summary>How often TCP tries again to reach a silent peer.</summary>
    private static readonly TimeSpan RetransmitInterval = TimeSpan.FromMilliseconds(200);

    /// <summary>How soon a full inbox is looked at again. A TCP link waits for it; here nobody signals.</summary>
    private static readonly TimeSpan InboxRetry = TimeSpan.FromMilliseconds(1);

    private readonly Queue<Packet> _arrived = new();
    private KvFrame? _read;
    private Packet? _overtaken;
    private TimeSpan _sentUntil;
    private TimeSpan _arrivesUntil;
    private TimeSpan? _silentSince;
    private bool _isWaiting;

    /// <param name="Bytes">Null when the frame travels as an object.</param>
    /// <param name="Goodbye">The other side closed: nothing comes behind.</param>
    private readonly record struct Packet(KvFrame Frame, byte[]? Bytes, RequestFailure? Goodbye = null);

    public void Send(in KvFrame frame)
    {
        Packet packet = bytes is null ? new Packet(frame, null) : new Packet(default, FrameBytes.Write(frame));
        TimeSpan extra = TimeSpan.Zero;
        int copies = 1;
        bool isOvertaken = false;
        foreach (ActiveTrouble trouble in pair.Troubles)
        {
            if (packet.Bytes is not { } content || !trouble.Hits()) continue;
            switch (trouble.Fault.Trouble)
            {
                case LinkTrouble.Delay:
                    extra += trouble.Fault.By;
                    break;
                case LinkTrouble.Duplicate:
                    copies = 2;
                    break;
                case LinkTrouble.Reorder:
                    isOvertaken = true;
                    break;
                default:
                    int bit = trouble.Random.NextInt32(content.Length * 8);
                    content[bit / 8] ^= (byte)(1 << (bit % 8));
                    break;
            }
        }
        if (isOvertaken && _overtaken is null)
        {
            _overtaken = packet;
            loop.After(RetransmitInterval, SendOvertaken); // nobody may come to overtake it
            return;
        }
        for (; copies > 0; copies--) Start(packet, extra);
        SendOvertaken();
    }

    /// <summary>What was sent before arrives first, then the goodbye ends the other side.</summary>
    public void SendGoodbye(RequestFailure why)
    {
        SendOvertaken();
        Start(new Packet(default, null, why), TimeSpan.Zero);
    }

    /// <summary>The connection is gone: what is on its way never arrives.</summary>
    public void Discard()
    {
        while (_arrived.TryDequeue(out Packet packet)) packet.Frame.Payload?.Dispose();
        _read?.Payload?.Dispose();
        _read = null;
        _overtaken?.Frame.Payload?.Dispose();
        _overtaken = null;
    }

    private void SendOvertaken()
    {
        if (_overtaken is not { } late) return;
        _overtaken = null;
        Start(late, TimeSpan.Zero);
    }

    private void Start(Packet packet, TimeSpan extra)
    {
        double length = packet.Bytes?.Length ?? 64 + (packet.Frame.Payload?.Length ?? 0);
        TimeSpan start = _sentUntil > loop.Now ? _sentUntil : loop.Now;
        _sentUntil = start + TimeSpan.FromTicks((long)(length / options.BytesPerSecond * TimeSpan.TicksPerSecond));
        TimeSpan arrives = _sentUntil + options.Latency + extra;
        // A frame that was held up holds up those behind it.
        _arrivesUntil = arrives > _arrivesUntil ? arrives : _arrivesUntil;
        loop.At(_arrivesUntil, () => Arrive(packet));
    }

    private void Arrive(Packet packet)
    {
        _arrived.Enqueue(packet);
        if (!_isWaiting) Deliver();
    }

    /// <summary>What a reading loop does: the next frame goes to the rank before the one behind it is read.</summary>
    private void Deliver()
    {
        while (!to.IsClosed)
        {
            if (_read is { } frame)
            {
                if (!to.TryPost(frame))
                {
                    to.HeardAt = loop.Now; // the silence is its own
                    Wait(InboxRetry); // the link stops reading until there is room
                    return;
                }
                _read = null;
            }
            else if (!TryRead())
            {
                if (_arrived.Count == 0) return;
                if (!pair.CanTalk)
                {
                    WaitForPeer();
                    return;
                }
                _silentSince = null;
                Take(_arrived.Dequeue());
            }
        }
        Discard();
    }

    private void Take(Packet packet)
    {
        if (packet.Goodbye is { } why) pair.Break(why);
        else if (packet.Bytes is not null) bytes!.Append(packet.Bytes);
        else _read = packet.Frame;
    }

    /// <summary>Reads the next whole frame. As in a TCP link, one that is broken ends the connection, and the peer is told.</summary>
    private bool TryRead()
    {
        if (bytes is null) return false;
        try
        {
            if (!bytes.TryRead(out KvFrame frame)) return false;
            to.HeardAt = loop.Now; // a whole frame: fewer bytes are no sign of life
            if (frame.Type == KvFrameType.Ping) to.Outgoing!.Send(KvFrame.Pong);
            else if (frame.Type is not (KvFrameType.Pong or KvFrameType.None)) _read = frame;
        }
        catch (KvProtocolException broken)
        {
            to.Close(RequestFailure.Of(FailureReason.TransferCorrupt, $"{pair.NameOfPeer(to)} broke the hand-over protocol. {broken.Message}"));
        }
        return true;
    }

    /// <summary>TCP sends again until the peer answers, or for so long that the connection counts as dead.</summary>
    private void WaitForPeer()
    {
        _silentSince ??= loop.Now;
        if (loop.Now - _silentSince.Value >= options.LinkTimeout) pair.Break(RequestFailure.Of(FailureReason.LinkLost, $"{pair.PrefillHost} and {pair.DecodeHost} lost each other."));
        else Wait(RetransmitInterval);
    }

    private void Wait(TimeSpan time)
    {
        _isWaiting = true;
        loop.After(time, () =>
        {
            _isWaiting = false;
            Deliver();
        });
    }
}
