using System.Text;
using Baton.Core.Ids;
using Baton.Router.Bodies;
using Baton.Router.Choice;
using Baton.Router.Errors;
using Baton.Router.Forwarding;
using Baton.Router.Trouble;
using Baton.Router.Workers;

namespace Baton.Router.Tests.Choice;

/// <summary>What a client may say about where its request goes.</summary>
public sealed class AskedPlaceTests
{
    private static PdRouter Router(RouterOptions options, int prefillRanks = 4, int decodeRanks = 2, int workers = 1)
    {
        WorkerFleet fleet = new();
        for (int i = 0; i < workers; i++)
        {
            fleet.Add(new WorkerSpec { Url = new Uri($"http://p{i}:1"), Role = WorkerRole.Prefill, DpSize = prefillRanks })!.Status = WorkerStatus.Ready;
            fleet.Add(new WorkerSpec { Url = new Uri($"http://d{i}:1"), Role = WorkerRole.Decode, DpSize = decodeRanks })!.Status = WorkerStatus.Ready;
        }
        return new PdRouter(options, fleet, seed: 1);
    }

    private static (Route? Route, RouterError? Error) Choose(PdRouter router, string json, RequestHead? head = null, bool allow = true)
    {
        ClientBody body = ClientBodyReader.Read(Encoding.UTF8.GetBytes(json), DataEndpoint.Generate);
        return router.Choose((head ?? Head()).Query(body, body.Facts, allow), TimeSpan.Zero);
    }

    private static RequestHead Head(string? prefill = null, string? decode = null, string? target = null) => new()
    {
        Forwarded = [],
        RequestId = "r",
        PrefillRank = prefill is null ? null : new AskedRank("x-prefill-dp-rank", prefill),
        DecodeRank = decode is null ? null : new AskedRank("x-decode-dp-rank", decode),
        Target = target,
    };

    [Theory]
    [InlineData("""{"text":"a","disagg_prefill_dp_rank":3,"routed_dp_rank":1}""")]
    [InlineData("""{"text":"a","disagg_prefill_dp_rank":3,"data_parallel_rank":1}""")]
    [InlineData("""{"text":"a","disagg_prefill_dp_rank":3,"data_parallel_rank":0,"routed_dp_rank":1}""")]
    public void The_body_names_ranks_when_clients_may(string json)
    {
        PdRouter router = Router(new RouterOptions());

        for (int i = 0; i < 4; i++)
        {
            Route route = Choose(router, json).Route!;

            Assert.Equal((3, 1), (route.Prefill!.Value.Rank, route.Decode.Rank));
            Assert.Equal(3UL, route.Rooms[0].Value % 4);
        }
    }

    [Fact]
    public void Without_leave_the_bodys_ranks_are_dropped()
    {
        PdRouter router = Router(new RouterOptions());

        HashSet<int?> ranks = [.. Enumerable.Range(0, 8).Select(_ => Choose(router, """{"text":"a","disagg_prefill_dp_rank":3,"routed_dp_rank":9}""", allow: false).Route!.Prefill!.Value.Rank)];

        Assert.Equal(4, ranks.Count);
    }

    [Fact]
    public void A_header_goes_before_the_body_and_null_asks_for_nothing()
    {
        PdRouter router = Router(new RouterOptions());

        Assert.Equal(2, Choose(router, """{"text":"a","disagg_prefill_dp_rank":3}""", Head(prefill: "2")).Route!.Prefill!.Value.Rank);
        Assert.Null(Choose(router, """{"text":"a","disagg_prefill_dp_rank":null,"routed_dp_rank":null}""").Error);
    }

    [Theory]
    [InlineData("""{"text":"a","disagg_prefill_dp_rank":4}""", null, "disagg_prefill_dp_rank", "disagg_prefill_dp_rank is 4: give a prefill rank from 0 to 3.")]
    [InlineData("""{"text":"a","routed_dp_rank":2}""", null, "routed_dp_rank", "routed_dp_rank is 2: give a decode rank from 0 to 1.")]
    [InlineData("""{"text":"a","routed_dp_rank":-1}""", null, "routed_dp_rank", "routed_dp_rank is -1: give a decode rank from 0 to 1.")]
    [InlineData("""{"text":["a","b"],"routed_dp_rank":[0,1]}""", null, "routed_dp_rank", "routed_dp_rank is [0,1]: give a decode rank from 0 to 1.")]
    [InlineData("""{"text":"a","data_parallel_rank":"1"}""", null, "data_parallel_rank", "data_parallel_rank is \"1\": give a decode rank from 0 to 1.")]
    [InlineData("""{"text":"a","routed_dp_rank":1}""", "x", "x-decode-dp-rank", "x-decode-dp-rank is x: give a decode rank from 0 to 1.")]
    public void A_rank_that_nobody_has_is_a_400_with_its_field_value_and_range(string json, string? decodeHeader, string field, string message)
    {
        RouterError error = Choose(Router(new RouterOptions()), json, Head(decode: decodeHeader)).Error!;

        Assert.Equal((400, "bad_dp_rank", field, message), (error.Status, error.Code, error.Param, error.Message));
    }

    [Fact]
    public void Workers_that_know_one_rank_field_get_one_rank_for_both_legs()
    {
        PdRouter router = Router(new RouterOptions { DpField = RankField.DataParallelRank }, prefillRanks: 4, decodeRanks: 4);

        Route[] routes = [.. Enumerable.Range(0, 8).Select(_ => Choose(router, """{"text":"a"}""").Route!)];

        Assert.All(routes, r => Assert.Equal(r.Prefill!.Value.Rank, r.Decode.Rank));
        Assert.Equal(4, routes.Select(r => r.Decode.Rank).Distinct().Count());
        Assert.Equal(3, Choose(router, """{"text":"a","routed_dp_rank":3}""").Route!.Prefill!.Value.Rank);
        Assert.Equal("bad_dp_rank", Choose(router, """{"text":"a","routed_dp_rank":3,"disagg_prefill_dp_rank":2}""").Error!.Code);
    }

    [Fact]
    public void With_one_rank_for_both_legs_a_decode_side_without_it_is_503()
    {
        PdRouter router = Router(new RouterOptions { DpField = RankField.DataParallelRank });

        RouterError error = Choose(router, """{"text":"a","disagg_prefill_dp_rank":3}""").Error!;

        Assert.Equal((503, "server_selection_failed"), (error.Status, error.Code));
    }

    [Fact]
    public void Legs_for_such_workers_carry_the_older_field_alone()
    {
        ClientBody body = ClientBodyReader.Read("""{"text":"a"}"""u8.ToArray(), DataEndpoint.Generate);

        using LegBody leg = LegBody.Write(body, null, null, 3, 3, RankField.DataParallelRank);

        Assert.Equal("""{"text":"a","data_parallel_rank":3}""", Encoding.UTF8.GetString(leg.Utf8.Span));
    }

    [Theory]
    [InlineData("0", "http://p0:1@0", "http://d0:1@0")]
    [InlineData("3", "http://p1:1@1", "http://d1:1@1")]
    public void A_target_counts_every_rank_of_its_role(string target, string prefill, string decode)
    {
        PdRouter router = Router(new RouterOptions { Policy = "consistent_hash" }, prefillRanks: 2, workers: 2);

        for (int i = 0; i < 3; i++)
        {
            Route route = Choose(router, """{"text":"a"}""", Head(target: target)).Route!;
            Assert.Equal((prefill, decode), (route.Prefill!.Value.ToString(), route.Decode.ToString()));
        }
    }

    [Fact]
    public void A_target_that_cannot_be_had_is_503_and_one_that_is_no_number_400()
    {
        PdRouter router = Router(new RouterOptions { Policy = "bounded_consistent_hashing" }, prefillRanks: 1, decodeRanks: 1, workers: 2);
        router.Fleet.Now.Prefill[1].Status = WorkerStatus.NotReady;

        Assert.Equal((503, "server_selection_failed"), Of(Choose(router, """{"text":"a"}""", Head(target: "1"))));
        Assert.Equal((503, "server_selection_failed"), Of(Choose(router, """{"text":"a"}""", Head(target: "2"))));
        Assert.Equal((400, "bad_target_worker"), Of(Choose(router, """{"text":"a"}""", Head(target: "first"))));
        static (int, string) Of((Route? Route, RouterError? Error) found) => (found.Error!.Status, found.Error.Code);
    }

    [Fact]
    public void Policies_without_a_ring_do_not_look_at_the_target()
    {
        PdRouter router = Router(new RouterOptions { Policy = "round_robin" }, prefillRanks: 1, decodeRanks: 1, workers: 2);

        Assert.Equal(2, Enumerable.Range(0, 4).Select(_ => Choose(router, """{"text":"a"}""", Head(target: "1")).Route!.Prefill!.Value.Worker).Distinct().Count());
    }

    [Fact]
    public void Passthrough_leaves_the_rank_to_its_one_worker_and_is_503_with_two()
    {
        Route route = Choose(Router(new RouterOptions { Policy = "passthrough" }), """{"text":"a"}""").Route!;
        RouterError error = Choose(Router(new RouterOptions { Policy = "passthrough" }, workers: 2), """{"text":"a"}""").Error!;

        Assert.Equal((null, null), (route.Prefill!.Value.Rank, route.Decode.Rank));
        Assert.Equal((503, "server_selection_failed"), (error.Status, error.Code));
    }

    [Fact]
    public void The_rank_that_saw_a_prefix_gets_it_again_until_it_is_crowded()
    {
        PdRouter router = Router(new RouterOptions { DpMode = DpMode.TwoLevel, RankPolicy = RankPolicy.CachePrefix }, prefillRanks: 3);
        string prompt = new('x', 400);
        Route first = Choose(router, $$"""{"text":"{{prompt}}"}""").Route!;
        first.EndPrefill(LegOutcome.Success, TimeSpan.Zero);
        RankState owner = first.Prefill!.Value.State;
        for (int i = 0; i < 3; i++) first.Prefill.Value.Worker.Rank(i).Take(1, 1000, TimeSpan.Zero);
        // 1400 of 3 x 1133 is within 1.5 times the mean.
        owner.Take(1, 400, TimeSpan.Zero);

        int? again = Choose(router, $$"""{"text":"{{prompt}} and more"}""").Route!.Prefill!.Value.Rank;
        owner.Take(1, 3000, TimeSpan.Zero);
        int? crowded = Choose(router, $$"""{"text":"{{prompt}} and more"}""").Route!.Prefill!.Value.Rank;

        Assert.Equal(first.Prefill.Value.Rank, again);
        Assert.NotEqual(first.Prefill.Value.Rank, crowded);
    }
}
