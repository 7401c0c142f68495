using Baton.Core.Failures;
using Baton.Core.Ids;

namespace Baton.Bootstrap.Tests.Server;

/// <summary>The routes that Baton adds, over real sockets.</summary>
public sealed class BatonRouteTests
{
    private const string Query = "/baton/v1/rooms/query";
    private const string Rooms = "/baton/v1/rooms";

    [Fact]
    public async Task Ready_tells_how_many_ranks_are_missing()
    {
        await using TestServer server = await TestServer.StartAsync();
        using RequestsClient client = server.Connect();

        RawResponse none = await client.SendAsync("GET", "/ready");
        await client.SendAsync("PUT", "/route", TestServer.RankBody(0, 2));
        RawResponse half = await client.SendAsync("GET", "/ready");
        await client.SendAsync("PUT", "/route", TestServer.RankBody(1, 2));
        RawResponse full = await client.SendAsync("GET", "/ready");

        Assert.Equal((503, "NOT READY (0/0 ranks registered)"), (none.Status, none.Body));
        Assert.Equal((503, "NOT READY (1/2 ranks registered)"), (half.Status, half.Body));
        Assert.Equal((200, "READY"), (full.Status, full.Body));
    }

    [Fact]
    public async Task A_batch_registers_fails_and_ends_rooms_and_the_last_of_these_counts()
    {
        await using TestServer server = await TestServer.StartAsync();
        using RequestsClient client = server.Connect();

        RawResponse batch = await client.SendAsync("POST", Rooms,
            """{"register": [[1, 0], [2, 1], [9223372036854775807, 1]], "failed": [{"room": 2, "reason": "aborted", "message": "client left"}], "ended": [1]}""");
        RawResponse answer = await client.SendAsync("POST", Query, """{"rooms": [1, 2, 9223372036854775807]}""");

        Assert.Equal((200, "OK"), (batch.Status, batch.Body));
        Assert.Equal(
            """{"known":{"9223372036854775807":1},"failed":{"2":{"reason":"aborted","message":"client left"}},"pending":1,"new_watch":false}""", answer.Body);
    }

    [Fact]
    public async Task A_failed_room_is_absent_from_the_query_of_sglang()
    {
        await using TestServer server = await TestServer.StartAsync();
        using RequestsClient client = server.Connect();

        await client.SendAsync("POST", Rooms, """{"failed": [{"room": 2, "reason": "aborted", "message": "client left"}]}""");
        RawResponse answer = await client.SendAsync("POST", "/query_dp_ranks", """{"bootstrap_rooms": [2]}""");

        Assert.Equal("{}", answer.Body);
    }

    [Theory]
    [InlineData("""{"register": [[1]]}""", "register")]
    [InlineData("""{"register": [[1, 2, 3]]}""", "register")]
    [InlineData("""{"register": [1, 2]}""", "register")]
    [InlineData("""{"register": {}}""", "register")]
    [InlineData("""{"register": [[-1, 0]]}""", "register")]
    [InlineData("""{"register": [[5, 0]], "failed": [{"room": 2}]}""", "failed.reason")]
    [InlineData("""{"register": [[5, 0]], "failed": [{"reason": "aborted"}]}""", "failed.room")]
    [InlineData("""{"register": [[5, 0]], "failed": [{"room": 2, "reason": "bad luck"}]}""", "failed.reason")]
    [InlineData("""{"register": [[5, 0]], "ended": ["x"]}""", "ended")]
    [InlineData("""{"register": [[5, 0]], "ended": [1]""", "body")]
    public async Task A_bad_batch_is_a_400_that_names_the_field_and_changes_nothing(string json, string field)
    {
        await using TestServer server = await TestServer.StartAsync();
        using RequestsClient client = server.Connect();

        RawResponse response = await client.SendAsync("POST", Rooms, json);

        Assert.Equal(400, response.Status);
        Assert.Contains($"\"field\":\"{field}\"", response.Body, StringComparison.Ordinal);
        Assert.Equal(0, server.Server.Table.Rooms.Count);
    }

    [Theory]
    [InlineData("""{"rooms": [1], "wait_ms": -1}""", "wait_ms")]
    [InlineData("""{"rooms": [1], "wait_for": "some"}""", "wait_for")]
    [InlineData("""{"rooms": [1], "watch": ""}""", "watch")]
    [InlineData("""{"rooms": [1], "watch": 5}""", "watch")]
    [InlineData("""{"rooms": "1"}""", "rooms")]
    [InlineData("""{"forget": [1.5]}""", "forget")]
    public async Task A_bad_query_is_a_400_that_names_the_field(string json, string field)
    {
        await using TestServer server = await TestServer.StartAsync();
        using RequestsClient client = server.Connect();

        RawResponse response = await client.SendAsync("POST", Query, json);

        Assert.Equal(400, response.Status);
        Assert.Contains($"\"field\":\"{field}\"", response.Body, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_parked_query_for_any_is_answered_by_the_first_registration()
    {
        await using TestServer server = await TestServer.StartAsync();
        using RequestsClient decode = server.Connect();
        using RequestsClient prefill = server.Connect();
        await decode.WriteAsync("POST", Query, """{"rooms": [1, 2], "wait_ms": 60000, "wait_for": "any"}""");
        await ParkedAsync(server, 1);

        await prefill.SendAsync("POST", "/register_dp_rank", """{"bootstrap_room": 2, "dp_rank": 3}""");
        RawResponse answer = await decode.ReadAsync();

        Assert.Equal("""{"known":{"2":3},"failed":{},"pending":1,"new_watch":false}""", answer.Body);
        Assert.Equal(0, server.Server.Table.Rooms.WatchedCount);
    }

    [Fact]
    public async Task A_parked_query_for_all_waits_for_the_last_one_and_a_failure_counts()
    {
        await using TestServer server = await TestServer.StartAsync();
        using RequestsClient decode = server.Connect();
        using RequestsClient prefill = server.Connect();
        await decode.WriteAsync("POST", Query, """{"rooms": [1, 2], "wait_ms": 60000, "wait_for": "all"}""");
        await ParkedAsync(server, 1);

        await prefill.SendAsync("POST", "/register_dp_rank", """{"bootstrap_room": 2, "dp_rank": 3}""");
        int parkedAfterTheFirst = server.Server.Queries.ParkedCount;
        await prefill.SendAsync("POST", Rooms, """{"failed": [{"room": 1, "reason": "out_of_cells", "message": "no cells"}]}""");
        RawResponse answer = await decode.ReadAsync();

        Assert.Equal(1, parkedAfterTheFirst);
        Assert.Equal("""{"known":{"2":3},"failed":{"1":{"reason":"out_of_cells","message":"no cells"}},"pending":0,"new_watch":false}""", answer.Body);
    }

    [Fact]
    public async Task A_parked_query_ends_with_what_it_has_when_its_time_is_up()
    {
        await using TestServer server = await TestServer.StartAsync(o => o with { SweepInterval = TimeSpan.FromHours(1) });
        using RequestsClient decode = server.Connect();
        await decode.WriteAsync("POST", Query, """{"rooms": [1], "wait_ms": 5000}""");
        await ParkedAsync(server, 1);

        TimeSpan? end = server.Time.NextDue;
        server.Time.Advance(TimeSpan.FromMilliseconds(5000));
        RawResponse answer = await decode.ReadAsync();

        Assert.Equal(TimeSpan.FromMilliseconds(5000), end);
        Assert.Equal("""{"known":{},"failed":{},"pending":1,"new_watch":false}""", answer.Body);
    }

    [Fact]
    public async Task A_client_that_goes_away_leaves_nothing_parked()
    {
        await using TestServer server = await TestServer.StartAsync();
        RequestsClient decode = server.Connect();
        await decode.WriteAsync("POST", Query, """{"rooms": [1], "wait_ms": 60000}""");
        await ParkedAsync(server, 1);

        decode.Dispose();
        await ParkedAsync(server, 0);

        Assert.Equal(0, server.Server.Table.Rooms.WatchedCount);
    }

    [Fact]
    public async Task A_watch_keeps_its_rooms_between_queries_and_takes_newcomers_while_one_is_parked()
    {
        await using TestServer server = await TestServer.StartAsync();
        using RequestsClient decode = server.Connect();
        using RequestsClient second = server.Connect();
        await decode.WriteAsync("POST", Query, """{"watch": "w", "rooms": [1], "wait_ms": 60000}""");
        await ParkedAsync(server, 1);

        RawResponse joined = await second.SendAsync("POST", Query, """{"watch": "w", "rooms": [2], "wait_ms": 0}""");
        await second.SendAsync("POST", "/register_dp_rank", """{"bootstrap_room": 2, "dp_rank": 1}""");
        RawResponse parked = await decode.ReadAsync();
        await decode.WriteAsync("POST", Query, """{"watch": "w", "rooms": [], "wait_ms": 60000}""");
        await ParkedAsync(server, 1);
        await second.SendAsync("POST", "/register_dp_rank", """{"bootstrap_room": 1, "dp_rank": 0}""");
        RawResponse last = await decode.ReadAsync();

        Assert.Equal("""{"known":{},"failed":{},"pending":2,"new_watch":false}""", joined.Body);
        Assert.Equal("""{"known":{"2":1},"failed":{},"pending":1,"new_watch":true}""", parked.Body);
        Assert.Equal("""{"known":{"1":0},"failed":{},"pending":0,"new_watch":false}""", last.Body);
    }

    [Fact]
    public async Task A_watch_that_nobody_uses_is_forgotten_after_a_minute_and_says_so()
    {
        await using TestServer server = await TestServer.StartAsync();
        using RequestsClient decode = server.Connect();
        await decode.SendAsync("POST", Query, """{"watch": "w", "rooms": [1, 2], "forget": []}""");

        server.Time.Advance(TimeSpan.FromSeconds(60));
        RawResponse kept = await decode.SendAsync("POST", Query, """{"watch": "w", "forget": [2]}""");
        server.Time.Advance(TimeSpan.FromSeconds(61));
        RawResponse lost = await decode.SendAsync("POST", Query, """{"watch": "w"}""");

        Assert.Equal("""{"known":{},"failed":{},"pending":1,"new_watch":false}""", kept.Body);
        Assert.Equal("""{"known":{},"failed":{},"pending":0,"new_watch":true}""", lost.Body);
        Assert.Equal(0, server.Server.Table.Rooms.WatchedCount);
    }

    [Fact]
    public async Task More_parked_queries_than_allowed_are_sent_away()
    {
        await using TestServer server = await TestServer.StartAsync(o => o with { Queries = o.Queries with { MaxParked = 1 } });
        using RequestsClient first = server.Connect();
        using RequestsClient second = server.Connect();
        await first.WriteAsync("POST", Query, """{"rooms": [1], "wait_ms": 60000}""");
        await ParkedAsync(server, 1);

        RawResponse refused = await second.SendAsync("POST", Query, """{"rooms": [2], "wait_ms": 60000}""");

        Assert.Equal((503, "1"), (refused.Status, refused.Headers["Retry-After"]));
        Assert.Equal(1, server.Server.Queries.ParkedCount);
    }

    [Fact]
    public async Task Every_answer_carries_the_instance_and_the_protocol()
    {
        await using TestServer server = await TestServer.StartAsync();
        await using TestServer other = await TestServer.StartAsync(o => o with { Seed = 8 });
        using RequestsClient client = server.Connect();
        using RequestsClient elsewhere = other.Connect();

        foreach (string path in new[] { "/health", "/route", "/nowhere", "/ready" })
        {
            RawResponse here = await client.SendAsync("GET", path);
            RawResponse there = await elsewhere.SendAsync("GET", path);

            Assert.Equal("1", here.Headers["X-Baton-Bootstrap-Protocol"]);
            Assert.NotEqual(here.Headers["X-SGLang-Disaggregation-Instance-ID"], there.Headers["X-SGLang-Disaggregation-Instance-ID"]);
        }
    }

    [Fact]
    public async Task A_query_that_resumes_an_unknown_watch_is_told_so_at_once_and_does_not_park()
    {
        await using TestServer server = await TestServer.StartAsync();
        using RequestsClient decode = server.Connect();

        RawResponse answer = await decode.SendAsync("POST", Query, """{"watch": "w", "resume": true, "rooms": [1], "wait_ms": 60000}""");
        RawResponse bad = await decode.SendAsync("POST", Query, """{"watch": "w", "resume": 1}""");

        Assert.Equal("""{"known":{},"failed":{},"pending":1,"new_watch":true}""", answer.Body);
        Assert.Equal(400, bad.Status);
    }

    [Fact]
    public async Task A_wait_of_a_day_is_cut_to_a_minute()
    {
        await using TestServer server = await TestServer.StartAsync(o => o with { SweepInterval = TimeSpan.FromHours(1) });
        using RequestsClient decode = server.Connect();
        await decode.WriteAsync("POST", Query, """{"rooms": [1], "wait_ms": 86400000}""");
        await ParkedAsync(server, 1);

        TimeSpan? end = server.Time.NextDue;
        server.Time.Advance(TimeSpan.FromMinutes(1));
        RawResponse answer = await decode.ReadAsync();

        Assert.Equal(TimeSpan.FromMinutes(1), end);
        Assert.Equal(200, answer.Status);
    }

    [Fact]
    public async Task Ranks_are_taken_back_by_their_worker_and_parked_queries_hear_of_the_new_instance()
    {
        await using TestServer server = await TestServer.StartAsync(o => o with { WriteToken = "secret" });
        using RequestsClient decode = server.Connect();
        using RequestsClient prefill = server.Connect();
        using RequestsClient stranger = server.Connect();
        (prefill.Authorization, prefill.Incarnation) = ("Bearer secret", "one");
        stranger.Incarnation = "one";
        string before = (await prefill.SendAsync("PUT", "/route", TestServer.RankBody())).Headers["X-SGLang-Disaggregation-Instance-ID"];
        await decode.WriteAsync("POST", Query, """{"rooms": [1], "wait_ms": 60000}""");
        await ParkedAsync(server, 1);

        RawResponse refused = await stranger.SendAsync("DELETE", "/baton/v1/ranks");
        RawResponse gone = await prefill.SendAsync("DELETE", "/baton/v1/ranks");
        RawResponse parked = await decode.ReadAsync();
        prefill.Incarnation = null;
        RawResponse nameless = await prefill.SendAsync("DELETE", "/baton/v1/ranks");

        Assert.Equal((401, 200, 400), (refused.Status, gone.Status, nameless.Status));
        Assert.Equal((0, 503), (server.Server.Table.Ranks.RegisteredCount, (await decode.SendAsync("GET", "/ready")).Status));
        Assert.NotEqual(before, gone.Headers["X-SGLang-Disaggregation-Instance-ID"]);
        Assert.Equal(gone.Headers["X-SGLang-Disaggregation-Instance-ID"], parked.Headers["X-SGLang-Disaggregation-Instance-ID"]);
        Assert.Equal("""{"known":{},"failed":{},"pending":1,"new_watch":false}""", parked.Body);
    }

    [Fact]
    public async Task After_the_last_worker_took_its_ranks_the_route_is_as_sglang_has_it_and_a_header_says_why()
    {
        await using TestServer server = await TestServer.StartAsync();
        using RequestsClient prefill = server.Connect();
        prefill.Incarnation = "one";
        const string Topology = "/route?prefill_dp_rank=-1&prefill_cp_rank=-1&target_tp_rank=-1&target_pp_rank=-1";

        RawResponse before = await prefill.SendAsync("GET", Topology);
        await prefill.SendAsync("PUT", "/route", TestServer.RankBody(0, 2));
        RawResponse half = await prefill.SendAsync("GET", Topology);
        await prefill.SendAsync("DELETE", "/baton/v1/ranks");
        RawResponse after = await prefill.SendAsync("GET", Topology);
        await prefill.SendAsync("PUT", "/route", TestServer.RankBody(1, 2));
        RawResponse again = await prefill.SendAsync("GET", Topology);

        Assert.All(new[] { before, half, after, again }, one => Assert.Equal(503, one.Status));
        Assert.Equal("Prefill server not fully registered yet (0 workers registered).", after.Body);
        Assert.Equal("stopped", after.Headers["X-Baton-Prefill"]);
        Assert.All(new[] { before, half, again }, one => Assert.False(one.Headers.ContainsKey("X-Baton-Prefill")));
    }

    [Fact]
    public async Task A_server_that_stops_answers_what_is_parked_with_what_it_has()
    {
        TestServer server = await TestServer.StartAsync();
        using RequestsClient decode = server.Connect();
        await decode.WriteAsync("POST", Query, """{"rooms": [1, 2], "wait_ms": 60000, "wait_for": "all"}""");
        await ParkedAsync(server, 1);
        server.Server.Table.Rooms.TryFail(new BootstrapRoom(2), new RequestFailure(FailureReason.ShuttingDown, "stops"), server.Time.Now);

        await server.DisposeAsync();
        RawResponse answer = await decode.ReadAsync();

        Assert.Equal("""{"known":{},"failed":{"2":{"reason":"shutting_down","message":"stops"}},"pending":1,"new_watch":false}""", answer.Body);
    }

    [Fact]
    public async Task Metrics_tell_what_is_held_what_came_and_what_was_refused()
    {
        await using TestServer server = await TestServer.StartAsync(o => o with { WriteToken = "secret", RoomCapacity = 2 });
        using RequestsClient client = server.Connect();
        client.Authorization = "Bearer secret";
        await client.SendAsync("PUT", "/route", TestServer.RankBody(0, 2));
        await client.SendAsync("PUT", "/route", TestServer.RankBody(0, 2, ("rank_port", "5000")));
        await client.SendAsync("POST", Rooms, """{"register": [[1, 0], [2, 1]]}""");
        await client.SendAsync("POST", "/register_dp_rank", """{"bootstrap_room": 3, "dp_rank": 0}""");
        await client.SendAsync("POST", "/register_dp_rank", "{");
        await client.SendAsync("POST", "/query_dp_ranks", """{"bootstrap_rooms": [1, 2, 9]}""");
        server.Time.Advance(TimeSpan.FromSeconds(331));
        server.Server.Table.Rooms.Sweep(server.Time.Now);
        await client.SendAsync("POST", Rooms, """{"register": [[4, 0]], "failed": [{"room": 5, "reason": "aborted", "message": "left"}]}""");
        client.Authorization = null;
        await client.SendAsync("POST", Rooms, """{"ended": [1]}""");
        using RequestsClient decode = server.Connect();
        await decode.WriteAsync("POST", Query, """{"rooms": [8], "wait_ms": 60000}""");
        await ParkedAsync(server, 1);

        RawResponse metrics = await client.SendAsync("GET", "/metrics");

        Assert.Equal(200, metrics.Status);
        Assert.StartsWith("text/plain", metrics.ContentType, StringComparison.Ordinal);
        Assert.Equal(
            [3, 2, 1, 1, 2, 2, 1, 1, 1, 2, 1, 1, 1, 1, 0],
            new[]
            {
                "rooms_registered_total", "rooms_hit_total", "rooms_miss_total", "rooms_failed_total", "rooms_expired_total", "rooms_live", "rooms_watched",
                "queries_parked", "ranks_registered", "ranks_expected", "requests_refused_total{reason=\"bad_request\"}", "requests_refused_total{reason=\"wrong_token\"}",
                "requests_refused_total{reason=\"rank_conflict\"}", "requests_refused_total{reason=\"table_full\"}", "requests_refused_total{reason=\"too_many_queries\"}",
            }.Select(name => Sample(metrics.Body, "baton_bootstrap_" + name)));
    }

    private static double Sample(string text, string name) =>
        double.Parse(Assert.Single(text.Split('\n'), line => line.StartsWith(name + " ", StringComparison.Ordinal))[(name.Length + 1)..]);

    [Fact]
    public async Task Sixteen_connections_that_write_at_once_lose_nothing()
    {
        await using TestServer server = await TestServer.StartAsync();

        await Task.WhenAll(Enumerable.Range(0, 16).Select(async writer =>
        {
            using RequestsClient client = server.Connect();
            for (int i = 0; i < 50; i++) await client.SendAsync("POST", Rooms, $$"""{"register": [[{{(i * 16) + writer + 1}}, {{writer}}]]}""");
        }));

        Assert.Equal(800, server.Server.Table.Rooms.Count);
    }

    /// <summary>Waits for the server to see what a socket already carries. Bounded by the test's own deadline.</summary>
    private static async Task ParkedAsync(TestServer server, int count)
    {
        using CancellationTokenSource deadline = new(TimeSpan.FromSeconds(30));
        while (server.Server.Queries.ParkedCount != count || (count == 0 && server.Server.Table.Rooms.WatchedCount != 0))
            await Task.Delay(TimeSpan.FromMilliseconds(2), deadline.Token);
    }
}
