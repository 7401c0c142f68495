using System.Text.Json.Nodes;
using Baton.Bench.Load;
using Baton.Bench.Runs;
using Baton.Bench.Tests.Scripted;
using Baton.Simulation.Clock;

namespace Baton.Bench.Tests.Runs;

public sealed class ServingRunTests
{
    [Fact]
    public void The_native_body_is_bench_servings()
    {
        VirtualTimeProvider time = new();
        ScriptedServer server = new(time, (_, _) => Events.Tokens(10, 10, 10));

        VirtualRun.Serve(time, server, VirtualRun.Settings(1) with { ExtraRequestBody = new JsonObject { ["priority"] = 3 }, WarmupRequests = 0 });

        JsonNode body = JsonNode.Parse(Assert.Single(server.Bodies))!;
        Assert.Equal(7, body["input_ids"]!.AsArray().Count);
        Assert.True(JsonNode.DeepEquals(JsonNode.Parse("""{"temperature":0.0,"max_new_tokens":3,"ignore_eos":true}"""), body["sampling_params"]));
        Assert.True(body["stream"]!.GetValue<bool>());
        Assert.Equal(3, body["priority"]!.GetValue<int>());
    }

    [Fact]
    public void The_openai_body_names_the_servers_own_model_and_asks_for_usage()
    {
        VirtualTimeProvider time = new();
        ScriptedServer server = new(
            time, (_, _) => Script.Stream(Piece.Text(5, Events.Completion("a", "\"length\"")), Piece.Text(5, Events.Usage(7, 1) + Events.Done)),
            path => path == "/v1/models" ? """{"data":[{"id":"demo"}]}""" : null);

        VirtualRun.Serve(time, server, VirtualRun.Settings(1, "vllm"));

        JsonNode body = JsonNode.Parse(server.Bodies[^1])!;
        Assert.Equal("demo", body["model"]!.GetValue<string>());
        Assert.Equal(7, body["prompt"]!.AsArray().Count);
        Assert.True(body["stream_options"]!["include_usage"]!.GetValue<bool>());
        // vLLM has no /server_info to ask.
        Assert.DoesNotContain("/server_info", server.Paths);
    }

    [Fact]
    public void Text_is_sized_by_what_the_server_counts_for_a_hundred_words()
    {
        VirtualTimeProvider time = new();
        // 7 prompt tokens for 100 words: 0.07 tokens a word, so 7 tokens are 100 words.
        ScriptedServer server = new(time, (_, _) => Events.Tokens(10));

        VirtualRun.Serve(time, server, VirtualRun.Settings(1) with { Dataset = new() { Name = "random", NumPrompts = 1, RandomInputLen = 7, RandomOutputLen = 1, RandomRangeRatio = 1 } });

        Assert.Equal(100, JsonNode.Parse(server.Bodies[^1])!["text"]!.GetValue<string>().Split(' ').Length);
    }

    [Fact]
    public void The_warm_up_is_short_and_outside_the_figures()
    {
        VirtualTimeProvider time = new();
        ScriptedServer server = new(time, (n, _) => Events.Tokens(n < 2 ? 5000 : 10), path => path == "/flush_cache" ? "Cache flushed." : null);

        BenchOutcome outcome = VirtualRun.Serve(time, server, VirtualRun.Settings(1) with
        {
            WarmupRequests = 2,
            FlushCache = true,
            Dataset = new() { Name = "random-ids", NumPrompts = 1, RandomOutputLen = 100, RandomRangeRatio = 1 },
        });

        Assert.Equal([32, 32, 100], server.Bodies.Select(body => JsonNode.Parse(body)!["sampling_params"]!["max_new_tokens"]!.GetValue<int>()));
        Assert.Equal(10, outcome.Figures.Ttft.Max);
        Assert.Equal(["/v1/models", "/generate", "/generate", "/flush_cache", "/generate", "/server_info", "/get_server_info"], server.Paths);
    }

    [Fact]
    public void The_warm_up_keeps_to_the_limit_of_requests_at_once()
    {
        VirtualTimeProvider time = new();
        ScriptedServer server = new(time, (_, _) => Events.Tokens(100));

        BenchOutcome outcome = VirtualRun.Serve(time, server, VirtualRun.Settings(1) with { WarmupRequests = 5, MaxConcurrency = 2 });

        // Three turns of 100 ms, the pause of 1 s, and the request itself.
        Assert.Equal(1400, time.Now.TotalMilliseconds);
        Assert.Equal(1, outcome.Figures.Completed);
    }

    [Fact]
    public void Prompts_with_a_shared_prefix_are_warmed_up_with_it_alone()
    {
        VirtualTimeProvider time = new();
        ScriptedServer server = new(time, (_, _) => Events.Tokens(10));

        VirtualRun.Serve(time, server, VirtualRun.Settings(1) with { Dataset = new() { Name = "generated-shared-prefix", GspNumGroups = 1, GspPromptsPerGroup = 1, GspSystemPromptLen = 20, GspQuestionLen = 5 } });

        // The first one measures how many tokens a word has.
        string[] texts = [.. server.Bodies.Select(body => JsonNode.Parse(body)!["text"]!.GetValue<string>())];
        Assert.Equal(3, texts.Length);
        Assert.StartsWith($"{texts[1]}\n\n", texts[2], StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("sglang", "/flush_cache", "Cache flushed.", true)]
    [InlineData("sglang", "/flush_cache", """{"success":true}""", true)]
    [InlineData("sglang", "/flush_cache", """{"success":false}""", false)] // the router: a worker did not
    [InlineData("sglang", "/flush_cache", null, false)]
    [InlineData("vllm", "/reset_prefix_cache", "", true)]
    [InlineData("vllm", "/flush_cache", "ok", false)]
    public void A_cache_that_was_not_flushed_ends_the_run(string backend, string path, string? answer, bool isFlushed)
    {
        VirtualTimeProvider time = new();
        ScriptedServer server = new(time, (_, _) => backend == "vllm" ? Script.Stream(Piece.Text(5, Events.Completion("a") + Events.Done)) : Events.Tokens(10), asked => asked == path ? answer : null);
        BenchSettings settings = VirtualRun.Settings(1, backend) with { FlushCache = true, Model = "m" };

        if (isFlushed) Assert.Equal(1, VirtualRun.Serve(time, server, settings).Figures.Completed);
        else Assert.Contains("--flush-cache", Assert.Throws<BenchException>(() => VirtualRun.Serve(time, server, settings)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(4, true)]
    [InlineData(5, false)]
    public void A_server_that_starts_is_waited_for(int refusals, bool isReady)
    {
        VirtualTimeProvider time = new();
        int asked = 0;
        ScriptedServer server = new(time, (_, _) => Events.Tokens(10), path => path == "/v1/models" && asked++ < refusals ? throw new HttpRequestException("refused") : null);
        BenchSettings settings = VirtualRun.Settings(1) with { WarmupRequests = 0, ReadyTimeout = TimeSpan.FromSeconds(4) };

        if (isReady) Assert.Equal(1, VirtualRun.Serve(time, server, settings).Figures.Completed);
        else Assert.Contains("not ready within 4 s", Assert.Throws<BenchException>(() => VirtualRun.Serve(time, server, settings)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void An_older_servers_info_is_found_too()
    {
        VirtualTimeProvider time = new();
        ScriptedServer server = new(time, (_, _) => Events.Tokens(10), path => path == "/get_server_info" ? """{"version":"0.4"}""" : null);

        BenchOutcome outcome = VirtualRun.Serve(time, server, VirtualRun.Settings(1));

        Assert.Equal("0.4", outcome.ServerInfo!["version"]!.GetValue<string>());
    }

    [Fact]
    public void Sampling_and_headers_go_with_each_request()
    {
        VirtualTimeProvider time = new();
        ScriptedServer server = new(time, (_, _) => Events.Tokens(10));

        VirtualRun.Serve(time, server, VirtualRun.Settings(1) with { Temperature = 0.5, TopP = 0.9, Authorization = "Bearer k", Headers = [new("X-Tenant", "a b")] });

        JsonNode sampling = JsonNode.Parse(server.Bodies[^1])!["sampling_params"]!;
        Assert.Equal((0.5, 0.9), ((double)sampling["temperature"]!, (double)sampling["top_p"]!));
        Assert.All(server.Headers, headers => Assert.Equal(("Bearer k", "a b"), (headers["Authorization"], headers["X-Tenant"])));
    }

    [Fact]
    public void A_warm_up_that_fails_as_a_whole_ends_the_run_with_the_servers_words()
    {
        VirtualTimeProvider time = new();
        ScriptedServer server = new(time, (_, _) => Script.Stream(Piece.Text(1, "no such model")) with { Status = System.Net.HttpStatusCode.NotFound });

        BenchException wrong = Assert.Throws<BenchException>(() => VirtualRun.Serve(time, server, VirtualRun.Settings(1)));

        Assert.Contains("404", wrong.Message, StringComparison.Ordinal);
        Assert.Contains("no such model", wrong.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_accept_length_of_the_first_decode_worker_is_reported()
    {
        VirtualTimeProvider time = new();
        ScriptedServer server = new(
            time, (_, _) => Events.Tokens(10),
            path => path == "/server_info" ? """{"prefill":[],"decode":[{"internal_states":[{"avg_spec_accept_length":2.5}]}]}""" : null);

        BenchOutcome outcome = VirtualRun.Serve(time, server, VirtualRun.Settings(1));

        Assert.Equal(2.5, outcome.Header.AcceptLength);
    }

    [Fact]
    public void Profiling_starts_and_stops_around_the_run()
    {
        VirtualTimeProvider time = new();
        ScriptedServer server = new(time, (_, _) => Events.Tokens(10), path => path.EndsWith("profile", StringComparison.Ordinal) ? "ok" : null);

        VirtualRun.Serve(time, server, VirtualRun.Settings(1) with { WarmupRequests = 0, ProfileUrls = [new Uri("http://p.test/")] });

        Assert.Equal(["/v1/models", "/start_profile", "/generate", "/stop_profile", "/server_info", "/get_server_info"], server.Paths);
    }

    [Fact]
    public void An_unknown_backend_is_named()
    {
        BenchException wrong = Assert.Throws<BenchException>(() => BenchBackend.Parse("tgi"));

        Assert.Contains("sglang-oai-chat", wrong.Message, StringComparison.Ordinal);
    }
}
