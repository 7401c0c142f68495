using System.Net;
using System.Text.Json;
using Baton.Bench.Conformance;
using Baton.Core.Ids;
using Baton.Router.Trouble;
using Baton.Router.Workers;

namespace Baton.Router.Tests.Http;

/// <summary>What the conformance list cannot see from outside.</summary>
public sealed class InsideTests
{
    private static readonly RouterOptions Once = new() { Retry = new RetryOptions { IsEnabled = false } };

    private static Task Ok(ScriptedExchange exchange) => exchange.RespondAsync(200, """{"text":"hello","meta_info":{}}""");

    private static JsonElement Json(string text) => JsonDocument.Parse(text).RootElement;

    private static async Task<JsonElement> ErrorOf(HttpResponseMessage answer) => Json(await answer.Content.ReadAsStringAsync()).GetProperty("error");

    [Fact]
    public async Task A_prefill_that_cannot_bear_a_cut_is_left_to_finish()
    {
        TaskCompletionSource decodeClosed = new(TaskCreationOptions.RunContinuationsAsynchronously), go = new(TaskCreationOptions.RunContinuationsAsynchronously);
        await using ScriptedWorker prefill = new(async e =>
        {
            await go.Task;
            await Ok(e);
        });
        await using ScriptedWorker decode = new(e => HangThen(e, decodeClosed));
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode]);
        using CancellationTokenSource leave = new();

        Task<HttpResponseMessage> asked = harness.PostAsync("/generate", """{"text":"a"}""", ct: leave.Token);
        await RouterHarness.Until(() => !prefill.Seen.IsEmpty && !decode.Seen.IsEmpty, "both legs arrived");
        await leave.CancelAsync();
        await decodeClosed.Task.WaitAsync(RouterHarness.Patience);
        await RouterHarness.Until(() => harness.CreditsOut == 1, "decode's credit is back and prefill's is not");
        bool prefillRuns = harness.Server.Router.Fleet.Now.Prefill[0].InFlight == 1;
        go.SetResult();

        Assert.True(prefillRuns);
        await RouterHarness.Until(() => harness.CreditsOut == 0, "prefill's credit is back too");
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => asked);
    }

    [Fact]
    public void An_ipv6_prefill_keeps_its_brackets_in_bootstrap_host()
    {
        Worker worker = new("w1", new WorkerSpec { Url = WorkerSpec.ParseUrl("http://[::1]:30000"), Role = WorkerRole.Prefill });

        Assert.Equal(("[::1]", "http://[::1]:30000"), (worker.BootstrapHost, worker.Url));
    }

    [Theory]
    [InlineData(VerifyMode.Warn, HttpStatusCode.OK)]
    [InlineData(VerifyMode.Fail, HttpStatusCode.InternalServerError)]
    public async Task An_answer_from_another_rank_is_counted_or_refused(VerifyMode mode, HttpStatusCode expected)
    {
        await using ScriptedWorker prefill = new(Ok), decode = new(e => e.RespondAsync(200, """{"text":"a","meta_info":{"dp_rank": 7}}"""), """{"dp_size":2}""");
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode], Once with { VerifyDpRank = mode });

        using HttpResponseMessage answer = await harness.PostAsync("/generate", """{"text":"a"}""");
        string metrics = await harness.Client.GetStringAsync("/metrics");

        Assert.Equal(expected, answer.StatusCode);
        if (mode == VerifyMode.Fail) Assert.Equal("dp_rank_mismatch", (await ErrorOf(answer)).GetProperty("code").GetString());
        Assert.Contains("baton_dp_rank_mismatch_total 1", metrics, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{"error":{"message":"text: must be a string.","type":"invalid_request_error","code":"invalid_request","param":"text"}}""", "text", "invalid_request", "invalid_request_error")]
    [InlineData("""{"object":"error","message":"text: must be a string.","type":"BadRequestError","param":null,"code":400}""", null, "400", "BadRequestError")]
    [InlineData("""{"detail":"text: must be a string."}""", null, null, null)]
    public async Task What_a_worker_says_of_a_bad_request_reaches_the_client(string words, string? param, string? code, string? type)
    {
        await using ScriptedWorker prefill = new(e => e.RespondAsync(400, words)), decode = new(e => e.HangAsync());
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode]);

        using HttpResponseMessage answer = await harness.PostAsync("/generate", """{"text":5}""");
        JsonElement error = await ErrorOf(answer);

        Assert.Equal((HttpStatusCode.BadRequest, "prefill_bad_request"), (answer.StatusCode, error.GetProperty("code").GetString()));
        Assert.EndsWith("text: must be a string.", error.GetProperty("message").GetString(), StringComparison.Ordinal);
        Assert.Equal((param, code, type), (error.GetProperty("param").GetString(), Of("worker_code"), Of("worker_type")));

        string? Of(string name) => error.TryGetProperty(name, out JsonElement value) ? value.GetString() : null;
    }

    [Fact]
    public void A_rank_is_no_part_of_a_workers_address() => Assert.Throws<FormatException>(() => WorkerSpec.ParseUrl("http://host@3:8080"));

    [Fact]
    public void A_mistyped_flag_is_no_worker() => Assert.Throws<FormatException>(() => WorkerSpec.ParseUrl("--expose-rout"));

    private static async Task HangThen(ScriptedExchange exchange, TaskCompletionSource closed)
    {
        await exchange.HangAsync();
        closed.TrySetResult();
    }
}
