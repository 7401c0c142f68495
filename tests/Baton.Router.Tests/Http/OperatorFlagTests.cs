using System.Net;
using Baton.Bench.Conformance;
using Baton.Core.Ids;
using Baton.Router.Workers;

namespace Baton.Router.Tests.Http;

/// <summary>Side ports, browsers, request names, and workers that stay away.</summary>
public sealed class OperatorFlagTests
{
    private static Task Ok(ScriptedExchange exchange) => exchange.RespondAsync(200, """{"text":"hello","meta_info":{}}""");

    private static int Checks(ScriptedWorker worker) => worker.Lines.Count(line => line == "GET /health");

    [Fact]
    public async Task Side_ports_serve_metrics_and_health_and_nothing_else()
    {
        await using RouterHarness harness = await RouterHarness.StartAsync([], [], new RouterOptions { PrometheusHost = "127.0.0.1", PrometheusPort = 0, HealthCheckPort = 0 });
        using HttpClient http = new();
        async Task<int> Get(int port, string path) => (int)(await http.GetAsync(new Uri(harness.Server.SidePorts[port], path))).StatusCode;

        Assert.Equal((200, 404, 404), (await Get(0, "/metrics"), await Get(0, "/health"), await Get(0, "/workers")));
        Assert.Equal((200, 200, 503), (await Get(1, "/health"), await Get(1, "/liveness"), await Get(1, "/readiness")));
        Assert.Equal((404, 404), (await Get(1, "/metrics"), await Get(1, "/generate")));
        Assert.Equal(HttpStatusCode.OK, (await harness.Client.GetAsync("/metrics")).StatusCode);
    }

    [Theory]
    [InlineData("https://page.example", "https://page.example", true)]
    [InlineData("https://page.example", "https://other.example", false)]
    [InlineData("*", "https://other.example", true)]
    [InlineData(null, "https://page.example", false)]
    public async Task A_page_may_call_the_router_when_its_origin_is_allowed(string? allowed, string origin, bool may)
    {
        await using ScriptedWorker prefill = new(Ok), decode = new(Ok);
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode], new RouterOptions { CorsAllowedOrigins = allowed is null ? [] : [allowed], ApiKeys = ["k"] });
        using HttpRequestMessage preflight = new(HttpMethod.Options, "/generate"), call = new(HttpMethod.Post, "/generate") { Content = new StringContent("""{"text":"a"}""") };
        foreach (HttpRequestMessage message in new[] { preflight, call }) message.Headers.Add("Origin", origin);
        preflight.Headers.Add("Access-Control-Request-Method", "POST");
        preflight.Headers.Add("Access-Control-Request-Headers", "authorization,content-type");
        call.Headers.Add("Authorization", "Bearer k");

        using HttpResponseMessage asked = await harness.Client.SendAsync(preflight), answered = await harness.Client.SendAsync(call);

        static string? Allows(HttpResponseMessage answer) => answer.Headers.TryGetValues("Access-Control-Allow-Origin", out IEnumerable<string>? values) ? values.Single() : null;
        string? expected = may ? allowed : null;
        Assert.Equal((expected, expected), (Allows(asked), Allows(answered)));
        Assert.Equal(allowed is null ? HttpStatusCode.NotImplemented : HttpStatusCode.NoContent, asked.StatusCode);
        // The browser decides what its page sees; the call itself is served.
        Assert.Equal(HttpStatusCode.OK, answered.StatusCode);
    }

    [Fact]
    public async Task A_request_is_called_what_the_first_header_that_is_there_says()
    {
        await using ScriptedWorker prefill = new(Ok), decode = new(Ok);
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode], new RouterOptions { RequestIdHeaders = ["x-trace-id", "x-other-id"] });
        async Task<string> NameOf(params (string, string)[] headers)
        {
            using HttpRequestMessage message = new(HttpMethod.Post, "/generate") { Content = new StringContent("""{"text":"a"}""") };
            foreach ((string name, string value) in headers) message.Headers.Add(name, value);
            using HttpResponseMessage answer = await harness.Client.SendAsync(message);
            string given = answer.Headers.GetValues("x-request-id").Single();
            Assert.Equal(given, decode.Seen.Last().Headers["x-request-id"]);
            return given;
        }

        string both = await NameOf(("x-other-id", "second"), ("x-trace-id", "first")), one = await NameOf(("x-other-id", "second")), none = await NameOf(("x-request-id", "not listed"));

        Assert.Equal(("first", "second"), (both, one));
        Assert.StartsWith("req-", none, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_worker_that_stays_unhealthy_is_removed_only_when_that_is_asked_for(bool isAsked)
    {
        await using ScriptedWorker worker = new(Ok);
        RouterOptions options = new()
        {
            RemoveUnhealthyWorkers = isAsked,
            HealthFailureThreshold = 1,
            HealthCheckInterval = TimeSpan.FromMilliseconds(20),
            StartupCheckInterval = TimeSpan.FromMilliseconds(20),
        };
        await using RouterHarness harness = await RouterHarness.StartAsync([], [], options, [worker]);

        int before = Checks(worker);
        worker.OnHealth = e => e.RespondAsync(503, "");
        await RouterHarness.Until(() => harness.Server.Router.Fleet.Now.All.Count == 0 || Checks(worker) > before + 20, "it is gone, or was asked often enough");

        Assert.Equal(isAsked ? 0 : 1, harness.Server.Router.Fleet.Now.All.Count);
    }

    [Fact]
    public async Task A_worker_that_never_became_ready_is_removed_when_its_time_to_start_is_over()
    {
        RouterOptions options = new() { RemoveUnhealthyWorkers = true, WorkerStartupTimeout = TimeSpan.FromMilliseconds(50), StartupCheckInterval = TimeSpan.FromMilliseconds(20) };
        await using RouterHarness harness = await RouterHarness.StartAsync([], [], options);

        harness.Server.Router.Fleet.Add(new WorkerSpec { Url = new Uri("http://127.0.0.1:1"), Role = WorkerRole.Decode });

        await RouterHarness.Until(() => harness.Server.Router.Fleet.Now.All.Count == 0, "it is gone");
    }

    [Fact]
    public async Task A_worker_that_is_not_ready_is_asked_as_often_as_the_flag_says()
    {
        await using ScriptedWorker often = new(Ok) { OnHealth = e => e.RespondAsync(503, "") }, seldom = new(Ok) { OnHealth = e => e.RespondAsync(503, "") };
        await using RouterHarness eager = await RouterHarness.StartAsync([], [], new RouterOptions { StartupCheckInterval = TimeSpan.FromMilliseconds(20) });
        await using RouterHarness patient = await RouterHarness.StartAsync([], [], new RouterOptions { StartupCheckInterval = TimeSpan.FromHours(1) });
        patient.Server.Router.Fleet.Add(new WorkerSpec { Url = new Uri(seldom.Url), Role = WorkerRole.Decode });
        await RouterHarness.Until(() => Checks(seldom) == 1, "the patient router asked");
        eager.Server.Router.Fleet.Add(new WorkerSpec { Url = new Uri(often.Url), Role = WorkerRole.Decode });

        await RouterHarness.Until(() => Checks(often) >= 20, "the eager router asked twenty times");

        Assert.Equal(1, Checks(seldom));
    }
}
