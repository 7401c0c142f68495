using System.Text.Json.Nodes;
using Baton.Core.Ranks;

namespace Baton.Serving.Tests.Http;

public sealed class DisaggregationTests
{
    [Theory]
    [InlineData(1, 1)]
    [InlineData(2, 1)]
    [InlineData(1, 2)]
    [InlineData(3, 2)]
    public async Task A_pair_gives_the_tokens_of_a_unified_worker(int prefillRanks, int decodeRanks)
    {
        await using TestWorker unified = await TestWorker.StartAsync();
        await using TestPair pair = await TestPair.StartAsync(
            TestWorker.Simulated with { DpSize = prefillRanks }, TestWorker.Simulated with { DpSize = decodeRanks });
        for (int length = 1; length < 1000; length = length * 3 + 1)
        {
            string body = $$$"""{"text":"{{{new string('q', length)}}}","sampling_params":{"max_new_tokens":12,"sampling_seed":{{{length}}}}}""";
            Reply expected = await unified.PostAsync("/generate", body);

            (Reply prefill, Reply decode) = await pair.GenerateAsync(body);

            Assert.True(decode.Status == 200, decode.Body);
            Assert.Equal(200, prefill.Status);
            Assert.Equal(expected.Json["output_ids"]!.ToJsonString(), decode.Json["output_ids"]!.ToJsonString());
            Assert.Equal((string)expected.Json["text"]!, (string)decode.Json["text"]!);
            JsonNode meta = decode.Json["meta_info"]!;
            Assert.Equal(prefillRanks == 1 ? "single" : "query", (string)meta["rank_source"]!);
            Assert.Equal((int)prefill.Json["meta_info"]!["dp_rank"]!, (int)meta["prefill_dp_rank"]!);
            Assert.Equal("length", (string)prefill.Json["meta_info"]!["finish_reason"]!["type"]!);
            Assert.Equal(0, (int)prefill.Json["meta_info"]!["finish_reason"]!["length"]!);
        }
        await pair.Prefill.WaitForFullLedgerAsync();
        await pair.Decode.WaitForFullLedgerAsync();
    }

    [Fact]
    public async Task A_wrong_hint_costs_a_redirection_and_not_the_request()
    {
        await using TestPair pair = await TestPair.StartAsync(TestWorker.Simulated with { DpSize = 2 });
        const string Body = """{"text":"hello","sampling_params":{"max_new_tokens":4,"temperature":0}}""";
        long room = TestPair.NextRoom();

        Task<Reply> prefill = pair.Prefill.PostAsync("/generate", pair.Leg(Body, room, ("routed_dp_rank", 0)));
        Reply decode = await pair.Decode.PostAsync("/generate", pair.Leg(Body, room, ("disagg_prefill_dp_rank", 1)));

        Assert.True(decode.Status == 200, decode.Body);
        Assert.Equal(0, (int)decode.Json["meta_info"]!["prefill_dp_rank"]!);
        Assert.Equal(200, (await prefill).Status);
    }

    [Theory]
    [InlineData("""{"text":"hello","disagg_prefill_dp_rank":2}""")]
    [InlineData("""{"text":"hello","stream":true,"disagg_prefill_dp_rank":2}""")]
    public async Task A_hint_beyond_the_prefill_ranks_is_a_400_that_names_field_value_and_range_as_soon_as_decode_knows_them(string body)
    {
        await using TestPair pair = await TestPair.StartAsync(TestWorker.Simulated with { DpSize = 2 });

        Reply decode = await pair.Decode.PostAsync("/generate", pair.Leg(body, TestPair.NextRoom()));
        Reply prefill = await pair.Prefill.PostAsync("/generate", pair.Leg(body, TestPair.NextRoom()));

        Assert.Equal((400, 400), (decode.Status, prefill.Status));
        Assert.Contains("disagg_prefill_dp_rank is 2", decode.Body, StringComparison.Ordinal);
        Assert.Contains("[0, 2)", decode.Body, StringComparison.Ordinal);
        Assert.Contains("disagg_prefill_dp_rank=2 out of range [0, 2)", prefill.Body, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(LoadBalanceMethod.FollowBootstrapRoom)]
    [InlineData(LoadBalanceMethod.LeastWork)]
    public async Task When_prefill_refuses_a_bad_body_decode_hears_of_it_at_once(LoadBalanceMethod method)
    {
        await using TestPair pair = await TestPair.StartAsync(TestWorker.Simulated with { DpSize = 2, LoadBalanceMethod = method });
        const string Body = """{"text":"hello","sampling_params":{"max_new_tokens":4}}""";
        long room = TestPair.NextRoom();

        Task<Reply> decode = pair.Decode.PostAsync("/generate", pair.Leg(Body, room));
        Reply prefill = await pair.Prefill.PostAsync("/generate", pair.Leg(Body, room, ("routed_dp_rank", 2)));

        Assert.Equal(400, prefill.Status);
        Assert.InRange((await decode).Status, 400, 599);
        Assert.Contains("routed_dp_rank=2", (await decode).Body, StringComparison.Ordinal);
    }

    [Fact]
    public async Task When_prefill_refuses_one_of_a_batch_decode_hears_of_all_its_rooms()
    {
        await using TestPair pair = await TestPair.StartAsync(
            TestWorker.Simulated with { DpSize = 2, LoadBalanceMethod = LoadBalanceMethod.FollowBootstrapRoom });
        long even = TestPair.NextRoom() & ~1L;
        JsonArray rooms = [even, even + 1, even + 2];
        for (int i = 0; i < 4; i++) TestPair.NextRoom();
        const string Batch = """{"text":["a","b","c"],"sampling_params":{"max_new_tokens":4}}""";

        Task<Reply>[] decode = [.. Enumerable.Range(0, 3).Select(i =>
            pair.Decode.PostAsync("/generate", pair.Leg("""{"text":"a","sampling_params":{"max_new_tokens":4}}""", even + i)))];
        Reply prefill = await pair.Prefill.PostAsync("/generate", pair.Leg(Batch, 0, ("bootstrap_room", rooms), ("routed_dp_rank", 0)));

        Assert.Equal(409, prefill.Status);
        // The first one was good: it may have been through before the second was refused.
        foreach (Task<Reply> one in decode.Skip(1)) Assert.InRange((await one).Status, 400, 599);
        await decode[0];
    }

    [Fact]
    public async Task Metrics_of_a_prefill_worker_include_those_of_its_bootstrap_server()
    {
        await using TestPair pair = await TestPair.StartAsync(TestWorker.Simulated with { DpSize = 2 });
        await pair.GenerateAsync("""{"text":"hello","sampling_params":{"max_new_tokens":4}}""");

        Reply worker = await pair.Prefill.GetAsync("/metrics");
        using HttpClient http = new();
        Uri metrics = new($"http://127.0.0.1:{pair.BootstrapPort}/metrics");
        using CancellationTokenSource deadline = new(TestWorker.Patience);
        // Counted behind the write that answers decode: the answer may be here first.
        while (!(await http.GetStringAsync(metrics, deadline.Token)).Contains("baton_bootstrap_rooms_registered_total 1", StringComparison.Ordinal))
            await Task.Delay(5, deadline.Token);

        Assert.Contains("baton_bootstrap_ranks_registered", worker.Body, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_rank_conflict_is_a_409_on_prefill_and_decode_hears_of_it_at_once()
    {
        await using TestPair pair = await TestPair.StartAsync(
            TestWorker.Simulated with { DpSize = 2, LoadBalanceMethod = LoadBalanceMethod.FollowBootstrapRoom });
        const string Body = """{"text":"hello","sampling_params":{"max_new_tokens":4}}""";
        long room = TestPair.NextRoom() & ~1L;

        Task<Reply> decode = pair.Decode.PostAsync("/generate", pair.Leg(Body, room));
        Reply prefill = await pair.Prefill.PostAsync("/generate", pair.Leg(Body, room, ("routed_dp_rank", 1)));

        Assert.Equal(409, prefill.Status);
        Assert.Equal("rank_conflict", (string)prefill.Json["error"]!["code"]!);
        Assert.Contains("routed_dp_rank is 1, but under follow_bootstrap_room decode will look at dp rank 0", (string)prefill.Json["error"]!["message"]!, StringComparison.Ordinal);
        Assert.Contains("SGLANG_DISAGGREGATION_FORCE_QUERY_PREFILL_DP_RANK=1", (string)prefill.Json["error"]!["message"]!, StringComparison.Ordinal);
        Assert.InRange((await decode).Status, 400, 599);
        Assert.Contains("routed_dp_rank", (await decode).Body, StringComparison.Ordinal);
        await pair.Decode.WaitForFullLedgerAsync();
    }

    [Fact]
    public async Task A_batch_with_one_room_uses_the_rooms_that_follow()
    {
        await using TestPair pair = await TestPair.StartAsync();
        long room = TestPair.NextRoom();
        for (int i = 0; i < 8; i++) TestPair.NextRoom();

        (Reply prefill, Reply decode) = await pair.GenerateAsync("""{"text":["a","bc"],"sampling_params":{"max_new_tokens":3,"n":2}}""", room);

        Assert.Equal(200, prefill.Status);
        Assert.Equal(
            Enumerable.Range(0, 4).Select(i => (room + i).ToString()),
            decode.Json.AsArray().Select(one => (string)one!["meta_info"]!["bootstrap_room"]!));
    }

    [Theory]
    [InlineData("/v1/completions", """{"prompt":["a","bc"],"max_tokens":3}""", false)]
    [InlineData("/v1/completions", """{"prompt":["a","bc"],"max_tokens":3,"stream":true}""", true)]
    [InlineData("/v1/chat/completions", """{"messages":[{"role":"user","content":"a"}],"max_tokens":3,"n":2}""", false)]
    [InlineData("/v1/chat/completions", """{"messages":[{"role":"user","content":"a"}],"max_tokens":3,"n":2,"stream":true}""", true)]
    public async Task OpenAI_answers_name_the_ranks_and_the_room_of_each_choice_when_it_ends(string path, string body, bool isStream)
    {
        await using TestPair pair = await TestPair.StartAsync(TestWorker.Simulated with { DpSize = 2 }, TestWorker.Simulated with { DpSize = 2 });
        long room = TestPair.NextRoom();
        TestPair.NextRoom();

        Task<Reply> prefill = pair.Prefill.PostAsync(path, pair.Leg(body, room, ("routed_dp_rank", new JsonArray(0, 1))));
        Reply decode = await pair.Decode.PostAsync(path, pair.Leg(body, room,
            ("routed_dp_rank", new JsonArray(1, 0)), ("disagg_prefill_dp_rank", new JsonArray(0, null))));

        Assert.True(decode.Status == 200, decode.Body);
        Assert.Equal(200, (await prefill).Status);
        JsonNode[] choices = [.. (isStream ? decode.Events : [decode.Json]).SelectMany(one => one["choices"]!.AsArray()).Select(one => one!)];
        Assert.All(choices, choice => Assert.Equal(choice["finish_reason"] is not null, choice["sglext"] is not null));
        Assert.Equal(
            [
                $$"""{"dp_rank":1,"prefill_dp_rank":0,"rank_source":"hint","bootstrap_room":"{{room}}"}""",
                $$"""{"dp_rank":0,"prefill_dp_rank":1,"rank_source":"query","bootstrap_room":"{{room + 1}}"}""",
            ],
            choices.Where(choice => choice["sglext"] is not null).OrderBy(choice => (int)choice["index"]!).Select(choice => choice["sglext"]!.ToJsonString()));
    }

    [Fact]
    public async Task A_missing_room_is_refused_in_SGLangs_words()
    {
        await using TestPair pair = await TestPair.StartAsync();

        Reply reply = await pair.Decode.PostAsync("/generate", """{"text":"a"}""");

        Assert.Equal(400, reply.Status);
        Assert.StartsWith("Invalid request: Disaggregated request received without bootstrap room id.", (string)reply.Json["error"]!["message"]!, StringComparison.Ordinal);
    }

    [Fact]
    public async Task When_prefill_is_aborted_decode_ends_with_its_reason()
    {
        await using TestPair pair = await TestPair.StartAsync();
        const string Body = """{"text":"hello","rid":"pre","sampling_params":{"max_new_tokens":4}}""";
        long room = TestPair.NextRoom();
        Task<Reply> prefill = pair.Prefill.PostAsync("/generate", pair.Leg(Body, room));
        await TestWorker.UntilAsync(() => pair.Prefill.Worker.LiveRequests != 0);
        await pair.Prefill.PostAsync("/abort_request", """{"rid":"pre"}""");

        Reply decode = await pair.Decode.PostAsync("/generate", pair.Leg(Body, room));

        Assert.True(decode.Status >= 400, decode.Body);
        Assert.Equal("abort", (string)(await prefill).Json["meta_info"]!["finish_reason"]!["type"]!);
        await pair.Prefill.WaitForFullLedgerAsync();
    }

    [Theory]
    [InlineData("\"temperature\":-1", false)]
    [InlineData("\"temperature\":-1", true)]
    public async Task When_the_prefill_leg_is_refused_for_its_body_decode_hears_of_it_at_once(string bad, bool isDecodeFirst)
    {
        await using TestPair pair = await TestPair.StartAsync(TestWorker.Simulated with { DpSize = 2 });
        long room = TestPair.NextRoom();
        string good = pair.Leg("""{"text":"hello","sampling_params":{"max_new_tokens":4}}""", room);
        Task<Reply>? early = isDecodeFirst ? pair.Decode.PostAsync("/generate", good) : null;
        if (isDecodeFirst) await TestWorker.UntilAsync(() => pair.Decode.Worker.LiveRequests != 0);

        Reply prefill = await pair.Prefill.PostAsync("/generate", good.Replace("\"max_new_tokens\":4", bad, StringComparison.Ordinal));
        Reply decode = await (early ?? pair.Decode.PostAsync("/generate", good));

        Assert.Equal(400, prefill.Status);
        // It waited for nothing: every deadline of a room is longer than a test may last.
        Assert.True(decode.Status >= 400, decode.Body);
        Assert.Contains("temperature", decode.Body, StringComparison.Ordinal);
        await pair.Decode.WaitForFullLedgerAsync();
    }

    [Theory]
    [InlineData("tcp")]
    [InlineData("fake")]
    public async Task Health_generate_needs_no_peer(string backend)
    {
        await using TestPair pair = await TestPair.StartAsync(
            TestWorker.Simulated with { DpSize = 2, TransferBackend = backend }, TestWorker.Simulated with { DpSize = 2, TransferBackend = backend });

        Reply prefill = await pair.Prefill.GetAsync("/health_generate"), decode = await pair.Decode.GetAsync("/health_generate");

        Assert.True(prefill.Status == 200, prefill.Body);
        Assert.True(decode.Status == 200, decode.Body);
    }
}
