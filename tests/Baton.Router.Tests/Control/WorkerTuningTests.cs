using System.Net;
using System.Text.Json;
using Baton.Bench.Conformance;
using Baton.Core.Ids;
using Baton.Router.Control;
using Baton.Router.Legs;
using Baton.Router.Tests.Http;
using Baton.Router.Trouble;
using Baton.Router.Workers;
using Baton.Simulation.Clock;
using Microsoft.Extensions.Logging.Abstractions;

namespace Baton.Router.Tests.Control;

/// <summary>What a registration's <c>health</c> and <c>resilience</c> change for one worker.</summary>
public sealed class WorkerTuningTests
{
    private static Task Ok(ScriptedExchange exchange) => exchange.RespondAsync(200, """{"text":"hello","meta_info":{}}""");

    private static Task Broken(ScriptedExchange exchange) => exchange.RespondAsync(500, "{}");

    private static RouterOptions Fast => new() { Retry = new RetryOptions { InitialBackoff = TimeSpan.Zero } };

    private static async Task<Worker> RegisterAsync(RouterHarness harness, ScriptedWorker worker, string more)
    {
        using HttpResponseMessage added = await harness.PostAsync("/workers", $$"""{"url":"{{worker.Url}}","worker_type":"regular",{{more}}}""");
        Assert.Equal(HttpStatusCode.Accepted, added.StatusCode);
        await RouterHarness.Until(() => harness.Server.Router.Fleet.Now.All.All(w => w.Status == WorkerStatus.Ready), "the worker is ready");
        return harness.Server.Router.Fleet.Now.All.Single(w => w.Url == worker.Url);
    }

    [Fact]
    public async Task A_registration_with_every_field_is_taken_over_and_patched_field_by_field()
    {
        await using ScriptedWorker worker = new(Ok);
        await using RouterHarness harness = await RouterHarness.StartAsync([], []);

        Worker registered = await RegisterAsync(harness, worker, """
            "bootstrap_port":8998,"models":["qwen3"],"api_key":"k","priority":50,"cost":1.0,"labels":{"zone":"a"},"dp_size":1,
            "health":{"check_interval_secs":7,"drain_settle_secs":0.5,"more":1},"resilience":{"max_retries":3,"cb_failure_threshold":2,"disable_retry":true}
            """);
        WorkerTuning first = registered.Spec.Tuning;
        using HttpRequestMessage patch = new(HttpMethod.Patch, $"/workers/{registered.Id}") { Content = new StringContent("""{"resilience":{"disable_retry":false,"cb_failure_threshold":4}}""") };
        (await harness.Client.SendAsync(patch)).Dispose();

        WorkerTuning expected = new() { HealthCheckInterval = TimeSpan.FromSeconds(7), DrainSettle = TimeSpan.FromSeconds(0.5), MaxAttempts = 3, BreakerThreshold = 2, IsRetryDisabled = true };
        Assert.Equal(expected, first);
        Assert.Equal(expected with { BreakerThreshold = 4, IsRetryDisabled = false }, registered.Spec.Tuning);
        Assert.Equal(4, registered.Ranks[0].Breaker.FailureThreshold);
    }

    [Theory]
    [InlineData("""{"url":"http://h:1","health":{"check_interval_secs":0}}""", "health.check_interval_secs")]
    [InlineData("""{"url":"http://h:1","health":{"drain_settle_secs":-1}}""", "health.drain_settle_secs")]
    [InlineData("""{"url":"http://h:1","health":{"check_interval_secs":"soon"}}""", "health.check_interval_secs")]
    [InlineData("""{"url":"http://h:1","health":5}""", "health")]
    [InlineData("""{"url":"http://h:1","resilience":{"max_retries":0}}""", "resilience.max_retries")]
    [InlineData("""{"url":"http://h:1","resilience":{"cb_failure_threshold":-1}}""", "resilience.cb_failure_threshold")]
    [InlineData("""{"url":"http://h:1","resilience":{"disable_retry":"no"}}""", "resilience.disable_retry")]
    public async Task A_field_that_makes_no_sense_is_400_by_name(string body, string field)
    {
        await using RouterHarness harness = await RouterHarness.StartAsync([], []);

        using HttpResponseMessage answer = await harness.PostAsync("/workers", body);

        Assert.Equal(HttpStatusCode.BadRequest, answer.StatusCode);
        Assert.Contains(field, JsonDocument.Parse(await answer.Content.ReadAsStringAsync()).RootElement.GetProperty("error").GetString(), StringComparison.Ordinal);
        Assert.Empty(harness.Server.Router.Fleet.Now.All);
    }

    [Theory]
    [InlineData("\"resilience\":{\"disable_retry\":true}", 1)]
    [InlineData("\"resilience\":{\"max_retries\":2}", 2)]
    [InlineData("\"resilience\":{}", 3)]
    public async Task A_request_that_failed_on_a_worker_is_tried_as_often_as_that_worker_says(string resilience, int attempts)
    {
        await using ScriptedWorker worker = new(Broken);
        await using RouterHarness harness = await RouterHarness.StartAsync([], [], Fast with { Retry = Fast.Retry with { MaxAttempts = 3 } });
        await RegisterAsync(harness, worker, resilience);

        (await harness.PostAsync("/generate", """{"text":"a"}""")).Dispose();

        Assert.Equal(attempts, worker.Seen.Count);
    }

    [Fact]
    public async Task A_worker_with_a_threshold_of_its_own_has_its_breaker_open_at_that_and_not_before()
    {
        await using ScriptedWorker worker = new(Broken);
        await using RouterHarness harness = await RouterHarness.StartAsync([], [], Fast with { Retry = new RetryOptions { IsEnabled = false } });
        Worker registered = await RegisterAsync(harness, worker, """ "resilience":{"cb_failure_threshold":2} """);

        (await harness.PostAsync("/generate", """{"text":"a"}""")).Dispose();
        BreakerState one = registered.Ranks[0].Breaker.State;
        (await harness.PostAsync("/generate", """{"text":"a"}""")).Dispose();

        Assert.Equal((BreakerState.Closed, BreakerState.Open), (one, registered.Ranks[0].Breaker.State));
    }

    [Fact]
    public async Task A_removed_worker_with_a_time_to_settle_stays_as_draining_for_that_long()
    {
        VirtualTimeProvider time = new();
        RouterOptions options = new();
        PdRouter router = new(options, new WorkerFleet(), seed: 1);
        using RouterMetrics metrics = new(router, () => 0, time);
        using HttpLegTransport http = new(options.ConnectTimeout, time);
        FleetControl control = new(router, http, options, metrics, time, NullLogger<FleetControl>.Instance);
        Worker worker = control.Add(new WorkerSpec { Url = new Uri("http://h:1"), Role = WorkerRole.Decode, Tuning = new WorkerTuning { DrainSettle = TimeSpan.FromSeconds(5) } })!;

        Task removing = control.RemoveAsync(worker, drain: true, CancellationToken.None);
        time.Advance(TimeSpan.FromSeconds(4.9));
        (WorkerStatus, int) before = (worker.Status, router.Fleet.Now.All.Count);
        time.Advance(TimeSpan.FromSeconds(0.2));
        await removing;

        Assert.Equal((WorkerStatus.Draining, 1), before);
        Assert.Empty(router.Fleet.Now.All);
    }

    [Fact]
    public async Task A_ready_worker_is_checked_as_often_as_it_says()
    {
        await using ScriptedWorker often = new(Ok), seldom = new(Ok);
        await using RouterHarness harness = await RouterHarness.StartAsync([], [], new RouterOptions { HealthCheckInterval = TimeSpan.FromHours(1) });
        await RegisterAsync(harness, seldom, """ "health":{"check_interval_secs":3600} """);
        await RegisterAsync(harness, often, """ "health":{"check_interval_secs":0.05} """);

        static int Checks(ScriptedWorker worker) => worker.Lines.Count(line => line == "GET /health");
        await RouterHarness.Until(() => Checks(often) >= 3, "it was checked three times");

        Assert.Equal(1, Checks(seldom));
    }
}
