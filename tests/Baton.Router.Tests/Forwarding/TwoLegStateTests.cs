using Baton.Router.Forwarding;

namespace Baton.Router.Tests.Forwarding;

public sealed class TwoLegStateTests
{
    private static IEnumerable<(TwoLegState State, LegEvent Event)> Space() =>
        from prefill in Enum.GetValues<PrefillLeg>()
        from decode in Enum.GetValues<DecodeLeg>()
        from what in Enum.GetValues<LegEvent>()
        select (new TwoLegState(prefill, decode), what);

    [Fact]
    public void A_prefill_failure_before_the_first_byte_ends_decode_and_answers_prefills_error()
    {
        (TwoLegState next, LegAction action) = TwoLegState.Pair.On(LegEvent.PrefillFailed);

        Assert.True(next.IsOver);
        Assert.Equal(LegAction.CancelDecode | LegAction.FailWithPrefill, action);
    }

    [Fact]
    public void A_prefill_failure_after_the_first_byte_is_only_noted()
    {
        (TwoLegState flowing, _) = TwoLegState.Pair.On(LegEvent.DecodeFirstByte);

        (TwoLegState next, LegAction action) = flowing.On(LegEvent.PrefillFailed);

        Assert.Equal(DecodeLeg.Flowing, next.Decode);
        Assert.Equal(LegAction.NoteLatePrefill, action);
    }

    [Fact]
    public void Every_attempt_is_answered_at_most_once_whatever_the_order_of_events()
    {
        const LegAction answers = LegAction.FailWithPrefill | LegAction.FailWithDecode | LegAction.CutStream | LegAction.Finish;
        LegEvent[] events = Enum.GetValues<LegEvent>();
        for (int code = 0; code < events.Length * events.Length * events.Length * events.Length * events.Length; code++)
        {
            TwoLegState state = TwoLegState.Pair;
            int answered = 0;
            for (int rest = code, i = 0; i < 5; i++, rest /= events.Length)
            {
                (state, LegAction action) = state.On(events[rest % events.Length]);
                if ((action & answers) != 0) answered++;
            }
            Assert.True(answered <= 1, $"sequence {code} was answered {answered} times");
        }
    }

    [Fact]
    public void Over_is_over_and_nothing_is_relayed_or_cut_before_it_flows()
    {
        foreach ((TwoLegState state, LegEvent what) in Space())
        {
            (TwoLegState next, LegAction action) = state.On(what);

            if (state.IsOver) Assert.True(next.IsOver && next.Decode == state.Decode);
            if (action.HasFlag(LegAction.CutStream)) Assert.Equal(DecodeLeg.Flowing, state.Decode);
            if (action.HasFlag(LegAction.Relay)) Assert.Equal(DecodeLeg.Waiting, state.Decode);
            if (action.HasFlag(LegAction.CancelPrefill)) Assert.Equal(PrefillLeg.Sent, state.Prefill);
        }
    }
}
