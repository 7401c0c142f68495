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

/// <summary>A peer that is authenticated and still sends what it may not: its link closes, its rooms fail, nothing else is touched.</summary>
public sealed class RoguePeerTests
{
    private static readonly BootstrapRoom Room = Make.Room(7);
    private static readonly KvEndpoint Endpoint = new("there", 1, DpRank.Zero);

    public static TheoryData<string> ToDecode =>
    [
        "a chunk nobody claimed", "a chunk of another room", "a gap", "a duplicate", "a wrong length", "more than the window", "an early last",
        "a second last", "no cells", "wrong rank of its own", "a claim", "an ack", "a credit", "a lost frame", "a repeated frame", "a fail nobody claimed",
    ];

    [Theory]
    [MemberData(nameof(ToDecode))]
    public void Prefill_that_breaks_the_protocol_costs_it_the_link_and_decode_only_the_rooms_on_it(string what)
    {
        KvInbox inbox = new(1000, () => { });
        ScriptedLinks links = new();
        KvIdentity decode = Make.Decode(windowBytes: 64 * Make.BytesPerToken);
        using KvReceiver receiver = new(inbox, links, decode, NullLogger.Instance);
        receiver.Claim(Room, Endpoint, what == "a second last" ? 64 : 100);
        receiver.Claim(Make.Room(8), Endpoint with { Port = 2 }, 100);
        inbox.Opened(links.Made[0], Make.Prefill());
        inbox.Opened(links.Made[1], Make.Prefill());
        List<int> returned = [];
        uint number = 0;

        foreach (KvFrame frame in Attack(what))
        {
            if (frame.Payload is { } cells) cells.Returned = returned.Add;
            inbox.TryPost(links.Made[0], frame with { Number = frame.Number == 0 ? ++number : frame.Number });
        }
        List<KvReceiverEvent> events = [];
        receiver.Poll(TimeSpan.Zero, events);

        KvReceiverEvent end = events[^1];
        Assert.Equal((KvReceiverEventKind.Failed, Room, FailureReason.TransferCorrupt), (end.Kind, end.Room, end.Failure!.Reason));
        Assert.Equal(FailureReason.TransferCorrupt, links.Made[0].Closed?.Reason);
        Assert.Null(links.Made[1].Closed);
        Assert.Equal((1, 1), (receiver.ClaimedRooms, receiver.Links));
        foreach (KvReceiverEvent chunk in events.Where(e => e.Kind == KvReceiverEventKind.Chunk)) chunk.Payload!.Dispose();
        Assert.Equal(0, receiver.BufferedBytes);
    }

    private static IEnumerable<KvFrame> Attack(string what)
    {
        KvRange first = new(0, 10);
        KvFrame Chunk(KvRange range, uint claim = 1, BootstrapRoom? room = null) => KvFrame.ForChunk(room ?? Room, claim, range, Make.Cells(Room, range));
        return what switch
        {
            "a chunk nobody claimed" => [Chunk(first, claim: 2)],
            "a chunk of another room" => [Chunk(first, room: Make.Room(8))],
            "a gap" => [Chunk(first), Chunk(new KvRange(11, 20))],
            "a duplicate" => [Chunk(first), Chunk(first)],
            "a wrong length" => [Chunk(first) with { Range = new KvRange(0, 9) }],
            "more than the window" => [Chunk(new KvRange(0, 60)), Chunk(new KvRange(60, 70))],
            "an early last" => [Chunk(first), KvFrame.ForLast(Room, 1, Make.First)],
            "a second last" => [Chunk(new KvRange(0, 50)), Chunk(new KvRange(50, 64)), KvFrame.ForLast(Room, 1, Make.First), KvFrame.ForLast(Room, 1, Make.First)],
            "no cells" => [KvFrame.ForChunk(Room, 1, first, null)],
            "wrong rank of its own" => [KvFrame.ForWrongRank(Room, 1, DpRank.Zero)],
            "a claim" => [KvFrame.ForClaim(Room, 1, 10)],
            "an ack" => [KvFrame.ForAck(Room, 1)],
            "a credit" => [KvFrame.ForCredit(10)],
            "a lost frame" => [Chunk(first) with { Number = 2 }],
            "a repeated frame" => [Chunk(first), Chunk(new KvRange(10, 20)) with { Number = 1 }],
            _ => [KvFrame.ForFail(Room, 2, Make.Aborted)],
        };
    }

    public static TheoryData<string> ToPrefill =>
    [
        "an ack before the last frame", "an ack nobody claimed", "a credit of nothing", "a claim number again", "a claim number too far", "a chunk", "a last", "a wrong rank",
        "a fail of another room", "a lost frame",
    ];

    [Theory]
    [MemberData(nameof(ToPrefill))]
    public void Decode_that_breaks_the_protocol_costs_it_the_link_and_prefill_only_the_rooms_on_it(string what)
    {
        KvInbox inbox = new(1000, () => { });
        using KvSender sender = new(inbox, Make.Prefill(), new TransferOptions(), _ => null, NullLogger.Instance);
        ScriptedLinks.Link rogue = new(), good = new();
        inbox.Opened(rogue, Make.Decode());
        inbox.Opened(good, Make.Decode(rank: 1));
        sender.Open(Room, 100);
        sender.Open(Make.Room(8), 100);
        inbox.TryPost(rogue, KvFrame.ForClaim(Room, 1, 100) with { Number = 1 });
        inbox.TryPost(good, KvFrame.ForClaim(Make.Room(8), 1, 100) with { Number = 1 });

        KvFrame bad = what switch
        {
            "an ack before the last frame" => KvFrame.ForAck(Room, 1),
            "an ack nobody claimed" => KvFrame.ForAck(Room, 2),
            "a credit of nothing" => KvFrame.ForCredit(1),
            "a claim number again" => KvFrame.ForClaim(Make.Room(9), 1, 100),
            "a claim number too far" => KvFrame.ForClaim(Make.Room(9), 3, 100),
            "a chunk" => KvFrame.ForChunk(Room, 1, new KvRange(0, 10), Make.Cells(Room, new KvRange(0, 10))),
            "a last" => KvFrame.ForLast(Room, 1, Make.First),
            "a wrong rank" => KvFrame.ForWrongRank(Room, 1, new DpRank(1)),
            "a fail of another room" => KvFrame.ForFail(Make.Room(8), 1, Make.Aborted),
            _ => KvFrame.ForAck(Room, 1) with { Number = 3 },
        };
        inbox.TryPost(rogue, bad with { Number = bad.Number == 0 ? 2 : bad.Number });
        List<KvSenderEvent> events = [];
        sender.Poll(TimeSpan.Zero, events);

        KvSenderEvent end = events.Last(e => e.Kind == KvSenderEventKind.Failed);
        Assert.Equal((Room, FailureReason.TransferCorrupt), (end.Room, end.Failure!.Reason));
        Assert.Equal(FailureReason.TransferCorrupt, rogue.Closed?.Reason);
        Assert.Null(good.Closed);
        Assert.Equal((1, 1), (sender.OpenRooms, sender.Links));
    }

    [Fact]
    public void What_a_closed_link_still_brings_is_thrown_away_and_its_buffers_come_back()
    {
        KvInbox inbox = new(1000, () => { });
        ScriptedLinks links = new();
        using KvReceiver receiver = new(inbox, links, Make.Decode(), NullLogger.Instance);
        receiver.Claim(Room, Endpoint, 100);
        inbox.Opened(links.Made[0], Make.Prefill());
        inbox.TryPost(links.Made[0], KvFrame.ForAck(Room, 1) with { Number = 1 });
        KvBuffer cells = Make.Cells(Room, new KvRange(0, 10));
        List<int> returned = [];
        cells.Returned = returned.Add;
        inbox.TryPost(links.Made[0], KvFrame.ForChunk(Room, 1, new KvRange(0, 10), cells) with { Number = 2 });
        inbox.Closed(links.Made[0], Make.Aborted);

        List<KvReceiverEvent> events = [];
        receiver.Poll(TimeSpan.Zero, events);

        Assert.Single(events);
        Assert.Equal([10 * Make.BytesPerToken], returned);
    }

    [Fact]
    public void An_inbox_that_is_full_takes_no_more_frames_but_still_the_end_of_a_link()
    {
        using KvInbox inbox = new(2, () => { });
        ScriptedLinks.Link link = new();

        Assert.True(inbox.TryPost(link, KvFrame.Ping));
        Assert.True(inbox.TryPost(link, KvFrame.Ping));
        Assert.False(inbox.TryPost(link, KvFrame.Ping));
        inbox.Closed(link, Make.Aborted);
        Assert.True(inbox.TryTake(out _));

        Assert.True(inbox.TryPost(link, KvFrame.Ping));
    }

    [Fact]
    public void A_peer_that_lets_its_inbox_fill_up_loses_the_link_and_the_frames_are_not_kept()
    {
        KvInbox prefillInbox = new(1, () => { });
        InProcessKvNetwork network = new();
        network.Listen(Endpoint, prefillInbox, Make.Prefill());
        using KvReceiver receiver = new(new KvInbox(100, () => { }), network.For(Make.Decode()), Make.Decode(), NullLogger.Instance);

        receiver.Claim(Make.Room(1), Endpoint, 10);
        receiver.Claim(Make.Room(2), Endpoint, 10);
        List<KvReceiverEvent> events = [];
        receiver.Poll(TimeSpan.Zero, events);

        Assert.Equal(2, events.Count);
        Assert.All(events, e => Assert.Equal(FailureReason.LinkLost, e.Failure!.Reason));
        prefillInbox.Dispose();
    }

    /// <summary>Links that only remember what was done to them.</summary>
    private sealed class ScriptedLinks : IKvConnector
    {
        public List<Link> Made { get; } = [];

        public IKvLink Connect(KvEndpoint endpoint, KvInbox inbox)
        {
            Made.Add(new Link());
            return Made[^1];
        }

        internal sealed class Link : IKvLink
        {
            public RequestFailure? Closed { get; private set; }

            public void Send(in KvFrame frame) => frame.Payload?.Dispose();

            public void Close(RequestFailure why) => Closed ??= why;
        }
    }
}
