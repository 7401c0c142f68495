using System.Text;
using System.Text.Json.Nodes;
using Baton.Core.Engine;
using Baton.Serving.Workers;

namespace Baton.Serving.Tests.Http;

/// <summary>What clients see when something in the worker itself breaks.</summary>
public sealed class FaultTests
{
    private const string Whole = """{"text":"hello","sampling_params":{"max_new_tokens":60,"ignore_eos":true}}""";

    private static ServeOptions TwoRanks => TestWorker.Simulated with { DpSize = 2 };

    private static string On(int rank, string body) => $"{{\"routed_dp_rank\":{rank},{body[1..]}";

    [Fact]
    public async Task A_rank_whose_engine_breaks_ends_its_requests_and_the_others_go_on()
    {
        await using TestWorker worker = await TestWorker.StartAsync(TwoRanks, FaultyEngines.With(new EngineException("the device is gone")));

        Reply broken = await worker.PostAsync("/generate", On(0, Whole));

        Assert.Equal(500, broken.Status);
        Assert.Equal("engine_error", (string)broken.Json["error"]!["code"]!);
        Assert.Contains("the device is gone", broken.Body, StringComparison.Ordinal);
        Reply health = await worker.GetAsync("/health");
        Assert.Equal(503, health.Status);
        Assert.Contains("dp rank 0", health.Body, StringComparison.Ordinal);
        for (int i = 0; i < 4; i++)
        {
            Reply other = await worker.PostAsync("/generate", Whole);
            Assert.True(other.Status == 200, other.Body);
            Assert.Equal(1, (int)other.Json["meta_info"]!["dp_rank"]!);
        }
    }

    [Fact]
    public async Task An_explicit_rank_that_is_dead_is_refused_for_that_reason()
    {
        await using TestWorker worker = await TestWorker.StartAsync(TwoRanks, FaultyEngines.With(new EngineException("the device is gone")));
        await worker.PostAsync("/generate", On(0, Whole));

        Reply refused = await worker.PostAsync("/generate", On(0, Whole));

        Assert.Equal(503, refused.Status);
        Assert.Equal("rank_unavailable", (string)refused.Json["error"]!["code"]!);
        Assert.Contains("routed_dp_rank", refused.Body, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_bug_on_a_ranks_thread_ends_its_requests_too()
    {
        await using TestWorker worker = await TestWorker.StartAsync(TwoRanks, FaultyEngines.With(new InvalidOperationException("a slip of ours")));

        Reply broken = await worker.PostAsync("/generate", On(0, Whole));

        Assert.Equal(500, broken.Status);
        Assert.Equal("internal_error", (string)broken.Json["error"]!["code"]!);
        Assert.Equal(503, (await worker.GetAsync("/health")).Status);
        Assert.Equal(200, (await worker.PostAsync("/generate", Whole)).Status);
    }

    [Theory]
    [InlineData("/generate", """{"text":"hello","stream":true,"sampling_params":{"max_new_tokens":4000,"ignore_eos":true}}""")]
    [InlineData("/v1/completions", """{"prompt":"hello","stream":true,"max_tokens":4000,"ignore_eos":true}""")]
    public async Task A_stream_that_breaks_says_why_and_ends(string path, string body)
    {
        // The fortieth token breaks it: the engine does not go on to that before the client has seen the answer begin.
        using ManualResetEventSlim hasBegun = new();
        await using TestWorker worker = await TestWorker.StartAsync(TestWorker.Simulated, FaultyEngines.With(textFault: new InvalidOperationException("no such token"), goOn: hasBegun));
        using HttpRequestMessage request = new(HttpMethod.Post, path) { Content = new StringContent(body, Encoding.UTF8, "application/json") };

        using HttpResponseMessage response = await worker.Http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        hasBegun.Set();
        Reply reply = new((int)response.StatusCode, await response.Content.ReadAsStringAsync(), response.Headers);

        Assert.Equal(200, reply.Status);
        IReadOnlyList<JsonNode> events = reply.Events;
        Assert.Equal("internal_error", (string)events[^1]["error"]!["code"]!);
        Assert.Contains("no such token", (string)events[^1]["error"]!["message"]!, StringComparison.Ordinal);
        Assert.Null(events[0]["error"]);
        await worker.WaitForFullLedgerAsync();
    }

    [Fact]
    public async Task A_whole_answer_that_breaks_is_a_500()
    {
        await using TestWorker worker = await TestWorker.StartAsync(TestWorker.Simulated, FaultyEngines.With(textFault: new InvalidOperationException("no such token")));

        Reply reply = await worker.PostAsync("/generate", Whole);

        Assert.Equal(500, reply.Status);
        Assert.Equal("internal_error", (string)reply.Json["error"]!["code"]!);
        await worker.WaitForFullLedgerAsync();
    }
}
