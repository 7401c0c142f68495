using Baton.Core.Ids;
using Baton.Core.Requests;
using Baton.Core.Resolution;

namespace Baton.Core.Tests.Resolution;

public sealed class RankResolutionRulesTests
{
    private static readonly BootstrapRoom Room = new(10);

    [Theory]
    // hint, dp size, follows room, force query -> rank, source
    [InlineData(2, 4, true, false, 2, RankSource.Hint)]
    [InlineData(2, 4, false, true, 2, RankSource.Hint)]
    [InlineData(null, 1, false, true, 0, RankSource.Single)]
    [InlineData(null, 1, true, false, 0, RankSource.Single)]
    [InlineData(null, 4, true, false, 2, RankSource.Room)]
    public void Hint_then_single_rank_then_room_modulo(int? hint, int dpSize, bool follows, bool force, int rank, RankSource source)
    {
        PrefillTopology topology = new(dpSize, follows, PageSize: 1, KvCacheDtype: "auto", InstanceId: null, HasWaitRoute: false);

        (DpRank Rank, RankSource Source)? resolved = RankResolutionRules.TryResolve(topology, Room, hint is { } h ? new DpRank(h) : null, force);

        Assert.Equal((new DpRank(rank), source), resolved);
    }

    [Theory]
    [InlineData(true, true)] // the modulo is there but not trusted
    [InlineData(false, false)]
    [InlineData(false, true)]
    public void Otherwise_the_bootstrap_server_is_asked(bool follows, bool force)
    {
        PrefillTopology topology = new(4, follows, PageSize: 1, KvCacheDtype: "auto", InstanceId: null, HasWaitRoute: false);

        Assert.Null(RankResolutionRules.TryResolve(topology, Room, hint: null, force));
    }

    [Theory]
    [InlineData(-1, false)]
    [InlineData(0, true)]
    [InlineData(3, true)]
    [InlineData(4, false)]
    public void A_hint_is_checked_against_the_topology(int hint, bool inRange)
    {
        PrefillTopology topology = new(4, false, PageSize: 1, KvCacheDtype: null, InstanceId: null, HasWaitRoute: true);

        Assert.Equal(inRange, RankResolutionRules.IsHintInRange(topology, new DpRank(hint)));
    }
}
