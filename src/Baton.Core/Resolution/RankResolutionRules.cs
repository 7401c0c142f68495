using Baton.Core.Ids;
using Baton.Core.Requests;

namespace Baton.Core.Resolution;

/// <summary>The order in which decode learns the prefill rank: hint, single rank, room modulo, and only then a query.</summary>
public static class RankResolutionRules
{
    /// <summary>Resolves without I/O, or says that the bootstrap server has to be asked.</summary>
    /// <param name="forceQuery">SGLANG_DISAGGREGATION_FORCE_QUERY_PREFILL_DP_RANK: the modulo is not trusted.</param>
    /// <returns>The rank and its source, or null for "query".</returns>
    /// <remarks>A hint outside the topology is the caller's to refuse: see <see cref="IsHintInRange"/>.</remarks>
    public static (DpRank Rank, RankSource Source)? TryResolve(PrefillTopology topology, BootstrapRoom room, DpRank? hint, bool forceQuery)
    {
        if (hint is { } given) return (given, RankSource.Hint);
        if (topology.DpSize == 1) return (DpRank.Zero, RankSource.Single);
        if (topology.FollowsBootstrapRoom && !forceQuery) return (room.Modulo(topology.DpSize), RankSource.Room);
        return null;
    }

    public static bool IsHintInRange(PrefillTopology topology, DpRank? hint) => hint is not { } rank || rank.IsBelow(topology.DpSize);
}
