using Baton.Bench.Conformance;
using Baton.Router.Http;
using Baton.Router.Workers;
using Baton.Simulation.Clock;
using Microsoft.Extensions.Logging;

namespace Baton.Router.Tests.Http;

/// <summary>What other routers' dashboards and clients read, and how many series there may be.</summary>
public sealed class MetricsNamesTests
{
    private static Task Ok(ScriptedExchange exchange) => exchange.RespondAsync(200, """{"text":"hello","meta_info":{}}""");

    [Fact]
    public async Task Under_metrics_compat_every_series_is_there_a_second_time_under_smg()
    {
        await using ScriptedWorker prefill = new(Ok), decode = new(Ok);
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode], new RouterOptions { MetricsCompat = MetricsCompat.Smg });
        (await harness.PostAsync("/generate", """{"text":"a"}""")).Dispose();

        string[] lines = (await harness.Client.GetStringAsync("/metrics")).Split('\n', StringSplitOptions.RemoveEmptyEntries);

        string[] ours = [.. lines.Where(line => line.Contains("baton_", StringComparison.Ordinal) && !line.StartsWith("# HELP", StringComparison.Ordinal))];
        string[] theirs = [.. lines.Where(line => line.Contains("smg_", StringComparison.Ordinal) && !line.StartsWith("# HELP", StringComparison.Ordinal))];
        Assert.True(ours.Length > 100);
        Assert.Equal(ours, theirs.Select(line => line.Replace("smg_", "baton_", StringComparison.Ordinal)));
        Assert.Contains(theirs, line => line.StartsWith("smg_router_requests_total{", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Under_compat_headers_errors_carry_their_code_under_both_names(bool isOn)
    {
        await using ScriptedWorker prefill = new(e => e.RespondAsync(400, "{}")), decode = new(e => e.HangAsync());
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode], new RouterOptions { CompatHeaders = isOn });

        using HttpResponseMessage own = await harness.PostAsync("/nowhere", "{}"), workers = await harness.PostAsync("/generate", """{"text":"a"}"""), fine = await harness.Client.GetAsync("/health");

        foreach ((HttpResponseMessage answer, string code) in new[] { (own, "not_implemented"), (workers, "prefill_bad_request") })
        {
            Assert.Equal([code], answer.Headers.GetValues("x-baton-error-code"));
            string[] expected = isOn ? [code] : [];
            Assert.Equal(expected, answer.Headers.TryGetValues("x-smg-error-code", out IEnumerable<string>? theirs) ? theirs : []);
        }
        Assert.False(fine.Headers.Contains("x-smg-error-code"));
    }

    [Fact]
    public async Task Durations_are_told_in_the_buckets_that_were_asked_for()
    {
        await using RouterHarness harness = await RouterHarness.StartAsync([], [], new RouterOptions { DurationBuckets = [0.5, 2] });
        (await harness.Client.GetAsync("/health")).Dispose();

        string text = await harness.Client.GetStringAsync("/metrics");

        string[] bounds = [.. text.Split('\n').Where(line => line.StartsWith("baton_http_request_duration_seconds_bucket{method=\"GET\",path=\"/health\"", StringComparison.Ordinal)).Select(line => line.Split("le=\"")[1].Split('"')[0])];
        Assert.Equal(["0.5", "2", "+Inf"], bounds);
    }

    [Fact]
    public void A_fleet_that_outgrows_the_table_is_logged_once_and_counted()
    {
        WorkerFleet fleet = new();
        using RouterMetrics metrics = new(new PdRouter(new RouterOptions(), fleet, seed: 1), () => 0, new VirtualTimeProvider());
        Lines log = new();
        using MetricsScrape scrape = new(metrics, MetricsCompat.None, log, maxSeries: 2);

        for (int worker = 0; worker < 5; worker++) metrics.HealthChecked($"http://10.0.0.{worker}:1", isGood: true);
        scrape.Write();
        string text = scrape.Write();

        Assert.Contains("baton_metrics_dropped_total{instrument=\"baton.worker.health_checks\"} 3\n", text, StringComparison.Ordinal);
        Assert.Contains("baton.worker.health_checks has more than 2 series", Assert.Single(log.Texts), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_fleet_of_a_hundred_workers_of_eight_ranks_loses_nothing()
    {
        await using RouterHarness harness = await RouterHarness.StartAsync([], [], new RouterOptions { IsHealthCheckEnabled = false, LoadInterval = TimeSpan.Zero });
        for (int worker = 0; worker < 100; worker++) harness.Server.Router.Fleet.Add(new WorkerSpec { Url = new Uri($"http://10.0.0.{worker}:1"), Role = Core.Ids.WorkerRole.Decode, DpSize = 8 });

        string text = await harness.Client.GetStringAsync("/metrics");

        Assert.Equal(800, text.Split('\n').Count(line => line.StartsWith("baton_worker_cb_state{", StringComparison.Ordinal)));
        Assert.DoesNotContain("baton_metrics_dropped_total{", text, StringComparison.Ordinal);
    }

    private sealed class Lines : ILogger
    {
        public List<string> Texts { get; } = [];

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) => Texts.Add(formatter(state, exception));
    }
}
