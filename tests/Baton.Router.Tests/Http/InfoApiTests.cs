using System.Net;
using System.Text.Json;
using Baton.Bench.Conformance;

namespace Baton.Router.Tests.Http;

/// <summary>What workers are asked on a client's behalf.</summary>
public sealed class InfoApiTests
{
    private static Task Echo(ScriptedExchange exchange) => exchange.RespondAsync(200, $$"""{"asked":"{{exchange.Method}} {{exchange.Target}}","body":{{(exchange.Body.Length > 0 ? exchange.Text : "null")}}}""");

    private static JsonElement Json(string text) => JsonDocument.Parse(text).RootElement;

    [Theory]
    [InlineData("/server_info", "of prefill")]
    [InlineData("/get_server_info", "of prefill")]
    [InlineData("/model_info", "scripted")]
    [InlineData("/get_model_info", "scripted")]
    public async Task A_question_about_the_server_is_answered_by_a_prefill_worker(string path, string word)
    {
        await using ScriptedWorker prefill = new(Echo, """{"disaggregation_mode":"prefill","mark":"of prefill"}"""), decode = new(Echo);
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode]);
        prefill.Lines.Clear();

        using HttpResponseMessage answer = await harness.Client.GetAsync(path + "?verbose=1");
        string metrics = await harness.Client.GetStringAsync("/metrics");

        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        Assert.Contains($"GET {path}?verbose=1", prefill.Lines);
        Assert.Contains(word, await answer.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        Assert.Contains($"path=\"{path}\"", metrics, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("/tokenize")]
    [InlineData("/detokenize")]
    [InlineData("/v1/tokenize")]
    [InlineData("/v1/detokenize")]
    public async Task Tokenising_goes_to_a_prefill_worker_with_its_body(string path)
    {
        await using ScriptedWorker prefill = new(Echo), decode = new(e => e.RespondAsync(500, "{}"));
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode]);

        using HttpResponseMessage answer = await harness.PostAsync(path, """{"prompt":"a"}""");
        JsonElement echo = Json(await answer.Content.ReadAsStringAsync());

        Assert.Equal($"POST {path}", echo.GetProperty("asked").GetString());
        Assert.Equal("a", echo.GetProperty("body").GetProperty("prompt").GetString());
    }

    [Fact]
    public async Task The_models_are_those_of_all_prefill_workers_each_once()
    {
        static ScriptedWorker Serving(string model) => new(
            e => e.RespondAsync(200, $$"""{"object":"list","data":[{"id":"{{model}}","owned_by":"me","max_model_len":7}]}"""), $$"""{"served_model_name":"{{model}}"}""");
        await using ScriptedWorker one = Serving("one"), two = Serving("two"), again = Serving("two"), decode = new(Echo);
        await using RouterHarness harness = await RouterHarness.StartAsync([one, two, again], [decode]);

        JsonElement models = Json(await harness.Client.GetStringAsync("/v1/models")).GetProperty("data");

        Assert.Equal(["one", "two"], models.EnumerateArray().Select(m => m.GetProperty("id").GetString()!).Order());
        // As the worker described it.
        Assert.All(models.EnumerateArray(), m => Assert.Equal(7, m.GetProperty("max_model_len").GetInt32()));
    }

    [Theory]
    [InlineData(true, true, HttpStatusCode.OK, null)]
    [InlineData(false, true, HttpStatusCode.ServiceUnavailable, "prefill")]
    [InlineData(true, false, HttpStatusCode.ServiceUnavailable, "decode")]
    public async Task Health_by_a_token_needs_both_sides_of_a_pair_and_names_the_one_that_failed(bool prefillIsWell, bool decodeIsWell, HttpStatusCode status, string? guilty)
    {
        static Func<ScriptedExchange, Task> Worker(bool isWell) => e => e.Target == "/health_generate" ? e.RespondAsync(isWell ? 200 : 500, "{}") : e.RespondAsync(404, "{}");
        await using ScriptedWorker prefill = new(Worker(prefillIsWell)), decode = new(Worker(decodeIsWell));
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode]);

        using HttpResponseMessage answer = await harness.Client.GetAsync("/health_generate");

        Assert.Equal(status, answer.StatusCode);
        if (guilty is not null) Assert.StartsWith(guilty, answer.Headers.GetValues("x-baton-error-code").Single(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("/v1/models")]
    [InlineData("/server_info")]
    [InlineData("/health_generate")]
    public async Task Without_a_worker_that_could_answer_it_is_503_and_says_where_to_look(string path)
    {
        await using RouterHarness harness = await RouterHarness.StartAsync([], []);

        using HttpResponseMessage answer = await harness.Client.GetAsync(path);

        Assert.Equal(HttpStatusCode.ServiceUnavailable, answer.StatusCode);
        Assert.Contains("GET /workers", await answer.Content.ReadAsStringAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_path_that_is_not_served_is_501_and_hears_what_is()
    {
        await using RouterHarness harness = await RouterHarness.StartAsync([], []);

        using HttpResponseMessage answer = await harness.Client.GetAsync("/v1/embeddings");

        Assert.Equal((HttpStatusCode.NotImplemented, "not_implemented"), (answer.StatusCode, answer.Headers.GetValues("x-baton-error-code").Single()));
        Assert.Contains("/v1/chat/completions", await answer.Content.ReadAsStringAsync(), StringComparison.Ordinal);
    }
}
