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
    private readonly Queue<KvFrame> _beforeOpen = new();
    private readonly string _decodeName;
    private string _prefillName = "";
    private bool _isOver;

    internal VirtualKvPair(VirtualKvNetwork network, EventLoop loop, int number, string decodeHost, KvIdentity decode, KvInbox decodeInbox)
    {
        (_network, _loop, Number, DecodeHost) = (network, loop, number, decodeHost);
        (_decodeName, ConnectingSince) = ($"{decodeHost} rank {decode.Rank}", loop.Now);
        DecodeEnd = new End(this, decodeInbox, network.Options.CarriesBytes ? new ChunkGate(decode.Layout, decode.MaxChunkTokens, decode.WindowBytes) : null);
    }

    /// <summary>Counts the connections of a run, for its log.</summary>
    public int Number { get; }

    public string DecodeHost { get; }

    public string? PrefillHost { get; private set; }

    public bool IsOpen { get; private set; }

    internal TimeSpan ConnectingSince { get; }

    internal End DecodeEnd { get; }

    internal End? PrefillEnd { get; private set; }

    internal bool CanTalk => _network.Hosts.CanTalk(DecodeHost, PrefillHost!);

    internal IReadOnlyList<ActiveTrouble> Troubles => _network.Troubles.Between(PrefillHost!, DecodeHost);

    internal string NameOfPeer(End end) => end == DecodeEnd ? _prefillName : _decodeName;

    internal void Open(string prefillHost, KvInbox prefillInbox, KvIdentity prefill, KvIdentity decode)
    {
        if (DecodeEnd.IsClosed) return;
        PrefillHost = prefillHost;
        _prefillName = $"{prefillHost} rank {prefill.Rank}";
        PrefillEnd = new End(this, prefillInbox, null);
        NetworkOptions options = _network.Options;
        DecodeEnd.Outgoing = new VirtualStream(this, _loop, options, PrefillEnd, options.CarriesBytes ? new FrameBytes(null) : null);
        PrefillEnd.Outgoing = new VirtualStream(this, _loop, options, DecodeEnd, options.CarriesBytes ? new FrameBytes(DecodeEnd.Gate) : null);
        IsOpen = true;
        _network.Log.Detail(_loop.Now, $"link {Number} opens between {_prefillName} and {_decodeName}");
        prefillInbox.Opened(PrefillEnd, decode);
        DecodeEnd.Inbox.Opened(DecodeEnd, prefill);
        while (_beforeOpen.TryDequeue(out KvFrame frame)) DecodeEnd.Outgoing.Send(frame);
        (DecodeEnd.HeardAt, PrefillEnd.HeardAt) = (_loop.Now, _loop.Now);
        if (options.CarriesBytes) _loop.After(options.KeepAliveInterval, Watch);
    }

    /// <summary>Both ends look whether the other is still there: a frame whose length changed on its way leaves a reader waiting for bytes that never come.</summary>
    private void Watch()
    {
        if (_isOver) return;
        KeepAlive(DecodeEnd);
        KeepAlive(PrefillEnd!);
        _loop.After(_network.Options.KeepAliveInterval, Watch);
    }

    private void KeepAlive(End end)
    {
        TimeSpan silence = _loop.Now - end.HeardAt;
        if (end.IsClosed || silence < _network.Options.KeepAliveInterval) return;
        if (silence < _network.Options.LinkTimeout) end.Outgoing!.Send(KvFrame.Ping);
        else end.Close(RequestFailure.Of(FailureReason.LinkLost, $"{NameOfPeer(end)} was silent for {silence.TotalSeconds:0.#} s."));
    }

    /// <summary>The connection is gone for both ends.</summary>
    public void Break(RequestFailure why)
    {
        if (_isOver) return;
        _isOver = true;
        _network.Remove(this);
        _network.Log.Detail(_loop.Now, $"link {Number} of {_decodeName} is over: {why}");
        DecodeEnd.Finish(why);
        PrefillEnd?.Finish(why);
        DecodeEnd.Outgoing?.Discard();
        PrefillEnd?.Outgoing?.Discard();
        foreach (KvFrame frame in _beforeOpen) frame.Payload?.Dispose();
        _beforeOpen.Clear();
    }

    /// <summary>Something between them resets the connection: one side knows now, the other hears of it behind what is under way to it.</summary>
    internal void Reset(RequestFailure why)
    {
        if (!IsOpen)
        {
            Break(why);
            return;
        }
        End first = Number % 2 == 0 ? DecodeEnd : PrefillEnd!;
        first.Close(why);
    }

    private void Send(End from, in KvFrame frame)
    {
        if (from.IsClosed)
        {
            frame.Payload?.Dispose();
            return;
        }
        from.Gate?.Note(frame);
        if (IsOpen) from.Outgoing!.Send(frame);
        else _beforeOpen.Enqueue(frame);
    }

    internal sealed class End(VirtualKvPair pair, KvInbox inbox, ChunkGate? gate) : IKvLink
    {
        public KvInbox Inbox => inbox;

        /// <summary>On decode, when bytes travel: what may come in.</summary>
        public ChunkGate? Gate => gate;

        public bool IsClosed { get; private set; }

        /// <summary>When a whole frame came last.</summary>
        public TimeSpan HeardAt { get; set; }

        /// <summary>Null until the connection is open.</summary>
        public VirtualStream? Outgoing { get; set; }

        public void Send(in KvFrame frame) => pair.Send(this, frame);

        public void Close(RequestFailure why)
        {
            if (IsClosed) return;
            Finish(why);
            if (Outgoing is null) pair.Break(why);
            else Outgoing.SendGoodbye(why);
        }

        internal void Finish(RequestFailure why)
        {
            if (IsClosed) return;
            IsClosed = true;
            inbox.Closed(this, why);
        }

        /// <summary>False when the inbox is full: nothing was taken.</summary>
        internal bool TryPost(in KvFrame frame)
        {
            if (!inbox.TryPost(this, frame)) return false;
            if (frame.Type is KvFrameType.Fail or KvFrameType.WrongRank) gate?.Note(frame);
            if (pair._network.Log.IsDetailed) pair._network.Log.Detail(pair._loop.Now, $"link {pair.Number} brings {(this == pair.DecodeEnd ? pair._decodeName : pair._prefillName)}: {Describe(frame)}");
            return true;
        }

        private static string Describe(in KvFrame frame) => frame.Type switch
        {
            KvFrameType.Chunk => $"Chunk {frame.Range} of {frame.Room}",
            KvFrameType.Credit => $"Credit of {frame.CreditBytes} bytes",
            KvFrameType.Fail => $"Fail of {frame.Room}: {frame.Text}",
            _ => $"{frame.Type} of {frame.Room}",
        };
    }
}
