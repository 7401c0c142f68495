using Baton.Core.Failures;
using Baton.Core.Ranks;
using Baton.Core.Requests;

namespace Baton.Simulation.Tests.Resolution;

/// <summary>Every combination that a prefill and a decode worker can meet, from dispatch to claim, against one table.</summary>
public sealed class ResolutionMatrixTests
{
    private const bool Yes = true, No = false;
    private const FailureReason Unclaimed = FailureReason.BootstrapTimeout, Ok = FailureReason.None;
    private static readonly TimeSpan Lead = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(1);

    /// <summary>
    /// The first row that fits counts; blank and <c>Any</c> fit everything. Columns: the prefill worker's method is follow_bootstrap_room; force-query is
    /// on (both sides); it has one rank; the request is pinned to the holding rank; the room's modulo is the holding rank; the hint; the leg that
    /// carries it; the server is SGLang's; decode comes first. Then how prefill ends; how decode ends, from which rank and how found; and
    /// how many bootstrap requests that took. "poll" is the few that fit into the 50 ms that decode is ahead.
    /// </summary>
    private static readonly Row[] Table =
    [
        //  follows forced one  pinned agrees hint      sent to   sglang ahead    prefill                        decode                         source            requests
        // A room whose own rank takes no requests.
        new(Yes,    Any,   No,  No,    No,    "beyond", "",       Any,   Any,     FailureReason.RankUnavailable, FailureReason.RankOutOfRange,  RankSource.None,   "1"),
        new(Yes,    Yes,   No,  No,    No,    "none",   "",       No,    Any,     FailureReason.RankUnavailable, FailureReason.PeerFailed,      RankSource.None,   "1"),
        new(Yes,    Yes,   No,  No,    No,    "none",   "",       Yes,   No,      FailureReason.RankUnavailable, FailureReason.RankUnavailable, RankSource.Query,  "1"),
        new(Yes,    Yes,   No,  No,    No,    "none",   "",       Yes,   Yes,     FailureReason.RankUnavailable, FailureReason.RankUnavailable, RankSource.Query,  "poll"),
        new(Yes,    Any,   No,  No,    No,    "none",   "",       Any,   Any,     FailureReason.RankUnavailable, FailureReason.RankUnavailable, RankSource.Room,   "0"),
        new(Yes,    Any,   No,  No,    No,    "",       "",       Any,   Any,     FailureReason.RankUnavailable, FailureReason.RankUnavailable, RankSource.Hint,   "0"),
        // A hint beyond the ranks: each worker that gets it says so, decode after a second look at the topology.
        new(Any,    Any,   Any, Any,   Any,   "beyond", "both",   Any,   Any,     FailureReason.RankOutOfRange,  FailureReason.RankOutOfRange,  RankSource.None,   "1"),
        new(Yes,    No,    No,  Yes,   No,    "beyond", "",       Any,   Any,     FailureReason.RankConflict,    FailureReason.RankOutOfRange,  RankSource.None,   "1"),
        new(Any,    Any,   Any, Any,   Any,   "beyond", "",       Any,   Any,     Unclaimed,                     FailureReason.RankOutOfRange,  RankSource.None,   "1"),
        // A pin against the room: only a hint that both legs carry makes it good, else decode is told at its claim.
        new(Yes,    No,    No,  Yes,   No,    "right",  "both",   Any,   Any,     Ok,                            Ok,                            RankSource.Hint,   "0"),
        new(Yes,    No,    No,  Yes,   No,    "none",   "",       Any,   Any,     FailureReason.RankConflict,    FailureReason.RankConflict,    RankSource.Room,   "0"),
        new(Yes,    No,    No,  Yes,   No,    "",       "",       Any,   Any,     FailureReason.RankConflict,    FailureReason.RankConflict,    RankSource.Hint,   "0"),
        // All the rest succeeds.
        new(Any,    Any,   Any, Any,   Any,   "right",  "",       Any,   Any,     Ok,                            Ok,                            RankSource.Hint,   "0"),
        new(Any,    Any,   Any, Any,   Any,   "wrong",  "",       Any,   Any,     Ok,                            Ok,                            RankSource.Query,  "0"),
        new(Any,    Any,   Yes, Any,   Any,   "none",   "",       Any,   Any,     Ok,                            Ok,                            RankSource.Single, "0"),
        new(Yes,    No,    No,  Any,   Any,   "none",   "",       Any,   Any,     Ok,                            Ok,                            RankSource.Room,   "0"),
        new(Any,    Any,   No,  Any,   Any,   "none",   "",       Yes,   Yes,     Ok,                            Ok,                            RankSource.Query,  "poll"),
        new(Any,    Any,   No,  Any,   Any,   "none",   "",       Any,   Any,     Ok,                            Ok,                            RankSource.Query,  "1"),
    ];

    private static readonly LoadBalanceMethod[] Methods =
    [
        LoadBalanceMethod.FollowBootstrapRoom, LoadBalanceMethod.RoundRobin, LoadBalanceMethod.TotalRequests, LoadBalanceMethod.TotalTokens, LoadBalanceMethod.LeastWork,
    ];

    private static readonly int[] DpSizes = [1, 2, 3, 8];
    private static readonly bool[] Both = [false, true];

    private static bool? Any => null;

    [Fact]
    public void Every_combination_ends_as_the_table_says_and_at_once()
    {
        List<(string At, string Why)> wrong = [];
        int walked = 0;
        foreach (LoadBalanceMethod method in Methods)
            foreach (bool isForced in Both)
                foreach (int prefillRanks in DpSizes)
                    foreach (int decodeRanks in DpSizes)
                        foreach (bool isSglang in Both)
                        {
                            using ResolutionRig rig = new(method, isForced, prefillRanks, decodeRanks, isSglang);
                            foreach (Case one in Cases(method == LoadBalanceMethod.FollowBootstrapRoom, isForced, prefillRanks == 1, isSglang))
                            {
                                walked++;
                                if (Check(rig, one, prefillRanks) is { } why) wrong.Add(($"{method}, {prefillRanks} prefill and {decodeRanks} decode ranks, {one}", why));
                            }
                        }

        Assert.True(wrong.Count == 0, $"{wrong.Count} of {walked} combinations, one of each kind:\n{string.Join('\n', wrong.DistinctBy(w => w.Why).Take(20))}");
        // With one rank there is no wrong hint in range, and no room that disagrees.
        Assert.Equal(5 * 2 * 4 * 2 * ((3 * 2 * 2 * 7 * 2) + (2 * 5 * 2)), walked);
    }

    private static IEnumerable<Case> Cases(bool follows, bool isForced, bool isOne, bool isSglang) =>
        from isPinned in Both
        from agrees in isOne ? [true] : Both
        from hint in isOne ? new[] { "none", "right", "beyond" } : ["none", "right", "wrong", "beyond"]
        from sentTo in hint == "none" ? new[] { "" } : ["decode", "both"]
        from isAhead in Both
        select new Case(follows, isForced, isOne, isPinned, agrees, hint, sentTo, isSglang, isAhead);

    /// <summary>Runs one combination. Null, or what is not as the table says.</summary>
    private static string? Check(ResolutionRig rig, Case one, int prefillRanks)
    {
        Row row = Table.First(candidate => candidate.Fits(one));
        int other = (rig.Holding + 1) % prefillRanks;
        int? hint = one.Hint switch { "right" => rig.Holding, "wrong" => other, "beyond" => prefillRanks, _ => null };

        ResolutionRig.Ends ends = rig.Run(
            one.RoomAgrees ? rig.Holding : other, one.IsPinned ? rig.Holding : null, one.SentTo == "both" ? hint : null, hint, one.IsAhead ? Lead : -Lead, Patience);

        if (ends.StillPending != 0) return "the resolver still waits for it";
        if (ends.Decode is not { } decode) return "decode still waits";
        FailureReason prefillEnd = ends.IsUnclaimed ? Unclaimed : ends.Prefill!.Failure?.Reason ?? Ok;
        if (prefillEnd != row.Prefill) return $"prefill ended with {prefillEnd} ({ends.Prefill?.Failure?.Message}) and not {row.Prefill}";
        FailureReason decodeEnd = decode.Failure?.Reason ?? Ok;
        if (decodeEnd != row.Decode) return $"decode ended with {decodeEnd} ({decode.Failure?.Message}) and not {row.Decode}";
        if (decode.RankSource != row.Source) return $"the rank's source was {decode.RankSource} and not {row.Source}";
        if (row.Decode == Ok && (decode.PrefillDpRank?.Value != rig.Holding || ends.Prefill!.DpRank.Value != rig.Holding))
            return $"decode took it from rank {decode.PrefillDpRank}, prefill had it at {ends.Prefill!.DpRank}, and {rig.Holding} holds it";
        // Nothing in here may wait for a deadline: a look at the directory of early claims comes every 20 ms, a poll too.
        if (row.Prefill != Unclaimed && ends.Took > TimeSpan.FromMilliseconds(100)) return $"it took {ends.Took.TotalMilliseconds:F1} ms";
        bool isCountRight = row.Requests == "poll" ? ends.Requests is >= 4 and <= 8 : ends.Requests == int.Parse(row.Requests);
        return isCountRight ? null : $"{ends.Requests} bootstrap requests and not {row.Requests}";
    }

    private sealed record Case(bool Follows, bool IsForced, bool IsOne, bool IsPinned, bool RoomAgrees, string Hint, string SentTo, bool IsSglang, bool IsAhead);

    private sealed record Row(
        bool? Follows, bool? IsForced, bool? IsOne, bool? IsPinned, bool? RoomAgrees, string Hint, string SentTo, bool? IsSglang, bool? IsAhead,
        FailureReason Prefill, FailureReason Decode, RankSource Source, string Requests)
    {
        public bool Fits(Case one) =>
            Is(Follows, one.Follows) && Is(IsForced, one.IsForced) && Is(IsOne, one.IsOne) && Is(IsPinned, one.IsPinned) && Is(RoomAgrees, one.RoomAgrees)
            && (Hint == "" || Hint == one.Hint) && (SentTo == "" || SentTo == one.SentTo) && Is(IsSglang, one.IsSglang) && Is(IsAhead, one.IsAhead);

        private static bool Is(bool? wanted, bool actual) => wanted is null || wanted == actual;
    }
}
