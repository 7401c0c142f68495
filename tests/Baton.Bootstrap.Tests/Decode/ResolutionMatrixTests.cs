using Baton.Bootstrap.Decode;
using Baton.Core.Failures;
using Baton.Core.Requests;

namespace Baton.Bootstrap.Tests.Decode;

/// <summary>Every combination that decode can meet, warm, against one table.</summary>
public sealed class ResolutionMatrixTests
{
    private const ulong Room = 8_000_000_000_000_000_005;
    private const int HoldingRank = 1;

    /// <summary>The decision table of docs/rank-resolution.md. The first row that fits counts; <c>any</c> fits everything.</summary>
    private static readonly Row[] Table =
    [
        //  hint            dp size   follows  forced  -> rank                     source             round trips
        new("out of range", "any",    null,    null,   FailureReason.RankOutOfRange),
        new("right",        "any",    null,    null,   Rank.Holding,               RankSource.Hint,   0),
        // A wrong hint is believed here: the prefill rank that it names redirects.
        new("wrong",        "any",    null,    null,   Rank.Other,                 RankSource.Hint,   0),
        new("absent",       "one",    null,    null,   Rank.Zero,                  RankSource.Single, 0),
        new("absent",       "more",   true,    false,  Rank.Modulo,                RankSource.Room,   0),
        new("absent",       "more",   true,    true,   Rank.Holding,               RankSource.Query,  1),
        new("absent",       "more",   false,   null,   Rank.Holding,               RankSource.Query,  1),
    ];

    public static TheoryData<string, int, bool, bool, bool, bool> Combinations()
    {
        TheoryData<string, int, bool, bool, bool, bool> data = [];
        foreach (string hint in new[] { "absent", "right", "wrong", "out of range" })
            foreach (int dpSize in new[] { 1, 2, 3, 8 })
                foreach (int flags in Enumerable.Range(0, 16))
                    data.Add(hint, dpSize, (flags & 1) != 0, (flags & 2) != 0, (flags & 4) != 0, (flags & 8) != 0);
        return data;
    }

    [Fact]
    public void Every_combination_gives_what_the_table_says()
    {
        foreach (TheoryDataRow<string, int, bool, bool, bool, bool> combination in Combinations())
        {
            (string hint, int dpSize, bool follows, bool isForced, bool isSglang, bool isDecodeAhead) = combination.Data;
            Row expected = Table.First(row => row.Fits(hint, dpSize, follows, isForced));
            string name = $"hint {hint}, dp size {dpSize}, follows {follows}, forced {isForced}, sglang {isSglang}, decode ahead {isDecodeAhead}";

            ResolverWorld world = Run(hint, dpSize, follows, isForced, isSglang, isDecodeAhead);

            if (expected.Failure is { } reason)
            {
                Assert.True(world.Failed.TryGetValue(Room, out (RequestFailure Failure, TimeSpan) failed) && failed.Failure.Reason == reason, name);
                continue;
            }
            Assert.True(world.Resolved.ContainsKey(Room), name);
            ResolvedRankView actual = RankResolverTests.View(world, Room).View;
            Assert.True(actual.Rank == RankOf(expected.Rank, dpSize) && actual.Source == expected.Source, $"{name}: {actual}");
            // Ahead, a poll repeats and a parked query is renewed; otherwise the count is exact.
            if (isDecodeAhead && expected.Source == RankSource.Query) Assert.True(actual.RoundTrips >= 1, $"{name}: {actual}");
            else Assert.True(actual.RoundTrips == expected.RoundTrips, $"{name}: {actual}");
        }
    }

    private static ResolverWorld Run(string hint, int dpSize, bool follows, bool isForced, bool isSglang, bool isDecodeAhead)
    {
        ResolverWorld world = new(new RankResolverOptions { ForceQuery = isForced });
        world.Server.IsSglang = isSglang;
        world.Server.RegisterRanks(dpSize, follows ? "follow_bootstrap_room" : "total_tokens");
        world.WarmUp(dpSize);
        int holding = RankOf(Rank.Holding, dpSize);

        if (!isDecodeAhead) world.Server.RegisterRoom(Room, holding);
        world.Begin(Room, hint switch { "right" => holding, "wrong" => RankOf(Rank.Other, dpSize), "out of range" => dpSize, _ => null });
        world.Time.Advance(TimeSpan.FromMilliseconds(500));
        if (isDecodeAhead) world.Server.RegisterRoom(Room, holding);
        world.Advance(25);
        return world;
    }

    private static int RankOf(Rank rank, int dpSize) => rank switch
    {
        Rank.Holding => HoldingRank % dpSize,
        Rank.Other => (HoldingRank + 1) % dpSize,
        Rank.Modulo => (int)(Room % (ulong)dpSize),
        _ => 0,
    };

    private enum Rank
    {
        Zero,
        Holding,
        Other,
        Modulo,
    }

    private sealed record Row(string Hint, string DpSize, bool? Follows, bool? IsForced)
    {
        public Row(string hint, string dpSize, bool? follows, bool? isForced, Rank rank, RankSource source, int roundTrips)
            : this(hint, dpSize, follows, isForced) => (Rank, Source, RoundTrips) = (rank, source, roundTrips);

        public Row(string hint, string dpSize, bool? follows, bool? isForced, FailureReason failure)
            : this(hint, dpSize, follows, isForced) => Failure = failure;

        public Rank Rank { get; }
        public RankSource Source { get; }
        public int RoundTrips { get; }
        public FailureReason? Failure { get; }

        public bool Fits(string hint, int dpSize, bool follows, bool isForced) =>
            Hint == hint && (DpSize == "any" || (DpSize == "one") == (dpSize == 1))
            && (Follows ?? follows) == follows && (IsForced ?? isForced) == isForced;
    }
}
