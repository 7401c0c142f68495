using Baton.Bootstrap.Server;
namespace Baton.Bootstrap.Tests.Server;

/// <summary>SGLang's four routes over real sockets: statuses, texts and key sets as its clients see them.</summary>
public sealed class SglangRouteTests
{
    private const string AllRanks = "/route?prefill_dp_rank=-1&prefill_cp_rank=-1&target_tp_rank=-1&target_pp_rank=-1";

    [Fact]
    public async Task Health_says_ok_before_any_rank_is_there()
    {
        await using TestServer server = await TestServer.StartAsync();
        using RequestsClient client = server.Connect();

        RawResponse get = await client.SendAsync("GET", "/health");
        RawResponse head = await client.SendAsync("HEAD", "/health");

        Assert.Equal((200, "OK", "text/plain; charset=utf-8"), (get.Status, get.Body, get.ContentType));
        Assert.Equal((200, ""), (head.Status, head.Body));
    }

    [Fact]
    public async Task The_topology_has_exactly_the_keys_of_sglang_in_its_order()
    {
        await using TestServer server = await TestServer.StartAsync();
        using RequestsClient client = server.Connect();

        RawResponse none = await client.SendAsync("GET", AllRanks);
        RawResponse first = await client.SendAsync("PUT", "/route", TestServer.RankBody(0, 2));
        RawResponse twice = await client.SendAsync("PUT", "/route", TestServer.RankBody(0, 2));
        RawResponse half = await client.SendAsync("GET", AllRanks);
        await client.SendAsync("PUT", "/route", TestServer.RankBody(1, 2));
        RawResponse full = await client.SendAsync("GET", AllRanks);

        Assert.Equal((503, "Prefill server not fully registered yet (0 workers registered)."), (none.Status, none.Body));
        Assert.Equal((200, "OK", "text/plain; charset=utf-8"), (first.Status, first.Body, first.ContentType));
        Assert.Equal(200, twice.Status);
        Assert.Equal((503, "Prefill server not fully registered yet (1 workers registered)."), (half.Status, half.Body));
        Assert.Equal((200, "application/json; charset=utf-8"), (full.Status, full.ContentType));
        Assert.Equal(
            """{"attn_tp_size":1,"attn_cp_size":1,"dp_size":2,"pp_size":1,"page_size":64,"kv_cache_dtype":"auto","follow_bootstrap_room":false,"enable_dsa_cache_layer_split":false,"prefill_http_port":30000,"target_tp_rank":null,"target_tp_ranks":null,"target_cp_ranks":null,"target_pp_ranks":null,"required_dst_info_num":null,"required_prefill_response_num":null}""",
            full.Body);
    }

    [Fact]
    public async Task A_missing_method_and_port_read_as_sglang_reads_them()
    {
        await using TestServer server = await TestServer.StartAsync();
        using RequestsClient client = server.Connect();

        await client.SendAsync("PUT", "/route", TestServer.RankBody(0, 1,
            ("load_balance_method", ""), ("enable_dsa_cache_layer_split", ""), ("prefill_http_port", ""), ("kv_cache_dtype", "null"), ("rank_port", "\"4000\"")));
        RawResponse topology = await client.SendAsync("GET", AllRanks);

        Assert.Contains("\"follow_bootstrap_room\":true", topology.Body, StringComparison.Ordinal);
        Assert.Contains("\"prefill_http_port\":null", topology.Body, StringComparison.Ordinal);
        Assert.Contains("\"kv_cache_dtype\":null", topology.Body, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_rank_is_answered_with_its_endpoint_or_named_in_a_404()
    {
        await using TestServer server = await TestServer.StartAsync();
        using RequestsClient client = server.Connect();
        await client.SendAsync("PUT", "/route", TestServer.RankBody(0, 2));
        RawResponse early = await client.SendAsync("GET", "/route?prefill_dp_rank=0&prefill_cp_rank=0&target_tp_rank=0&target_pp_rank=0");
        await client.SendAsync("PUT", "/route", TestServer.RankBody(1, 2));

        RawResponse rank = await client.SendAsync("GET", "/route?prefill_dp_rank=1&prefill_cp_rank=0&target_tp_rank=0&target_pp_rank=0");
        RawResponse unknown = await client.SendAsync("GET", "/route?prefill_dp_rank=2&prefill_cp_rank=0&target_tp_rank=0&target_pp_rank=0");
        RawResponse partial = await client.SendAsync("GET", "/route?prefill_dp_rank=-1&prefill_cp_rank=0&target_tp_rank=0&target_pp_rank=0");

        Assert.Equal(503, early.Status);
        Assert.Equal((200, """{"rank_ip":"10.0.0.1","rank_port":4001}"""), (rank.Status, rank.Body));
        Assert.Equal((404, "Bootstrap info not found for dp_rank=2 cp_rank=0 tp_rank=0 pp_rank=0"), (unknown.Status, unknown.Body));
        Assert.Equal(404, partial.Status);
    }

    [Theory]
    [InlineData("/route")]
    [InlineData("/route?prefill_dp_rank=0&prefill_cp_rank=0&target_tp_rank=0")]
    [InlineData("/route?prefill_dp_rank=&prefill_cp_rank=0&target_tp_rank=0&target_pp_rank=0")]
    public async Task A_missing_parameter_is_a_400_with_the_text_of_sglang(string path)
    {
        await using TestServer server = await TestServer.StartAsync();
        using RequestsClient client = server.Connect();

        RawResponse response = await client.SendAsync("GET", path);

        Assert.Equal((400, "Missing inputs for bootstrap server."), (response.Status, response.Body));
    }

    [Fact]
    public async Task A_parameter_that_is_no_number_is_a_400_that_names_it()
    {
        await using TestServer server = await TestServer.StartAsync();
        using RequestsClient client = server.Connect();

        RawResponse response = await client.SendAsync("GET", "/route?prefill_dp_rank=0&prefill_cp_rank=x&target_tp_rank=0&target_pp_rank=0");

        Assert.Equal((400, """{"error":{"message":"prefill_cp_rank is 'x'. It must be an integer.","field":"prefill_cp_rank"}}"""), (response.Status, response.Body));
    }

    [Fact]
    public async Task Other_methods_and_paths_answer_as_the_framework_does()
    {
        await using TestServer server = await TestServer.StartAsync();
        using RequestsClient client = server.Connect();

        RawResponse route = await client.SendAsync("POST", "/route", "{}");
        RawResponse register = await client.SendAsync("GET", "/register_dp_rank");
        RawResponse nowhere = await client.SendAsync("GET", "/nowhere");

        Assert.Equal((405, "Method not allowed", "application/json"), (route.Status, route.Body, route.ContentType));
        Assert.Equal((405, "405: Method Not Allowed", "POST"), (register.Status, register.Body, register.Headers["Allow"]));
        Assert.Equal((404, "404: Not Found", "text/plain; charset=utf-8"), (nowhere.Status, nowhere.Body, nowhere.ContentType));
    }

    [Fact]
    public async Task Rooms_are_63_bit_numbers_and_may_come_as_strings()
    {
        await using TestServer server = await TestServer.StartAsync();
        using RequestsClient client = server.Connect();

        RawResponse number = await client.SendAsync("POST", "/register_dp_rank", """{"bootstrap_room": 9223372036854775807, "dp_rank": 3}""");
        await client.SendAsync("POST", "/register_dp_rank", """{"bootstrap_room": "9007199254740993", "dp_rank": "2"}""");
        RawResponse known = await client.SendAsync("POST", "/query_dp_ranks", """{"bootstrap_rooms": [9223372036854775807, "9007199254740993", 9007199254740992, 17]}""");
        RawResponse empty = await client.SendAsync("POST", "/query_dp_ranks", """{"bootstrap_rooms": []}""");

        Assert.Equal((200, "OK", "text/plain; charset=utf-8"), (number.Status, number.Body, number.ContentType));
        Assert.Equal((200, """{"9223372036854775807":3,"9007199254740993":2}"""), (known.Status, known.Body));
        Assert.Equal((200, "{}"), (empty.Status, empty.Body));
    }

    [Theory]
    [InlineData("""{"bootstrap_rooms": [5, 6, 7]}""")]
    [InlineData("""{"bootstrap_rooms":[5,6,7]}""")]
    [InlineData(" { \t\"bootstrap_rooms\" :\r\n [ 5 , 6 ,7 ] } ")]
    [InlineData("""{"bootstrap_rooms": ["5", 6, "7"]}""")]
    [InlineData("""{"bootstrap_rooms": [5, 6, 7], "more": {"bootstrap_rooms": [1]}}""")]
    [InlineData("""{"before": [1, "x"], "bootstrap_rooms": [5, 6, 7]}""")]
    [InlineData("""{"bootstrap_rooms": [1], "bootstrap_rooms": [5, 6, 7]}""")]
    [InlineData("""{"bootstrap_\u0072ooms": [5, 6, 7]}""")]
    public async Task A_query_means_the_same_however_it_is_written(string json)
    {
        await using TestServer server = await TestServer.StartAsync();
        using RequestsClient client = server.Connect();
        await client.SendAsync("POST", "/register_dp_rank", """{"bootstrap_room":5,"dp_rank":3}""");
        await client.SendAsync("POST", "/register_dp_rank", """{"dp_rank" : 2147483647 , "bootstrap_room":7}""");

        RawResponse answer = await client.SendAsync("POST", "/query_dp_ranks", json);

        Assert.Equal((200, """{"5":3,"7":2147483647}"""), (answer.Status, answer.Body));
    }

    [Theory]
    [InlineData("""{"bootstrap_rooms": [05]}""", "body")]
    [InlineData("""{"bootstrap_rooms": [5,]}""", "body")]
    [InlineData("""{"bootstrap_rooms": [5 6]}""", "body")]
    [InlineData("""{"bootstrap_rooms": [5]} {}""", "body")]
    [InlineData("""{"bootstrap_rooms": [5.5]}""", "bootstrap_rooms")]
    [InlineData("""{"bootstrap_rooms": [9223372036854775808]}""", "bootstrap_rooms")]
    [InlineData("""{"bootstrap_rooms": [18446744073709551617]}""", "bootstrap_rooms")]
    [InlineData("""{"bootstrap_rooms": [100000000000000000000000001]}""", "bootstrap_rooms")]
    public async Task A_query_that_is_almost_right_is_refused_by_name(string json, string field)
    {
        await using TestServer server = await TestServer.StartAsync();
        using RequestsClient client = server.Connect();

        RawResponse answer = await client.SendAsync("POST", "/query_dp_ranks", json);

        Assert.Equal(400, answer.Status);
        Assert.Contains($"\"field\":\"{field}\"", answer.Body, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("300", "300", null, 330)]
    [InlineData("600", "20", null, 630)]
    [InlineData("20", "600.5", null, 630.5)]
    [InlineData("600", "600", "120", 120)]
    public void A_room_lives_30_s_longer_than_the_longer_timeout_or_as_sglangs_variable_says(string bootstrap, string waiting, string? cleanup, double seconds)
    {
        BootstrapServerOptions options = new BootstrapServerOptions { Seed = 1 }.FromEnvironment(name => name switch
        {
            BootstrapServerOptions.BootstrapTimeoutVariable => bootstrap,
            BootstrapServerOptions.WaitingTimeoutVariable => waiting,
            BootstrapServerOptions.CleanupIntervalVariable => cleanup,
            _ => null,
        });

        Assert.Equal(TimeSpan.FromSeconds(seconds), options.EntryLife);
    }

    [Fact]
    public async Task A_room_expires_after_its_life_and_reading_does_not_extend_it()
    {
        await using TestServer server = await TestServer.StartAsync(o => o with { CleanupInterval = TimeSpan.FromSeconds(120) });
        using RequestsClient client = server.Connect();
        await client.SendAsync("POST", "/register_dp_rank", """{"bootstrap_room": 5, "dp_rank": 0}""");

        server.Time.Advance(TimeSpan.FromSeconds(120));
        RawResponse onTheEdge = await client.SendAsync("POST", "/query_dp_ranks", """{"bootstrap_rooms": [5]}""");
        server.Time.Advance(TimeSpan.FromTicks(1));
        RawResponse after = await client.SendAsync("POST", "/query_dp_ranks", """{"bootstrap_rooms": [5]}""");

        Assert.Equal("""{"5":0}""", onTheEdge.Body);
        Assert.Equal("{}", after.Body);
    }

    [Theory]
    [InlineData("""{"bootstrap_room": 1}""", "dp_rank")]
    [InlineData("""{"dp_rank": 1}""", "bootstrap_room")]
    [InlineData("""{"bootstrap_room": -1, "dp_rank": 0}""", "bootstrap_room")]
    [InlineData("""{"bootstrap_room": 9223372036854775808, "dp_rank": 0}""", "bootstrap_room")]
    [InlineData("""{"bootstrap_room": 1.5, "dp_rank": 0}""", "bootstrap_room")]
    [InlineData("""{"bootstrap_room": null, "dp_rank": 0}""", "bootstrap_room")]
    [InlineData("""{"bootstrap_room": "x", "dp_rank": 0}""", "bootstrap_room")]
    [InlineData("""{"bootstrap_room": [1], "dp_rank": 0}""", "bootstrap_room")]
    [InlineData("""{"bootstrap_room": 1, "dp_rank": -1}""", "dp_rank")]
    [InlineData("""{"bootstrap_room": 1, "dp_rank": true}""", "dp_rank")]
    [InlineData("""{"bootstrap_room": 1, "dp_rank": 2}""", "dp_rank")]
    [InlineData("""{"bootstrap_room": 1, "dp_rank": 0""", "body")]
    [InlineData("""{"bootstrap_room": 1, "dp_rank": 0} x""", "body")]
    [InlineData("[1]", "body")]
    [InlineData("", "body")]
    public async Task A_bad_registration_of_a_room_is_a_400_that_names_the_field_and_changes_nothing(string json, string field)
    {
        await using TestServer server = await TestServer.StartAsync();
        using RequestsClient client = server.Connect();
        await client.SendAsync("PUT", "/route", TestServer.RankBody(0, 2));

        RawResponse response = await client.SendAsync("POST", "/register_dp_rank", json);

        Assert.Equal(400, response.Status);
        Assert.Contains($"\"field\":\"{field}\"", response.Body, StringComparison.Ordinal);
        Assert.Equal(0, server.Server.Table.Rooms.Count);
    }

    [Theory]
    [InlineData("""{"bootstrap_rooms": [1, "x"]}""", "bootstrap_rooms")]
    [InlineData("""{"bootstrap_rooms": 1}""", "bootstrap_rooms")]
    [InlineData("""{"bootstrap_rooms": [-1]}""", "bootstrap_rooms")]
    [InlineData("""{}""", "bootstrap_rooms")]
    [InlineData("""{"bootstrap_rooms": [1}""", "body")]
    public async Task A_bad_query_is_a_400_that_names_the_field(string json, string field)
    {
        await using TestServer server = await TestServer.StartAsync();
        using RequestsClient client = server.Connect();

        RawResponse response = await client.SendAsync("POST", "/query_dp_ranks", json);

        Assert.Equal(400, response.Status);
        Assert.Contains($"\"field\":\"{field}\"", response.Body, StringComparison.Ordinal);
    }

    public static TheoryData<string, string> BadRankFields()
    {
        TheoryData<string, string> data = [];
        string[] integers = ["attn_tp_size", "attn_tp_rank", "attn_cp_size", "attn_cp_rank", "attn_dp_size", "attn_dp_rank",
            "pp_size", "pp_rank", "system_dp_size", "system_dp_rank", "rank_port", "page_size"];
        foreach (string field in integers)
        {
            foreach (string json in new[] { "", "null", "-1", "1.5", "\"x\"", "true", "99999999999" }) data.Add(field, json);
        }
        foreach (string size in integers.Where(f => f.EndsWith("_size", StringComparison.Ordinal))) data.Add(size, "0");
        foreach (string rank in integers.Where(f => f.EndsWith("_rank", StringComparison.Ordinal))) data.Add(rank, "1");
        foreach (string json in new[] { "0", "65536" }) data.Add("rank_port", json);
        foreach (string json in new[] { "", "null", "5", "\"\"" }) data.Add("rank_ip", json);
        foreach (string json in new[] { "", "5" }) data.Add("kv_cache_dtype", json);
        data.Add("load_balance_method", "5");
        data.Add("enable_dsa_cache_layer_split", "1");
        foreach (string json in new[] { "0", "\"x\"" }) data.Add("prefill_http_port", json);
        return data;
    }

    [Fact]
    public async Task A_bad_registration_of_a_rank_is_a_400_that_names_the_field_and_changes_nothing()
    {
        await using TestServer server = await TestServer.StartAsync();
        using RequestsClient client = server.Connect();

        foreach (TheoryDataRow<string, string> row in BadRankFields())
        {
            (string field, string json) = row.Data;

            RawResponse response = await client.SendAsync("PUT", "/route", TestServer.RankBody(0, 1, (field, json)));

            Assert.True(response.Status == 400 && response.Body.Contains($"\"field\":\"{field}\"", StringComparison.Ordinal), $"{field} = {json}: {response.Status} {response.Body}");
        }
        Assert.Equal(0, server.Server.Table.Ranks.RegisteredCount);
    }

    [Fact]
    public async Task Another_endpoint_on_a_taken_rank_is_a_409_until_it_can_be_a_restart()
    {
        await using TestServer server = await TestServer.StartAsync();
        using RequestsClient client = server.Connect();
        await client.SendAsync("PUT", "/route", TestServer.RankBody());

        RawResponse early = await client.SendAsync("PUT", "/route", TestServer.RankBody(0, 1, ("rank_port", "5000")));
        server.Time.Advance(TimeSpan.FromSeconds(10));
        RawResponse late = await client.SendAsync("PUT", "/route", TestServer.RankBody(0, 1, ("rank_port", "5000")));

        Assert.Equal(409, early.Status);
        Assert.Contains("10.0.0.1:4000", early.Body, StringComparison.Ordinal);
        Assert.Equal(200, late.Status);
        Assert.NotEqual(early.Headers["X-SGLang-Disaggregation-Instance-ID"], (await client.SendAsync("GET", "/health")).Headers["X-SGLang-Disaggregation-Instance-ID"]);
    }

    [Fact]
    public async Task A_body_above_one_mebibyte_is_a_413()
    {
        await using TestServer server = await TestServer.StartAsync();
        using RequestsClient client = server.Connect();

        await client.AnnounceAsync("POST", "/query_dp_ranks", (1024 * 1024) + 1);
        RawResponse response = await client.ReadAsync();

        Assert.Equal(413, response.Status);
        Assert.Contains("1048576", response.Body, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Forty_thousand_rooms_fit_in_one_query()
    {
        await using TestServer server = await TestServer.StartAsync();
        using RequestsClient client = server.Connect();
        await client.SendAsync("POST", "/register_dp_rank", """{"bootstrap_room": 9223372036854735807, "dp_rank": 1}""");
        string rooms = string.Join(", ", Enumerable.Range(0, 40_000).Select(i => (BootstrapRoomMax - i).ToString()));

        RawResponse response = await client.SendAsync("POST", "/query_dp_ranks", $$"""{"bootstrap_rooms": [{{rooms}}, 9223372036854735807]}""");

        Assert.Equal((200, """{"9223372036854735807":1}"""), (response.Status, response.Body));
    }

    private const long BootstrapRoomMax = long.MaxValue;

    [Fact]
    public async Task With_a_token_writes_need_it_and_reads_do_not()
    {
        await using TestServer server = await TestServer.StartAsync(o => o with { WriteToken = "right" });
        using RequestsClient client = server.Connect();
        const string Room = """{"bootstrap_room": 1, "dp_rank": 0}""";

        foreach (string? wrong in new[] { null, "Bearer wrong", "Bearer", "Basic right", "right", "Bearer rightx" })
        {
            client.Authorization = wrong;
            Assert.Equal(401, (await client.SendAsync("POST", "/register_dp_rank", Room)).Status);
            Assert.Equal(401, (await client.SendAsync("PUT", "/route", TestServer.RankBody())).Status);
            Assert.Equal(401, (await client.SendAsync("POST", "/baton/v1/rooms", """{"register": [[1, 0]]}""")).Status);
        }
        client.Authorization = null;
        Assert.Equal("{}", (await client.SendAsync("POST", "/query_dp_ranks", """{"bootstrap_rooms": [1]}""")).Body);
        Assert.Equal(200, (await client.SendAsync("GET", "/health")).Status);

        client.Authorization = "bearer right";
        Assert.Equal(200, (await client.SendAsync("POST", "/register_dp_rank", Room)).Status);
        Assert.Equal(200, (await client.SendAsync("PUT", "/route", TestServer.RankBody())).Status);
    }

    [Fact]
    public async Task Many_requests_share_one_connection()
    {
        await using TestServer server = await TestServer.StartAsync();
        using RequestsClient client = server.Connect();

        for (int room = 0; room < 500; room++) await client.SendAsync("POST", "/register_dp_rank", $$"""{"bootstrap_room": {{room}}, "dp_rank": {{room % 4}}}""");
        RawResponse known = await client.SendAsync("POST", "/query_dp_ranks", """{"bootstrap_rooms": [0, 499]}""");

        Assert.Equal("""{"0":0,"499":3}""", known.Body);
        Assert.Equal(500, server.Server.Table.Rooms.Count);
    }

    [Fact]
    public async Task A_full_table_is_a_503_with_retry_after()
    {
        await using TestServer server = await TestServer.StartAsync(o => o with { RoomCapacity = 2 });
        using RequestsClient client = server.Connect();

        for (int room = 1; room <= 2; room++) await client.SendAsync("POST", "/register_dp_rank", $$"""{"bootstrap_room": {{room}}, "dp_rank": 0}""");
        RawResponse full = await client.SendAsync("POST", "/register_dp_rank", """{"bootstrap_room": 3, "dp_rank": 0}""");

        Assert.Equal((503, "1"), (full.Status, full.Headers["Retry-After"]));
    }
}
