using System.Text;
using System.Text.Json.Nodes;
using Baton.Core.Engine.Simulated;
using Baton.Serving.Output;
using Baton.Serving.Requests;
using Baton.Serving.Workers;

namespace Baton.Serving.Tests.Http;

public sealed class LifecycleTests
{
    /// <summary>A few milliseconds a token, so that there is something to interrupt.</summary>
    private static ServeOptions Slow => TestWorker.Simulated with { Simulated = new SimulatedOptions { Cost = new CostModel { FixedMs = 5 } } };

    private const string Long = """{"text":"a","rid":"long","stream":true,"sampling_params":{"max_new_tokens":4000,"ignore_eos":true}}""";

    [Fact]
    public async Task A_client_that_leaves_gives_its_cells_back()
    {
        await using TestWorker worker = await TestWorker.StartAsync(Slow);
        using (HttpRequestMessage request = new(HttpMethod.Post, "/generate") { Content = new StringContent(Long, Encoding.UTF8) })
        using (HttpResponseMessage response = await worker.Http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead))
        {
            Assert.Equal(1, worker.Worker.LiveRequests);
        }

        await worker.WaitForFullLedgerAsync();

        JsonNode load = (await worker.GetAsync("/v1/loads")).Json["loads"]![0]!;
        Assert.Equal(0, (int)load["num_used_tokens"]!);
        Assert.Equal(0, (int)load["num_running_reqs"]!);
    }

    [Fact]
    public async Task An_aborted_request_ends_with_what_it_has()
    {
        await using TestWorker worker = await TestWorker.StartAsync(Slow);
        Task<Reply> running = worker.PostAsync("/generate", Long.Replace("\"stream\":true,", "", StringComparison.Ordinal));
        await TestWorker.UntilAsync(() => worker.Worker.Ranks[0].Rank.Load.StepCount >= 3);

        Reply abort = await worker.PostAsync("/abort_request", """{"rid":"long"}""");

        Assert.Equal(200, abort.Status);
        Reply reply = await running;
        Assert.Equal(200, reply.Status);
        Assert.Equal("abort", (string)reply.Json["meta_info"]!["finish_reason"]!["type"]!);
        Assert.NotEmpty(reply.Json["output_ids"]!.AsArray());
        await worker.WaitForFullLedgerAsync();
    }

    [Fact]
    public async Task A_rid_that_is_running_is_refused()
    {
        await using TestWorker worker = await TestWorker.StartAsync(Slow);
        Task<Reply> running = worker.PostAsync("/generate", Long);
        await TestWorker.UntilAsync(() => worker.Worker.LiveRequests != 0);

        Reply second = await worker.PostAsync("/generate", Long);

        Assert.Equal(400, second.Status);
        Assert.Contains("rid", second.Body, StringComparison.Ordinal);
        await worker.PostAsync("/abort_request", """{"abort_all":true}""");
        await running;
    }

    [Fact]
    public async Task A_reader_that_does_not_read_holds_no_more_than_its_answer()
    {
        await using TestWorker worker = await TestWorker.StartAsync();
        PlannedSequence sequence = new()
        {
            Id = new("slow"),
            PromptTokens = [1, 2],
            Sampling = new() { MaxNewTokens = 50, IgnoreEos = true },
            Output = OutputOptions.Default,
        };

        using SequenceRun run = worker.Worker.Start(sequence, out _)!;
        await worker.WaitForFullLedgerAsync();

        Assert.Equal(50, run.WaitingTokens);
        while (await run.AdvanceAsync(CancellationToken.None))
        {
        }
        Assert.Equal(50, run.Answer.Tokens.Count);
    }

    [Fact]
    public async Task A_full_queue_is_a_503_that_may_be_retried()
    {
        await using TestWorker worker = await TestWorker.StartAsync(Slow with { MaxRunningRequests = 1, MaxQueuedRequests = 1 });
        Task<Reply>[] held = [.. Enumerable.Range(0, 2).Select(i => worker.PostAsync("/generate", Long.Replace("long", $"long{i}", StringComparison.Ordinal)))];
        await TestWorker.UntilAsync(() => worker.Worker.LiveRequests >= 2);

        Reply refused = await worker.PostAsync("/generate", """{"text":"a"}""");

        Assert.Equal(503, refused.Status);
        Assert.Equal("queue_full", (string)refused.Json["error"]!["code"]!);
        Assert.True((bool)refused.Json["error"]!["retryable"]!);
        await worker.PostAsync("/abort_request", """{"abort_all":true}""");
        await Task.WhenAll(held);
    }

    [Fact]
    public async Task Draining_refuses_newcomers_and_ends_the_rest_with_a_reason()
    {
        await using TestWorker worker = await TestWorker.StartAsync(Slow);
        Task<Reply> running = worker.PostAsync("/generate", Long.Replace("\"stream\":true,", "", StringComparison.Ordinal));
        await TestWorker.UntilAsync(() => worker.Worker.LiveRequests != 0);

        Task drain = worker.Worker.DrainAsync(TimeSpan.FromMilliseconds(50), CancellationToken.None);
        Reply newcomer = await worker.PostAsync("/generate", """{"text":"a"}""");
        Reply health = await worker.GetAsync("/health");

        Assert.Equal(503, newcomer.Status);
        Assert.Equal(503, health.Status);
        await drain;
        Reply ended = await running;
        Assert.Equal(503, ended.Status);
        Assert.Equal("shutting_down", (string)ended.Json["error"]!["code"]!);
    }

    [Fact]
    public async Task Flush_cache_waits_for_idle_when_asked_to()
    {
        await using TestWorker worker = await TestWorker.StartAsync(Slow);
        Assert.Equal(200, (await worker.PostAsync("/flush_cache", "")).Status);
        Task<Reply> running = worker.PostAsync("/generate", Long);
        await TestWorker.UntilAsync(() => worker.Worker.LiveRequests != 0);

        Reply busy = await worker.PostAsync("/flush_cache", "");
        Task<Reply> waiting = worker.PostAsync("/flush_cache?timeout=20", "");
        await worker.PostAsync("/abort_request", """{"abort_all":true}""");

        Assert.Equal(400, busy.Status);
        Assert.Equal(200, (await waiting).Status);
        await running;
    }
}
