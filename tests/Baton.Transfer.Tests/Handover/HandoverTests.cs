using Baton.Core.Handover;
using Baton.Core.Ids;
using Baton.Core.Kv;

namespace Baton.Transfer.Tests.Handover;

/// <summary>The good road, in the orders that the two halves can come in.</summary>
public sealed class HandoverTests
{
    private static readonly BootstrapRoom Room = Make.Room(0xA7);

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_prompt_arrives_chunk_by_chunk_whichever_half_comes_first(bool isDecodeFirst)
    {
        using HandoverRig rig = new();

        if (isDecodeFirst) rig.Claim(Room, 100);
        rig.PollSender();
        rig.Sender.Open(Room, 100);
        if (!isDecodeFirst) rig.Claim(Room, 100);
        Assert.Equal(KvSenderEventKind.Claimed, Assert.Single(rig.PollSender()).Kind);
        Assert.True(rig.TrySend(Room, new KvRange(0, 64)));
        Assert.True(rig.TrySend(Room, new KvRange(64, 100)));
        rig.Sender.SendLast(Room, Make.First);
        List<KvReceiverEvent> received = rig.PollReceiver();

        Assert.Equal([KvReceiverEventKind.Chunk, KvReceiverEventKind.Chunk, KvReceiverEventKind.Last], received.Select(e => e.Kind));
        Assert.All(received[..2], chunk => Assert.True(Make.IsRight(Room, chunk.Range, chunk.Payload!)));
        Assert.Equal(Make.First, received[2].First);
        foreach (KvReceiverEvent chunk in received[..2]) chunk.Payload!.Dispose();
        rig.Receiver.Acknowledge(Room);
        Assert.Equal(KvSenderEventKind.Delivered, Assert.Single(rig.PollSender()).Kind);
        Assert.Equal((0, 0, 0L), (rig.Sender.OpenRooms, rig.Receiver.ClaimedRooms, rig.Receiver.BufferedBytes));
    }

    [Fact]
    public void Rooms_of_one_endpoint_share_one_link()
    {
        using HandoverRig rig = new();

        for (ulong room = 1; room <= 10; room++) rig.Meet(Make.Room(room), 5);

        Assert.Equal((1, 1), (rig.Sender.Links, rig.Receiver.Links));
        Assert.Equal(10, rig.Sender.OpenRooms);
    }
}
