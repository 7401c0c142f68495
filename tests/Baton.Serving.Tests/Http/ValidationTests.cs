using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging;

namespace Baton.Serving.Tests.Http;

/// <summary>Every bad field is a 400 that names it, and nothing is dispatched.</summary>
public sealed class ValidationTests : IAsyncLifetime
{
    private TestWorker _worker = null!;

    public async ValueTask InitializeAsync() => _worker = await TestWorker.StartAsync(TestWorker.Simulated with { DpSize = 2 });

    public ValueTask DisposeAsync() => _worker.DisposeAsync();

    public static TheoryData<string, string?> BadGenerates => new()
    {
        { "[]", null },
        { "{", null },
        { "{}", "input_ids" },
        { """{"text":"a","input_ids":[1]}""", "text" },
        { """{"text":""}""", "text" },
        { """{"text":5}""", "text" },
        { """{"text":[]}""", "text" },
        { """{"text":["a",3]}""", "text[1]" },
        { """{"text":"\ud800"}""", "text" },
        { """{"input_ids":[]}""", "input_ids" },
        { """{"input_ids":[1,-1]}""", "input_ids[1]" },
        { """{"input_ids":[1,257]}""", "input_ids[1]" },
        { """{"input_ids":[[1],[]]}""", "input_ids[1]" },
        { """{"input_ids":[[1],2]}""", "input_ids[1]" },
        { """{"text":"a","input_embeds":[[0.5]]}""", "input_embeds" },
        { """{"text":"a","image_data":"x"}""", "image_data" },
        { """{"text":"a","stream":"yes"}""", "stream" },
        { """{"text":"a","rid":5}""", "rid" },
        { """{"text":["a","b"],"rid":["x"]}""", "rid" },
        { """{"text":["a","b"],"rid":["x","x"]}""", "rid" },
        { """{"text":"a","routed_dp_rank":2}""", "routed_dp_rank" },
        { """{"text":"a","routed_dp_rank":-1}""", "routed_dp_rank" },
        { """{"text":"a","routed_dp_rank":"0"}""", "routed_dp_rank" },
        { """{"text":["a","b","c"],"routed_dp_rank":[0,1]}""", "routed_dp_rank" },
        { """{"text":"a","data_parallel_rank":7}""", "data_parallel_rank" },
        { """{"text":"a","return_logprob":3}""", "return_logprob" },
        { """{"text":"a","return_logprob":true,"top_logprobs_num":129}""", "top_logprobs_num" },
        { """{"text":"a","return_logprob":true,"logprob_start_len":1}""", "logprob_start_len" },
        { """{"text":"a","sampling_params":5}""", "sampling_params" },
        { """{"text":"a","sampling_params":{"temperature":-0.1}}""", "sampling_params.temperature" },
        { """{"text":"a","sampling_params":{"temperature":"hot"}}""", "sampling_params.temperature" },
        { """{"text":"a","sampling_params":{"temperature":1e999}}""", "sampling_params.temperature" },
        { """{"text":"a","sampling_params":{"top_p":0}}""", "sampling_params.top_p" },
        { """{"text":"a","sampling_params":{"top_p":1.01}}""", "sampling_params.top_p" },
        { """{"text":"a","sampling_params":{"top_k":-2}}""", "sampling_params.top_k" },
        { """{"text":"a","sampling_params":{"top_k":1.5}}""", "sampling_params.top_k" },
        { """{"text":"a","sampling_params":{"min_p":2}}""", "sampling_params.min_p" },
        { """{"text":"a","sampling_params":{"frequency_penalty":2.1}}""", "sampling_params.frequency_penalty" },
        { """{"text":"a","sampling_params":{"presence_penalty":-2.1}}""", "sampling_params.presence_penalty" },
        { """{"text":"a","sampling_params":{"repetition_penalty":0}}""", "sampling_params.repetition_penalty" },
        { """{"text":"a","sampling_params":{"max_new_tokens":-1}}""", "sampling_params.max_new_tokens" },
        { """{"text":"a","sampling_params":{"max_new_tokens":99999999999}}""", "sampling_params.max_new_tokens" },
        { """{"text":"a","sampling_params":{"max_new_tokens":3,"min_new_tokens":4}}""", "sampling_params.min_new_tokens" },
        { """{"text":"a","sampling_params":{"n":0}}""", "sampling_params.n" },
        { """{"text":"a","sampling_params":{"n":257}}""", "sampling_params.n" },
        { """{"text":"a","sampling_params":{"stop":7}}""", "sampling_params.stop" },
        { """{"text":"a","sampling_params":{"stop":["x",""]}}""", "sampling_params.stop[1]" },
        { """{"text":"a","sampling_params":{"stop_token_ids":[257]}}""", "sampling_params.stop_token_ids[0]" },
        { """{"text":"a","sampling_params":{"ignore_eos":1}}""", "sampling_params.ignore_eos" },
        { """{"text":"a","sampling_params":{"sampling_seed":"x"}}""", "sampling_params.sampling_seed" },
        { """{"text":"a","sampling_params":{"logit_bias":{"x":1}}}""", "sampling_params.logit_bias.x" },
        { """{"text":"a","sampling_params":{"logit_bias":{"1":"y"}}}""", "sampling_params.logit_bias.1" },
        { """{"text":"a","sampling_params":{"regex":"a+"}}""", "sampling_params.regex" },
        { """{"text":"a","sampling_params":{"json_schema":"{}"}}""", "sampling_params.json_schema" },
        { """{"text":"a","sampling_params":{"ebnf":"root ::= \"x\""}}""", "sampling_params.ebnf" },
        { """{"text":["a","b"],"sampling_params":[{"n":1},{"n":2}]}""", "sampling_params" },
    };

    public static TheoryData<string, string> BadChats => new()
    {
        { """{}""", "messages" },
        { """{"messages":[]}""", "messages" },
        { """{"messages":[5]}""", "messages[0]" },
        { """{"messages":[{"content":"a"}]}""", "messages[0].role" },
        { """{"messages":[{"role":"wizard","content":"a"}]}""", "messages" },
        { """{"messages":[{"role":"user","content":5}]}""", "messages[0].content" },
        { """{"messages":[{"role":"user","content":[{"type":"image_url"}]}]}""", "messages[0].content[0].type" },
        { """{"messages":[{"role":"user","content":"a"}],"tools":[{"type":"function"}]}""", "tools" },
        { """{"messages":[{"role":"user","content":"a"}],"top_logprobs":2}""", "top_logprobs" },
        { """{"messages":[{"role":"user","content":"a"}],"logprobs":true,"top_logprobs":21}""", "top_logprobs" },
        { """{"messages":[{"role":"user","content":"a"}],"max_tokens":-1}""", "max_tokens" },
        { """{"messages":[{"role":"user","content":"a"}],"response_format":{"type":"json_schema"}}""", "response_format.type" },
        { """{"messages":[{"role":"user","content":"a"}],"response_format":{}}""", "response_format.type" },
        { """{"messages":[{"role":"user","content":"a"}],"stream_options":1}""", "stream_options" },
        { """{"messages":[{"role":"user","content":"a"}],"logit_bias":{"1":101}}""", "logit_bias.1" },
    };

    public static TheoryData<string, string> BadCompletions => new()
    {
        { """{}""", "prompt" },
        { """{"prompt":""}""", "prompt" },
        { """{"prompt":{"a":1}}""", "prompt" },
        { """{"prompt":[1,2,999]}""", "prompt[2]" },
        { """{"prompt":"a","suffix":"b"}""", "suffix" },
        { """{"prompt":"a","logprobs":-1}""", "logprobs" },
        { """{"prompt":"a","n":2,"best_of":3}""", "best_of" },
    };

    [Theory]
    [MemberData(nameof(BadGenerates))]
    public Task A_bad_generate_is_refused_by_name(string body, string? field) => RefusesAsync("/generate", body, field);

    [Theory]
    [MemberData(nameof(BadChats))]
    public Task A_bad_chat_is_refused_by_name(string body, string field) => RefusesAsync("/v1/chat/completions", body, field);

    [Theory]
    [MemberData(nameof(BadCompletions))]
    public Task A_bad_completion_is_refused_by_name(string body, string field) => RefusesAsync("/v1/completions", body, field);

    [Fact]
    public async Task A_rank_out_of_range_is_told_in_SGLangs_words()
    {
        Reply reply = await _worker.PostAsync("/generate", """{"text":"a","routed_dp_rank":2}""");

        Assert.Equal("routed_dp_rank=2 out of range [0, 2)", (string)reply.Json["error"]!["message"]!);
    }

    [Fact]
    public async Task The_header_goes_before_the_body_and_must_be_an_integer()
    {
        Reply pinned = await _worker.PostAsync("/generate", """{"text":"a","routed_dp_rank":0,"sampling_params":{"max_new_tokens":1}}""", ("x-data-parallel-rank", "1"));
        Reply bad = await _worker.PostAsync("/generate", """{"text":"a"}""", ("X-Data-Parallel-Rank", "one"));

        Assert.Equal(1, (int)pinned.Json["meta_info"]!["dp_rank"]!);
        Assert.Equal(400, bad.Status);
        Assert.Equal("Invalid X-Data-Parallel-Rank header: must be an integer, got 'one'", (string)bad.Json["error"]!["message"]!);
    }

    public static TheoryData<string, string> Routes => new()
    {
        { "/generate", """{"text":"a","RANKS"}""" },
        { "/v1/completions", """{"prompt":"a","max_tokens":1,"RANKS"}""" },
        { "/v1/chat/completions", """{"messages":[{"role":"user","content":"a"}],"max_tokens":1,"RANKS"}""" },
    };

    [Theory]
    [MemberData(nameof(Routes))]
    public async Task On_every_route_the_header_goes_before_the_body_and_the_field_before_its_old_name(string path, string body)
    {
        string With(string ranks) => body.Replace("\"RANKS\"", ranks, StringComparison.Ordinal);

        Reply header = await _worker.PostAsync(path, With("\"routed_dp_rank\":0"), ("x-data-parallel-rank", "1"));
        Reply old = await _worker.PostAsync(path, With("\"data_parallel_rank\":1"));
        Reply both = await _worker.PostAsync(path, With("\"data_parallel_rank\":1,\"routed_dp_rank\":0"));
        Reply outside = await _worker.PostAsync(path, With("\"routed_dp_rank\":-1"));
        Reply oldOutside = await _worker.PostAsync(path, With("\"data_parallel_rank\":2"));
        Reply headerOutside = await _worker.PostAsync(path, With("\"routed_dp_rank\":0"), ("X-Data-Parallel-Rank", "2"));

        Assert.Equal([200, 200, 200, 400, 400, 400], new[] { header, old, both, outside, oldOutside, headerOutside }.Select(reply => reply.Status));
        Assert.Equal([1, 1, 0], new[] { header, old, both }.Select(RankOf));
        Assert.Equal("true", old.Headers.GetValues("Deprecation").Single());
        Assert.False(header.Headers.Contains("Deprecation"));
        Assert.Equal(
            ["routed_dp_rank=-1 out of range [0, 2)", "data_parallel_rank=2 out of range [0, 2)", "X-Data-Parallel-Rank=2 out of range [0, 2)"],
            new[] { outside, oldOutside, headerOutside }.Select(reply => (string)reply.Json["error"]!["message"]!));
    }

    private static int RankOf(Reply reply) => (int)(reply.Json["meta_info"] ?? reply.Json["choices"]![0]!["sglext"])!["dp_rank"]!;

    [Fact]
    public async Task The_deprecated_rank_still_works_and_says_so()
    {
        Reply old = await _worker.PostAsync("/generate", """{"text":"a","data_parallel_rank":1,"sampling_params":{"max_new_tokens":1}}""");
        Reply both = await _worker.PostAsync("/generate", """{"text":"a","data_parallel_rank":1,"routed_dp_rank":0,"sampling_params":{"max_new_tokens":1}}""");

        Assert.Equal(1, (int)old.Json["meta_info"]!["dp_rank"]!);
        Assert.Equal("true", old.Headers.GetValues("Deprecation").Single());
        Assert.Equal(0, (int)both.Json["meta_info"]!["dp_rank"]!);
    }

    [Fact]
    public async Task The_log_warns_of_the_deprecated_rank_and_of_two_that_differ()
    {
        using LogLines log = new();
        await using TestWorker worker = await TestWorker.StartAsync(TestWorker.Simulated with { DpSize = 2 }, log);

        await worker.PostAsync("/generate", """{"text":"a","data_parallel_rank":1,"sampling_params":{"max_new_tokens":1}}""");
        await worker.PostAsync("/v1/completions", """{"prompt":"a","data_parallel_rank":1,"routed_dp_rank":0,"max_tokens":1}""");

        Assert.Equal(
            ["data_parallel_rank is deprecated; use routed_dp_rank", "data_parallel_rank is deprecated; use routed_dp_rank; both were given and differ, and routed_dp_rank counts"],
            // A web server that stood still warns of that as well.
            log.Of(LogLevel.Warning).Where(line => line.StartsWith("data_parallel_rank", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task Unknown_fields_are_ignored()
    {
        Reply reply = await _worker.PostAsync("/generate", """{"text":"a","no_such_field":{"x":1},"sampling_params":{"max_new_tokens":1,"whatever":2}}""");

        Assert.Equal(200, reply.Status);
    }

    [Fact]
    public async Task A_prompt_that_never_fits_is_a_400_with_its_own_code()
    {
        Reply reply = await _worker.PostAsync("/generate", $$"""{"text":"{{new string('x', 5000)}}"}""");

        Assert.Equal(400, reply.Status);
        Assert.Equal("prompt_too_long", (string)reply.Json["error"]!["code"]!);
    }

    private async Task RefusesAsync(string path, string body, string? field)
    {
        Reply reply = await _worker.PostAsync(path, body);

        Assert.True(reply.Status == 400, $"{reply.Status}: {reply.Body}");
        JsonNode error = reply.Json["error"]!;
        Assert.Equal(field, (string?)error["param"]);
        Assert.Equal("invalid_request_error", (string)error["type"]!);
        if (field is not null && field != "text" && field != "input_ids") Assert.Contains(field, (string)error["message"]!, StringComparison.Ordinal);
        Assert.Equal(0, _worker.Worker.LiveRequests);
        Assert.All(_worker.Worker.Ranks, rank => Assert.Equal(0, rank.Rank.Load.StepCount));
    }
}
