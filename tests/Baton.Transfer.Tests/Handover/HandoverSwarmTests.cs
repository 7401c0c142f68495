using Baton.Core.Failures;
using Baton.Core.Handover;
using Baton.Core.Ids;
using Baton.Core.Kv;
using Baton.Transfer.Links;
using Baton.Transfer.Receiving;
using Baton.Transfer.Sending;
using Baton.Transfer.Wire;
using Microsoft.Extensions.Logging.Abstractions;

namespace Baton.Transfer.Tests.Handover;

/// <summary>Two prefill ranks, three decode ranks, many rooms, and links that delay, drop, repeat and break, all told by one seed.</summary>
public sealed class HandoverSwarmTests
{
    private const int Senders = 2, Receivers = 3, Rooms = 40, MaxSteps = 20_000;
    private static readonly TimeSpan RoomDeadline = TimeSpan.FromSeconds(2);

    public static TheoryData<int> SeedGroups => [.. Enumerable.Range(0, 10)];

    [Theory]
    [MemberData(nameof(SeedGroups))]
    public void Each_room_ends_once_on_both_sides_and_every_buffer_comes_back(int group)
    {
        for (int seed = group * 30; seed < (group + 1) * 30; seed++) new Swarm(seed).Run();
    }

    [Fact]
    public void The_same_seed_goes_the_same_way()
    {
        Swarm one = new(81), two = new(81), other = new(82);
        one.Run();
        two.Run();
        other.Run();

        Assert.Equal(one.Trace, two.Trace);
        Assert.NotEqual(one.Trace, other.Trace);
    }

    /// <summary>What both schedulers do, as small as it can be: deadlines are theirs, and so is one end for each room.</summary>
    private sealed class Swarm
    {
        private readonly int _seed;
        private readonly Random _random;
        private readonly FaultyNetwork _network;
        private readonly KvSender[] _senders = new KvSender[Senders];
        private readonly KvReceiver[] _receivers = new KvReceiver[Receivers];
        private readonly Dictionary<BootstrapRoom, PrefillSide> _prefill = [];
        private readonly Dictionary<BootstrapRoom, DecodeSide> _decode = [];
        private readonly List<string> _trace = [];
        private readonly List<KvSenderEvent> _sent = [];
        private readonly List<KvReceiverEvent> _received = [];
        private readonly List<(KvBuffer Cells, int Receiver)> _importing = [];
        private readonly List<KvBuffer> _made = [];
        private TimeSpan _now;

        public Swarm(int seed)
        {
            _seed = seed;
            _random = new Random(seed);
            _network = new FaultyNetwork(_random);
            for (int rank = 0; rank < Senders; rank++)
            {
                KvInbox inbox = new(500, () => { });
                KvIdentity identity = Make.Prefill(rank, maxChunkTokens: 8);
                _senders[rank] = new KvSender(inbox, identity, new TransferOptions { EarlyClaimTimeout = TimeSpan.FromSeconds(1) }, RankOf, NullLogger.Instance);
                _network.Listen(new KvEndpoint("p", rank, new DpRank(rank)), inbox, identity);
            }
            for (int rank = 0; rank < Receivers; rank++)
            {
                KvIdentity identity = Make.Decode(rank, maxChunkTokens: 8, windowBytes: 20 * Make.BytesPerToken);
                _receivers[rank] = new KvReceiver(new KvInbox(500, () => { }), _network.For(identity), identity, NullLogger.Instance);
            }
        }

        public string Trace => string.Join('\n', _trace);

        private sealed class PrefillSide
        {
            public required int Sender { get; init; }
            public required int Tokens { get; init; }
            public required TimeSpan OpenAt { get; init; }
            public bool IsOpen { get; set; }
            public bool IsClaimed { get; set; }
            public int Sent { get; set; }
            public bool IsLastSent { get; set; }
            public string? End { get; set; }
        }

        private sealed class DecodeSide
        {
            public required int Receiver { get; init; }
            public required int Tokens { get; init; }
            public required TimeSpan ClaimAt { get; init; }
            public required int Guess { get; init; }
            public bool IsClaimed { get; set; }
            public int Arrived { get; set; }
            public bool HasLast { get; set; }
            public string? End { get; set; }
        }

        public void Run()
        {
            for (ulong value = 1; value <= Rooms; value++)
            {
                int tokens = _random.Next(1, 40);
                _prefill[new(value)] = new PrefillSide { Sender = _random.Next(Senders), Tokens = tokens, OpenAt = Soon() };
                _decode[new(value)] = new DecodeSide { Receiver = _random.Next(Receivers), Tokens = _random.Next(20) == 0 ? tokens + 1 : tokens, ClaimAt = Soon(), Guess = _random.Next(Senders) };
            }
            for (int step = 0; step < MaxSteps && !IsOver; step++)
            {
                _now += TimeSpan.FromMilliseconds(1);
                Step();
            }
            Check(IsOver, $"not over: {string.Join(", ", _prefill.Where(p => p.Value.End is null).Select(p => $"prefill {p.Key}"))} {string.Join(", ", _decode.Where(d => d.Value.End is null).Select(d => $"decode {d.Key}"))}");
            foreach (KvSender sender in _senders) Check(sender.OpenRooms == 0, $"{sender.OpenRooms} rooms are open after the end");
            foreach (KvReceiver receiver in _receivers) Check(receiver.ClaimedRooms == 0 && receiver.BufferedBytes <= _importing.Sum(i => i.Cells.Length), "a receiver holds on to rooms or buffers");
            foreach ((KvBuffer cells, _) in _importing) cells.Dispose();
            foreach (KvReceiver receiver in _receivers) Check(receiver.BufferedBytes == 0, $"{receiver.BufferedBytes} bytes are still counted");
            foreach (KvSender sender in _senders) sender.Dispose();
            foreach (KvReceiver receiver in _receivers) receiver.Dispose();
            _network.DropAll();
            Check(_made.Count > 0 && _made.TrueForAll(cells => cells.IsReturned), $"{_made.Count(cells => !cells.IsReturned)} of {_made.Count} buffers never came back");
        }

        private bool IsOver => _prefill.Values.All(p => p.End is not null) && _decode.Values.All(d => d.End is not null);

        private TimeSpan Soon() => TimeSpan.FromMilliseconds(_random.Next(200));

        private DpRank? RankOf(BootstrapRoom room) => _prefill[room].IsOpen ? new DpRank(_prefill[room].Sender) : null;

        private void Step()
        {
            _network.Step(_now);
            int actor = _random.Next(Senders + Receivers);
            if (actor < Senders) TurnPrefill(actor);
            else TurnDecode(actor - Senders);
        }

        private void TurnPrefill(int rank)
        {
            KvSender sender = _senders[rank];
            _sent.Clear();
            sender.Poll(_now, _sent);
            foreach (KvSenderEvent happened in _sent)
            {
                PrefillSide side = _prefill[happened.Room];
                _trace.Add($"{_now.TotalMilliseconds} p{rank} {happened.Kind} {happened.Room} {happened.Failure?.Reason}");
                Check(side.End is null, $"prefill heard {happened.Kind} of {happened.Room} after its end {side.End}");
                if (happened.Kind == KvSenderEventKind.Claimed) side.IsClaimed = true;
                if (happened.Kind == KvSenderEventKind.Delivered) Check(_decode[happened.Room].End == "Success", $"{happened.Room} is delivered and decode does not know");
                if (happened.Kind is KvSenderEventKind.Delivered or KvSenderEventKind.Failed) side.End = happened.Kind.ToString();
            }
            foreach ((BootstrapRoom room, PrefillSide side) in _prefill)
            {
                if (side.Sender != rank || side.End is not null || side.OpenAt > _now) continue;
                if (!side.IsOpen)
                {
                    side.IsOpen = true;
                    sender.Open(room, side.Tokens);
                }
                else if (_now > side.OpenAt + RoomDeadline || _random.Next(2000) == 0)
                {
                    side.End = "Failed here";
                    sender.Fail(room, RequestFailure.Of(FailureReason.BootstrapTimeout, $"{room} took too long."));
                }
                else if (side.IsClaimed)
                {
                    SendSome(sender, room, side);
                }
            }
        }

        private void SendSome(KvSender sender, BootstrapRoom room, PrefillSide side)
        {
            int tokens = Math.Min(_random.Next(1, 9), side.Tokens - side.Sent);
            if (tokens > 0 && sender.CanSend(room, tokens * Make.BytesPerToken))
            {
                KvRange range = new(side.Sent, side.Sent + tokens);
                KvBuffer cells = Make.Cells(room, range);
                _made.Add(cells);
                sender.SendChunk(room, range, cells);
                side.Sent += tokens;
            }
            if (side.Sent == side.Tokens && !side.IsLastSent)
            {
                side.IsLastSent = true;
                sender.SendLast(room, Make.First);
            }
        }

        private void TurnDecode(int rank)
        {
            KvReceiver receiver = _receivers[rank];
            _received.Clear();
            receiver.Poll(_now, _received);
            foreach (KvReceiverEvent happened in _received) Hear(rank, happened);
            while (_importing.Count > 0 && _random.Next(3) > 0)
            {
                int at = _random.Next(_importing.Count);
                _importing[at].Cells.Dispose();
                _importing.RemoveAt(at);
            }
            foreach ((BootstrapRoom room, DecodeSide side) in _decode)
            {
                if (side.Receiver != rank || side.End is not null || side.ClaimAt > _now) continue;
                if (!side.IsClaimed)
                {
                    side.IsClaimed = true;
                    receiver.Claim(room, new KvEndpoint("p", side.Guess, new DpRank(side.Guess)), side.Tokens);
                }
                else if (side.HasLast)
                {
                    side.End = "Success";
                    receiver.Acknowledge(room);
                }
                else if (_now > side.ClaimAt + RoomDeadline || _random.Next(2000) == 0)
                {
                    side.End = "Failed here";
                    receiver.Fail(room, RequestFailure.Of(FailureReason.TransferTimeout, $"{room} took too long."));
                }
            }
        }

        private void Hear(int rank, in KvReceiverEvent happened)
        {
            DecodeSide side = _decode[happened.Room];
            _trace.Add($"{_now.TotalMilliseconds} d{rank} {happened.Kind} {happened.Room} {happened.Failure?.Reason}");
            Check(side.End is null, $"decode heard {happened.Kind} of {happened.Room} after its end {side.End}");
            switch (happened.Kind)
            {
                case KvReceiverEventKind.Chunk:
                    Check(happened.Range.Start == side.Arrived, $"{happened.Room} got {happened.Range} after {side.Arrived} tokens");
                    Check(Make.IsRight(happened.Room, happened.Range, happened.Payload!), $"{happened.Room} got other cells for {happened.Range}");
                    side.Arrived = happened.Range.End;
                    _importing.Add((happened.Payload!, rank));
                    break;
                case KvReceiverEventKind.Last:
                    Check(side.Arrived == side.Tokens, $"{happened.Room} got its last frame after {side.Arrived} of {side.Tokens} tokens");
                    side.HasLast = true;
                    break;
                case KvReceiverEventKind.WrongRank:
                    int right = happened.RightRank.Value;
                    Check(right == _prefill[happened.Room].Sender, $"{happened.Room} was sent to rank {right}");
                    _receivers[rank].Claim(happened.Room, new KvEndpoint("p", right, happened.RightRank), side.Tokens);
                    break;
                default:
                    side.End = "Failed";
                    break;
            }
        }

        private void Check(bool isRight, string what) => Assert.True(isRight, $"seed {_seed} at {_now.TotalMilliseconds} ms: {what}");
    }

    /// <summary>Delivers frames a little later, and now and then loses one, repeats one or breaks a link.</summary>
    private sealed class FaultyNetwork(Random random)
    {
        private readonly Dictionary<KvEndpoint, (KvInbox Inbox, KvIdentity Self)> _listeners = [];
        private readonly List<End> _ends = [];

        public void Listen(KvEndpoint endpoint, KvInbox inbox, KvIdentity self) => _listeners.Add(endpoint, (inbox, self));

        public IKvConnector For(KvIdentity decode) => new Connector(this, decode);

        public void Step(TimeSpan now)
        {
            foreach (End end in _ends.ToArray())
            {
                end.Deliver(now);
                if (random.Next(3000) == 0) end.Close(RequestFailure.Of(FailureReason.LinkLost, "The swarm cut it."));
            }
            _ends.RemoveAll(end => end.IsClosed);
        }

        public void DropAll()
        {
            foreach (End end in _ends) end.Drop();
        }

        private sealed class Connector(FaultyNetwork network, KvIdentity decode) : IKvConnector
        {
            public IKvLink Connect(KvEndpoint endpoint, KvInbox inbox)
            {
                (KvInbox prefillInbox, KvIdentity prefill) = network._listeners[endpoint];
                End near = new(inbox, network.Random), far = new(prefillInbox, network.Random);
                (near.Other, far.Other) = (far, near);
                network._ends.AddRange([near, far]);
                inbox.Opened(near, prefill);
                prefillInbox.Opened(far, decode);
                return near;
            }
        }

        private Random Random => random;

        /// <summary>One end: what was sent from it waits here until it is delivered to the other.</summary>
        private sealed class End(KvInbox inbox, Random random) : IKvLink
        {
            private readonly Queue<(KvFrame Frame, TimeSpan At)> _underWay = new();
            private TimeSpan _now;

            public End Other { get; set; } = null!;

            public bool IsClosed { get; private set; }

            public void Send(in KvFrame frame)
            {
                if (IsClosed)
                {
                    frame.Payload?.Dispose();
                    return;
                }
                int fate = random.Next(1500);
                if (fate == 0)
                {
                    frame.Payload?.Dispose(); // lost
                    return;
                }
                _underWay.Enqueue((frame, _now + TimeSpan.FromMilliseconds(random.Next(5))));
                if (fate == 1 && frame.Payload is null) _underWay.Enqueue((frame, _now)); // repeated
            }

            public void Deliver(TimeSpan now)
            {
                _now = now;
                while (!IsClosed && _underWay.TryPeek(out (KvFrame Frame, TimeSpan At) next) && next.At <= now)
                {
                    _underWay.Dequeue();
                    if (Other.TryTake(next.Frame)) continue;
                    next.Frame.Payload?.Dispose();
                    Close(RequestFailure.Of(FailureReason.LinkLost, "The inbox is full."));
                }
            }

            public void Close(RequestFailure why)
            {
                if (IsClosed) return;
                Finish(why);
                Other.Finish(why);
            }

            public void Drop()
            {
                while (_underWay.TryDequeue(out (KvFrame Frame, TimeSpan At) lost)) lost.Frame.Payload?.Dispose();
            }

            private bool TryTake(in KvFrame frame) => inbox.TryPost(this, frame);

            private void Finish(RequestFailure why)
            {
                if (IsClosed) return;
                IsClosed = true;
                Drop();
                inbox.Closed(this, why);
            }
        }
    }
}
