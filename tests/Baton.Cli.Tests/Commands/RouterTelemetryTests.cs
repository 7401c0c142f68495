using System.Collections.Concurrent;
using System.Text;
using Baton.Bench.Conformance;
using Baton.Cli.Commands;
using Baton.Core.Ids;
using Baton.Router;
using Baton.Router.Http;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;

namespace Baton.Cli.Tests.Commands;

public sealed class RouterTelemetryTests
{
    [Fact]
    public async Task Spans_and_metrics_reach_an_otlp_collector()
    {
        ConcurrentDictionary<string, string> received = new();
        await using WebApplication collector = await CollectorAsync(received);
        string address = new Uri(collector.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First()).Authority;
        await using ScriptedWorker prefill = new(ConformanceStage.Ok), decode = new(ConformanceStage.Ok);
        using (RouterTelemetry.Start(isEnabled: true, address))
        {
            await using RouterServer server = new(new RouterOptions { Host = "127.0.0.1", Port = 0 },
                [new() { Url = new Uri(prefill.Url), Role = WorkerRole.Prefill }, new() { Url = new Uri(decode.Url), Role = WorkerRole.Decode }], TimeProvider.System, seed: 1);
            await server.StartAsync(CancellationToken.None);
            await server.WaitUntilReadyAsync(TimeSpan.FromSeconds(30), CancellationToken.None);
            using HttpClient client = new() { BaseAddress = server.Url };

            using StringContent body = new("""{"text":"a"}""", Encoding.UTF8, "application/json");
            using HttpResponseMessage answer = await client.PostAsync("/generate", body);
            Assert.True(answer.IsSuccessStatusCode);
            // The client has its answer before the spans end: the request's own before its connection serves the next one, prefill's before its credit is back.
            await client.GetStringAsync("/liveness");
            while (server.Router.Fleet.Now.All.Any(worker => worker.InFlight > 0)) await Task.Delay(5, TestContext.Current.CancellationToken);
        }

        // Protocol buffers carry strings as they are.
        string spans = received["/opentelemetry.proto.collector.trace.v1.TraceService/Export"], metrics = received["/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"];
        Assert.All(["route", "leg.prefill", "leg.decode", "first_token"], name => Assert.Contains(name, spans, StringComparison.Ordinal));
        Assert.All(["baton.router.requests", "baton.router.overhead"], name => Assert.Contains(name, metrics, StringComparison.Ordinal));
    }

    /// <summary>The smallest gRPC server: keeps every body, answers an empty message and status 0.</summary>
    private static async Task<WebApplication> CollectorAsync(ConcurrentDictionary<string, string> received)
    {
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel => kestrel.Listen(System.Net.IPAddress.Loopback, 0, listen => listen.Protocols = HttpProtocols.Http2));
        WebApplication app = builder.Build();
        app.Run(async context =>
        {
            using MemoryStream body = new();
            await context.Request.Body.CopyToAsync(body);
            received.AddOrUpdate(context.Request.Path, _ => Encoding.Latin1.GetString(body.ToArray()), (_, before) => before + Encoding.Latin1.GetString(body.ToArray()));
            context.Response.ContentType = "application/grpc";
            await context.Response.Body.WriteAsync(new byte[5]);
            context.Response.AppendTrailer("grpc-status", "0");
        });
        await app.StartAsync();
        return app;
    }
}
