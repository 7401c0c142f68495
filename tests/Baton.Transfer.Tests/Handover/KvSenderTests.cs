using System.Diagnostics;
using Baton.Core.Failures;
using Baton.Core.Handover;
using Baton.Core.Ids;
using Baton.Core.Kv;

namespace Baton.Transfer.Tests.Handover;

/// <summary>Prefill's side: claims in every order, ends from either side, and calls that no scheduler may make.</summary>
public sealed class KvSenderTests
{
    private static readonly BootstrapRoom Room = Make.Room(7);
    private static readonly KvRange Half = new(0, 5);
    private static readonly RequestFailure EngineDied = RequestFailure.Of(FailureReason.EngineError, "The engine produced NaN.");

    [Fact]
    public void A_claim_kept_too_long_without_its_request_is_answered_unknown_room()
    {
        using HandoverRig rig = new(new TransferOptions { EarlyClaimTimeout = TimeSpan.FromSeconds(30) });
        rig.Claim(Room, 10);
        rig.PollSender();
        rig.PollReceiver();

        rig.Now = TimeSpan.FromSeconds(29.99);
        rig.PollSender();
        Assert.Empty(rig.PollReceiver());
        Assert.Equal(1, rig.Sender.EarlyClaims);
        rig.Now = TimeSpan.FromSeconds(30.02); // the review that follows the deadline
        rig.PollSender();

        KvReceiverEvent failed = Assert.Single(rig.PollReceiver());
        Assert.Equal(FailureReason.UnknownRoom, failed.Failure!.Reason);
        Assert.Equal((0, 0), (rig.Sender.EarlyClaims, rig.Receiver.ClaimedRooms));
    }

    [Fact]
    public void A_kept_claim_makes_the_sender_ask_to_be_polled_and_an_idle_one_does_not()
    {
        using HandoverRig rig = new();
        Assert.Null(rig.Sender.NextDeadline);

        rig.Claim(Room, 10);
        rig.PollSender();

        Assert.Equal(new TransferOptions().DirectoryInterval, rig.Sender.NextDeadline);
    }

    [Fact]
    public void More_early_claims_than_the_bound_are_refused_queue_full()
    {
        using HandoverRig rig = new(new TransferOptions { MaxEarlyClaims = 2 });

        for (ulong room = 1; room <= 3; room++) rig.Claim(Make.Room(room), 10);
        rig.PollSender();

        KvReceiverEvent refused = Assert.Single(rig.PollReceiver());
        Assert.Equal((Make.Room(3), FailureReason.QueueFull), (refused.Room, refused.Failure!.Reason));
        Assert.Equal(2, rig.Sender.EarlyClaims);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_claim_at_the_wrong_rank_is_answered_with_the_right_one_whether_that_is_known_yet_or_not(bool isKnown)
    {
        using HandoverRig rig = new();
        if (isKnown) rig.Dispatched(Room, 2);
        rig.Claim(Room, 10);
        rig.PollSender();
        if (!isKnown)
        {
            Assert.Empty(rig.PollReceiver());
            rig.Dispatched(Room, 2);
            rig.Now += new TransferOptions().DirectoryInterval;
            rig.PollSender();
        }

        KvReceiverEvent answer = Assert.Single(rig.PollReceiver());

        Assert.Equal((KvReceiverEventKind.WrongRank, new DpRank(2)), (answer.Kind, answer.RightRank));
        Assert.Equal((0, 0), (rig.Sender.EarlyClaims, rig.Receiver.ClaimedRooms));
    }

    [Fact]
    public void A_room_that_the_directory_gives_to_this_very_rank_is_waited_for()
    {
        using HandoverRig rig = new();
        rig.Dispatched(Room, 0);
        rig.Claim(Room, 10);

        rig.PollSender();

        Assert.Empty(rig.PollReceiver());
        Assert.Equal(1, rig.Sender.EarlyClaims);
    }

    [Fact]
    public void A_second_claim_of_a_room_is_refused_and_the_first_goes_on()
    {
        using HandoverRig rig = new();
        rig.Meet(Room, 5);
        using HandoverRig.Decode other = rig.AddDecode(rank: 1);

        other.Receiver.Claim(Room, HandoverRig.Endpoint, 5);
        rig.PollSender();

        Assert.Equal(FailureReason.DuplicateRoom, Assert.Single(other.Poll()).Failure!.Reason);
        Assert.True(rig.TrySend(Room, Half));
    }

    [Fact]
    public void A_second_early_claim_of_a_room_is_refused_and_the_first_is_kept()
    {
        using HandoverRig rig = new();
        rig.Claim(Room, 5);
        rig.PollSender();
        using HandoverRig.Decode other = rig.AddDecode(rank: 1);

        other.Receiver.Claim(Room, HandoverRig.Endpoint, 5);
        rig.PollSender();
        Assert.Equal(FailureReason.DuplicateRoom, Assert.Single(other.Poll()).Failure!.Reason);
        rig.Sender.Open(Room, 5);

        Assert.Equal(KvSenderEventKind.Claimed, Assert.Single(rig.PollSender()).Kind);
        Assert.True(rig.TrySend(Room, Half));
        KvReceiverEvent chunk = Assert.Single(rig.PollReceiver());
        chunk.Payload!.Dispose();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Prompts_of_different_length_fail_the_room_on_both_sides_with_both_numbers(bool isClaimFirst)
    {
        using HandoverRig rig = new();
        if (isClaimFirst) rig.Claim(Room, 12);
        rig.PollSender();
        rig.Sender.Open(Room, 10);
        if (!isClaimFirst) rig.Claim(Room, 12);

        RequestFailure onPrefill = Assert.Single(rig.PollSender()).Failure!, onDecode = Assert.Single(rig.PollReceiver()).Failure!;

        Assert.Equal((FailureReason.PeerMismatch, FailureReason.PeerMismatch), (onPrefill.Reason, onDecode.Reason));
        Assert.Contains("10 tokens", onPrefill.Message, StringComparison.Ordinal);
        Assert.Contains("12", onPrefill.Message, StringComparison.Ordinal);
        Assert.Equal((0, 0), (rig.Sender.OpenRooms, rig.Receiver.ClaimedRooms));
    }

    [Fact]
    public void Prefill_that_fails_a_claimed_room_tells_decode_its_text()
    {
        using HandoverRig rig = new();
        rig.Meet(Room, 10);

        rig.Sender.Fail(Room, EngineDied);

        RequestFailure told = Assert.Single(rig.PollReceiver()).Failure!;
        Assert.Equal(FailureReason.PeerFailed, told.Reason);
        Assert.Contains(EngineDied.Message, told.Message, StringComparison.Ordinal);
        Assert.Empty(rig.PollSender());
    }

    [Theory]
    [InlineData("opened, failed, then claimed")]
    [InlineData("never opened, failed, then claimed")]
    [InlineData("claimed, never opened, failed")]
    public void Prefill_that_fails_a_room_before_both_halves_met_tells_decode_when_it_claims(string order)
    {
        using HandoverRig rig = new();
        RequestFailure conflict = RequestFailure.Of(FailureReason.RankConflict, "Rank 1 was routed and rank 0 is implied.");
        if (order.StartsWith("claimed", StringComparison.Ordinal)) rig.Claim(Room, 10);
        rig.PollSender();
        if (order.StartsWith("opened", StringComparison.Ordinal)) rig.Sender.Open(Room, 10);
        rig.Sender.Fail(Room, conflict);
        if (!order.StartsWith("claimed", StringComparison.Ordinal)) rig.Claim(Room, 10);
        rig.PollSender();

        RequestFailure told = Assert.Single(rig.PollReceiver()).Failure!;

        Assert.Equal(FailureReason.RankConflict, told.Reason); // about the request, so decode's client sees it as it is
        Assert.Contains(conflict.Message, told.Message, StringComparison.Ordinal);
        Assert.Equal((0, 0), (rig.Sender.OpenRooms, rig.Sender.EarlyClaims));
    }

    [Fact]
    public void An_ended_room_is_remembered_for_its_time_and_not_longer()
    {
        using HandoverRig rig = new(new TransferOptions { EndedRoomTime = TimeSpan.FromSeconds(60) });
        rig.Sender.Fail(Room, EngineDied);

        rig.Now = TimeSpan.FromSeconds(59);
        rig.PollSender();
        rig.Claim(Room, 10);
        rig.PollSender();
        Assert.Single(rig.PollReceiver());
        rig.Now = TimeSpan.FromSeconds(60);
        rig.PollSender();
        rig.Claim(Room, 10);
        rig.PollSender();

        Assert.Empty(rig.PollReceiver());
        Assert.Equal(1, rig.Sender.EarlyClaims);
    }

    [Fact]
    public void The_memory_of_ended_rooms_is_bounded_and_loses_the_oldest()
    {
        using HandoverRig rig = new(new TransferOptions { MaxEndedRooms = 3 });
        for (ulong room = 1; room <= 4; room++) rig.Sender.Fail(Make.Room(room), EngineDied);

        rig.Claim(Make.Room(1), 10);
        rig.Claim(Make.Room(2), 10);
        rig.PollSender();

        Assert.Equal(Make.Room(2), Assert.Single(rig.PollReceiver()).Room);
        Assert.Equal(1, rig.Sender.EarlyClaims);
    }

    [Fact]
    public void A_delivered_room_claimed_again_is_unknown_and_opened_again_is_new()
    {
        using HandoverRig rig = new();
        Deliver(rig);

        rig.Claim(Room, 5);
        rig.PollSender();
        Assert.Equal(FailureReason.UnknownRoom, Assert.Single(rig.PollReceiver()).Failure!.Reason);
        rig.Sender.Open(Room, 5);
        rig.Claim(Room, 5);

        Assert.Equal(KvSenderEventKind.Claimed, Assert.Single(rig.PollSender()).Kind);
    }

    [Fact]
    public void Decode_that_gives_up_a_claimed_room_is_reported_with_its_reason()
    {
        using HandoverRig rig = new();
        rig.Meet(Room, 10);

        rig.Receiver.Fail(Room, Make.Aborted);

        KvSenderEvent failed = Assert.Single(rig.PollSender());
        Assert.Equal((KvSenderEventKind.Failed, FailureReason.Aborted), (failed.Kind, failed.Failure!.Reason));
        Assert.Empty(rig.PollReceiver());
    }

    [Fact]
    public void Decode_that_gave_up_before_prefill_opened_fails_the_room_as_soon_as_it_opens()
    {
        using HandoverRig rig = new();
        rig.Claim(Room, 10);
        rig.PollSender();
        rig.Receiver.Fail(Room, Make.Aborted);
        rig.PollSender();

        int wakes = rig.Wakes;
        rig.Sender.Open(Room, 10);

        Assert.Equal(FailureReason.Aborted, Assert.Single(rig.PollSender()).Failure!.Reason);
        Assert.True(rig.Wakes > wakes);
        Assert.Equal(0, rig.Sender.OpenRooms);
    }

    [Fact]
    public void A_full_window_says_no_and_then_that_it_is_open()
    {
        using HandoverRig rig = new(decode: Make.Decode(maxChunkTokens: 8, windowBytes: 10 * Make.BytesPerToken), prefill: Make.Prefill(maxChunkTokens: 8));
        rig.Meet(Room, 20);

        Assert.True(rig.TrySend(Room, new KvRange(0, 8)));
        Assert.False(rig.TrySend(Room, new KvRange(8, 16)));
        Assert.Empty(rig.PollSender());
        Assert.Single(rig.PollReceiver()).Payload!.Dispose();
        rig.PollReceiver(); // grants what was used up

        Assert.Equal(new KvSenderEvent(KvSenderEventKind.WindowOpen, Room, null), Assert.Single(rig.PollSender()));
        Assert.True(rig.TrySend(Room, new KvRange(8, 16)));
    }

    [Fact]
    public void Promises_of_one_turn_add_up_and_unused_ones_come_back_in_the_next()
    {
        using HandoverRig rig = new(decode: Make.Decode(maxChunkTokens: 8, windowBytes: 10 * Make.BytesPerToken), prefill: Make.Prefill(maxChunkTokens: 8));
        rig.Meet(Room, 20);
        rig.Meet(Make.Room(8), 20);

        Assert.True(rig.Sender.CanSend(Room, 8 * Make.BytesPerToken));
        Assert.False(rig.Sender.CanSend(Make.Room(8), 8 * Make.BytesPerToken));

        Assert.Equal(KvSenderEventKind.WindowOpen, Assert.Single(rig.PollSender()).Kind);
        Assert.True(rig.Sender.CanSend(Make.Room(8), 8 * Make.BytesPerToken));
    }

    [Fact]
    public void Nothing_can_be_sent_for_a_room_that_nobody_claimed()
    {
        using HandoverRig rig = new();
        rig.Sender.Open(Room, 10);

        Assert.False(rig.Sender.CanSend(Room, 24));
        Assert.False(rig.Sender.CanSend(Make.Room(99), 24));
    }

    [Fact]
    public void Calls_that_no_scheduler_may_make_throw_at_once()
    {
        using HandoverRig rig = new();
        rig.Meet(Room, 10);
        rig.Sender.Open(Make.Room(8), 10);
        using KvBuffer cells = Make.Cells(Room, Half), wrongLength = KvBuffer.Rent(7);

        Assert.Throws<UnreachableException>(() => rig.Sender.Open(Room, 10));                    // twice
        Assert.Throws<UnreachableException>(() => rig.Sender.SendChunk(Make.Room(8), Half, cells)); // not claimed
        Assert.Throws<UnreachableException>(() => rig.Sender.SendChunk(Room, Half, cells));      // no promise
        Assert.True(rig.Sender.CanSend(Room, 1000));
        Assert.Throws<UnreachableException>(() => rig.Sender.SendChunk(Room, Half, wrongLength));
        Assert.Throws<UnreachableException>(() => rig.Sender.SendChunk(Room, new KvRange(5, 10), cells)); // a gap
        Assert.Throws<UnreachableException>(() => rig.Sender.SendLast(Room, Make.First));        // chunks are missing
    }

    [Fact]
    public void The_last_frame_goes_out_once()
    {
        using HandoverRig rig = new();
        rig.Meet(Room, 5);
        rig.TrySend(Room, Half);
        rig.Sender.SendLast(Room, Make.First);

        Assert.Throws<UnreachableException>(() => rig.Sender.SendLast(Room, Make.First));
        rig.PollReceiver()[0].Payload!.Dispose();
    }

    [Fact]
    public void A_sender_that_is_disposed_tells_every_decode_rank_and_closes_its_links()
    {
        using HandoverRig rig = new();
        rig.Meet(Room, 10);
        rig.Claim(Make.Room(8), 10);
        rig.PollSender();

        rig.Sender.Dispose();

        List<KvReceiverEvent> told = rig.PollReceiver();
        Assert.Equal([Room, Make.Room(8)], told.Select(e => e.Room).Order(Comparer<BootstrapRoom>.Create((a, b) => a.Value.CompareTo(b.Value))));
        Assert.All(told, e => Assert.Equal(FailureReason.ShuttingDown, e.Failure!.Reason));
        Assert.Equal(0, rig.Receiver.Links);
    }

    private static void Deliver(HandoverRig rig)
    {
        rig.Meet(Room, 5);
        Assert.True(rig.TrySend(Room, Half));
        rig.Sender.SendLast(Room, Make.First);
        rig.PollReceiver()[0].Payload!.Dispose();
        rig.Receiver.Acknowledge(Room);
        Assert.Equal(KvSenderEventKind.Delivered, Assert.Single(rig.PollSender()).Kind);
    }
}
