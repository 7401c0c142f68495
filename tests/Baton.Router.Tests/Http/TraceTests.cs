using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net.Http.Headers;
using System.Text;
using Baton.Bench.Conformance;

namespace Baton.Router.Tests.Http;

public sealed class TraceTests
{
    private static Task Ok(ScriptedExchange exchange) => exchange.RespondAsync(200, """{"text":"hello"}""");

    [Fact]
    public async Task The_clients_span_is_the_parent_of_the_route_and_the_route_of_both_legs()
    {
        const string trace = "0af7651916cd43dd8448eb211c80319c", client = "b7ad6b7169203331";
        ConcurrentQueue<Activity> ended = new();
        using ActivityListener listener = new()
        {
            ShouldListenTo = source => source.Name == "Baton.Router",
            Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllDataAndRecorded,
            ActivityStopped = ended.Enqueue,
        };
        ActivitySource.AddActivityListener(listener);
        await using ScriptedWorker prefill = new(Ok), decode = new(Ok);
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode]);
        using HttpRequestMessage request = new(HttpMethod.Post, "/generate") { Content = new StringContent("""{"text":"a"}""", Encoding.UTF8, new MediaTypeHeaderValue("application/json")) };
        request.Headers.Add("traceparent", $"00-{trace}-{client}-01");
        request.Headers.Add("tracestate", "vendor=1");

        using HttpResponseMessage answer = await harness.Client.SendAsync(request);
        await RouterHarness.Until(() => ended.Count(a => a.TraceId.ToHexString() == trace) == 6, "all spans have ended");

        Dictionary<string, Activity> spans = ended.Where(a => a.TraceId.ToHexString() == trace).ToDictionary(a => a.OperationName);
        Assert.Equal(["first_token", "leg.decode", "leg.prefill", "route", "select.decode", "select.prefill"], spans.Keys.Order(StringComparer.Ordinal));
        Assert.Equal(client, spans["route"].ParentSpanId.ToHexString());
        Assert.All(spans.Values.Where(a => a.OperationName != "route"), a => Assert.Equal(spans["route"].SpanId, a.ParentSpanId));
        Assert.Equal(spans["leg.prefill"].Id, Assert.Single(prefill.Seen).Headers["traceparent"]);
        Assert.Equal(spans["leg.decode"].Id, Assert.Single(decode.Seen).Headers["traceparent"]);
        Assert.Equal("vendor=1", decode.Seen.First().Headers["tracestate"]);
    }
}
