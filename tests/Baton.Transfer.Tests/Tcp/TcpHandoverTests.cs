using Baton.Core.Handover;
using Baton.Core.Ids;
using Baton.Core.Kv;
using Baton.Transfer.Links;

namespace Baton.Transfer.Tests.Tcp;

/// <summary>The same state machines over real sockets.</summary>
public sealed class TcpHandoverTests
{
    private static readonly BootstrapRoom Room = Make.Room(0xA7);

    [Theory]
    [InlineData(64)]
    [InlineData(20_000)]
    public async Task A_prompt_arrives_over_loopback_in_chunks_small_and_large(int chunkTokens)
    {
        KvIdentity prefill = Make.Prefill(maxChunkTokens: 20_000), decode = Make.Decode(maxChunkTokens: 20_000);
        await using TcpRig rig = new(prefill: prefill, decode: decode, options: new TransferOptions { ClusterSecret = "sixteen letters!" });
        int promptTokens = 2 * chunkTokens;

        await rig.MeetAsync(Room, promptTokens);
        Assert.True(rig.TrySend(Room, new KvRange(0, chunkTokens)));
        Assert.True(rig.TrySend(Room, new KvRange(chunkTokens, promptTokens)));
        rig.Sender.SendLast(Room, Make.First);
        await rig.UntilAsync(() => rig.Received.Count == 3, "two chunks and the last frame");
        Assert.All(rig.Received[..2], chunk => Assert.True(Make.IsRight(Room, chunk.Range, chunk.Payload!)));
        rig.Receiver.Acknowledge(Room);
        await rig.UntilAsync(() => rig.Sent.Exists(e => e.Kind == KvSenderEventKind.Delivered), "delivered");

        Assert.Equal(Make.First, rig.Received[2].First);
        Assert.Equal((0, 0), (rig.Sender.OpenRooms, rig.Receiver.ClaimedRooms));
    }

    [Fact]
    public async Task More_than_a_window_passes_as_buffers_are_used_up()
    {
        KvIdentity prefill = Make.Prefill(maxChunkTokens: 8), decode = Make.Decode(maxChunkTokens: 8, windowBytes: 16 * Make.BytesPerToken);
        await using TcpRig rig = new(prefill: prefill, decode: decode);
        await rig.MeetAsync(Room, 80);

        for (int start = 0, arrived = 0; start < 80; start += 8)
        {
            KvRange range = new(start, start + 8);
            await rig.UntilAsync(() => rig.TrySend(Room, range), $"room in the window for {range}");
            await rig.UntilAsync(() => rig.Received.Count > arrived, $"chunk {range}");
            Assert.Equal((KvReceiverEventKind.Chunk, range), (rig.Received[arrived].Kind, rig.Received[arrived].Range));
            rig.Received[arrived++].Payload!.Dispose();
        }
        rig.Sender.SendLast(Room, Make.First);
        await rig.UntilAsync(() => rig.Received.Count == 11, "the last frame");

        Assert.Equal(KvReceiverEventKind.Last, rig.Received[^1].Kind);
    }
}
