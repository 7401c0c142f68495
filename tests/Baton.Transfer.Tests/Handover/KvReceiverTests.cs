using System.Diagnostics;
using Baton.Core.Failures;
using Baton.Core.Handover;
using Baton.Core.Ids;
using Baton.Core.Kv;
using Baton.Transfer.Links;

namespace Baton.Transfer.Tests.Handover;

/// <summary>Decode's side: buffers and their window, late frames, lost links.</summary>
public sealed class KvReceiverTests
{
    private static readonly BootstrapRoom Room = Make.Room(7);

    [Fact]
    public void Window_is_granted_when_buffers_are_used_up_and_not_when_they_are_handed_out()
    {
        using HandoverRig rig = new(decode: Make.Decode(maxChunkTokens: 8, windowBytes: 8 * Make.BytesPerToken), prefill: Make.Prefill(maxChunkTokens: 8));
        rig.Meet(Room, 16);
        rig.TrySend(Room, new KvRange(0, 8));

        KvReceiverEvent chunk = Assert.Single(rig.PollReceiver());
        rig.PollReceiver();
        Assert.Empty(rig.PollSender());
        Assert.Equal(8 * Make.BytesPerToken, rig.Receiver.BufferedBytes);
        Assert.False(rig.TrySend(Room, new KvRange(8, 16)));
        int wakes = rig.Wakes;
        chunk.Payload!.Dispose();

        Assert.True(rig.Wakes > wakes); // so that the rank polls again, and grants
        Assert.Equal(0, rig.Receiver.BufferedBytes);
        rig.PollReceiver();
        Assert.Equal(KvSenderEventKind.WindowOpen, Assert.Single(rig.PollSender()).Kind);
    }

    [Fact]
    public void Chunks_of_a_room_that_was_given_up_are_dropped_and_their_window_comes_back()
    {
        using HandoverRig rig = new(decode: Make.Decode(maxChunkTokens: 8, windowBytes: 8 * Make.BytesPerToken), prefill: Make.Prefill(maxChunkTokens: 8));
        rig.Meet(Room, 16);
        rig.Meet(Make.Room(8), 16);
        rig.TrySend(Room, new KvRange(0, 8));

        rig.Receiver.Fail(Room, Make.Aborted);
        Assert.Empty(rig.PollReceiver());
        rig.PollSender();

        Assert.Equal(0, rig.Receiver.BufferedBytes);
        Assert.True(rig.TrySend(Make.Room(8), new KvRange(0, 8)));
        Assert.Single(rig.PollReceiver()).Payload!.Dispose();
    }

    [Fact]
    public void Late_frames_of_a_rooms_first_life_do_not_touch_its_second()
    {
        using HandoverRig rig = new();
        rig.Meet(Room, 10);
        rig.TrySend(Room, new KvRange(0, 10));
        rig.Sender.SendLast(Room, Make.First); // under way when decode gives up and the room is used again
        rig.Receiver.Fail(Room, Make.Aborted);
        rig.Claim(Room, 10);

        Assert.Empty(rig.PollReceiver());

        Assert.Equal(1, rig.Receiver.ClaimedRooms);
        Assert.Throws<UnreachableException>(() => rig.Receiver.Acknowledge(Room));
    }

    [Fact]
    public void A_lost_link_fails_its_rooms_on_both_sides_and_the_next_claim_makes_a_new_one()
    {
        using HandoverRig rig = new();
        rig.Meet(Room, 10);
        rig.Meet(Make.Room(8), 10);

        rig.Sever();
        RequestFailure[] onDecode = [.. rig.PollReceiver().Select(e => e.Failure!)], onPrefill = [.. rig.PollSender().Select(e => e.Failure!)];
        Assert.Equal([FailureReason.LinkLost, FailureReason.LinkLost], onDecode.Select(f => f.Reason));
        Assert.Equal([FailureReason.LinkLost, FailureReason.LinkLost], onPrefill.Select(f => f.Reason));
        Assert.Equal((0, 0), (rig.Sender.Links, rig.Receiver.Links));
        rig.Meet(Make.Room(9), 10);

        Assert.Equal((1, 1), (rig.Sender.Links, rig.Receiver.Links));
        Assert.Equal(1, rig.Sender.OpenRooms);
    }

    [Fact]
    public void A_room_whose_last_frame_came_survives_its_link()
    {
        using HandoverRig rig = new();
        rig.Meet(Room, 5);
        rig.TrySend(Room, new KvRange(0, 5));
        rig.Sender.SendLast(Room, Make.First);
        rig.PollReceiver()[0].Payload!.Dispose();

        rig.Sever();

        Assert.Empty(rig.PollReceiver());
        rig.Receiver.Acknowledge(Room);
        Assert.Equal(0, rig.Receiver.ClaimedRooms);
    }

    [Fact]
    public void Nobody_at_the_endpoint_fails_the_room_link_lost()
    {
        using HandoverRig rig = new();
        rig.Network.StopListening(HandoverRig.Endpoint);

        rig.Claim(Room, 10);

        Assert.Equal(FailureReason.LinkLost, Assert.Single(rig.PollReceiver()).Failure!.Reason);
    }

    [Fact]
    public void Different_models_are_refused_with_both_fingerprints()
    {
        using HandoverRig rig = new(decode: Make.Decode() with { ModelFingerprint = "beef" });

        rig.Claim(Room, 10);

        RequestFailure failure = Assert.Single(rig.PollReceiver()).Failure!;
        Assert.Equal(FailureReason.PeerMismatch, failure.Reason);
        Assert.Contains("'f00d'", failure.Message, StringComparison.Ordinal);
        Assert.Contains("'beef'", failure.Message, StringComparison.Ordinal);
    }

    public static TheoryData<string> Differences => ["role", "options", "layout", "chunk", "window"];

    [Theory]
    [MemberData(nameof(Differences))]
    public void Every_other_difference_that_would_break_the_hand_over_is_refused(string what)
    {
        KvIdentity prefill = Make.Prefill(), decode = what switch
        {
            "role" => Make.Prefill(),
            "options" => Make.Decode() with { EngineOptions = "lib b2" },
            "layout" => Make.Decode() with { Layout = new KvLayout([8, 8], [4, 4], 1, 1) }, // as many bytes a token
            "chunk" => Make.Decode(maxChunkTokens: 63),
            _ => Make.Decode(windowBytes: (64 * Make.BytesPerToken) - 1),
        };

        Assert.Equal(FailureReason.PeerMismatch, KvIdentity.FindMismatch(prefill, decode)?.Reason);
        Assert.Null(KvIdentity.FindMismatch(prefill, Make.Decode(windowBytes: 64 * Make.BytesPerToken)));
    }

    [Fact]
    public void Calls_that_no_scheduler_may_make_throw_at_once()
    {
        using HandoverRig rig = new();
        rig.Meet(Room, 10);

        Assert.Throws<UnreachableException>(() => rig.Claim(Room, 10));
        Assert.Throws<UnreachableException>(() => rig.Receiver.Acknowledge(Room));
        Assert.Throws<UnreachableException>(() => rig.Receiver.Acknowledge(Make.Room(99)));
    }

    [Fact]
    public void A_receiver_that_is_disposed_tells_prefill_and_returns_what_was_waiting()
    {
        using HandoverRig rig = new();
        rig.Meet(Room, 10);
        List<int> returned = [];
        rig.Sender.CanSend(Room, 10 * Make.BytesPerToken);
        KvBuffer cells = Make.Cells(Room, new KvRange(0, 10));
        cells.Returned = returned.Add;
        rig.Sender.SendChunk(Room, new KvRange(0, 10), cells);

        rig.Receiver.Dispose();

        Assert.Equal([10 * Make.BytesPerToken], returned);
        Assert.Equal(FailureReason.ShuttingDown, Assert.Single(rig.PollSender()).Failure!.Reason);
    }
}
