using Baton.Core.Failures;
using Baton.Core.Ranks;
using Baton.Core.Requests;

namespace Baton.Simulation.Tests.Resolution;

/// <summary>Decode gets its half of a request first, by up to its whole deadline, and a room whose rank only prefill can tell.</summary>
public sealed class DecodeAheadTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    [Theory]
    [InlineData(0, false)]
    [InlineData(1, false)]
    [InlineData(130, false)]
    [InlineData(299, false)]
    [InlineData(0, true)]
    [InlineData(1, true)]
    [InlineData(130, true)]
    [InlineData(299, true)]
    public void A_room_is_claimed_within_10_ms_of_its_dispatch_however_long_decode_has_waited(int secondsAhead, bool isSglang)
    {
        using ResolutionRig rig = new(LoadBalanceMethod.RoundRobin, isForced: false, prefillRanks: 3, decodeRanks: 2, isSglang);

        ResolutionRig.Ends ends = rig.Run(modulo: 0, routed: null, prefillHint: null, decodeHint: null, TimeSpan.FromSeconds(secondsAhead), Patience);

        Assert.Null(ends.Decode!.Failure);
        Assert.Equal((rig.Holding, RankSource.Query), (ends.Decode.PrefillDpRank!.Value.Value, ends.Decode.RankSource));
        // QueueTime is decode's arrival to its claim. A poll of an SGLang server comes every 20 ms at most.
        Assert.InRange((ends.Decode.QueueTime - TimeSpan.FromSeconds(secondsAhead)).TotalMilliseconds, 0, isSglang ? 21 : 10);
        // A query is renewed every 10 s; polling 50 times a second would be 15,000 in 299 s and more, and is not bounded by anything but its pace.
        if (!isSglang) Assert.InRange(ends.Requests, 1, 1 + (secondsAhead / 10) + 1);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_room_that_comes_after_the_deadline_has_ended_decode_with_its_own_reason_and_prefill_is_not_left_waiting(bool isSglang)
    {
        using ResolutionRig rig = new(LoadBalanceMethod.RoundRobin, isForced: false, prefillRanks: 3, decodeRanks: 2, isSglang);

        ResolutionRig.Ends ends = rig.Run(modulo: 0, routed: null, prefillHint: null, decodeHint: null, TimeSpan.FromSeconds(301), Patience);

        Assert.Equal(FailureReason.ResolveTimeout, ends.Decode!.Failure!.Reason);
        Assert.Contains("no prefill rank has registered this room", ends.Decode.Failure.Message, StringComparison.Ordinal);
        Assert.True(ends.IsUnclaimed);
        Assert.Equal(0, ends.StillPending);
    }
}
