using System.Net;
using System.Security.Cryptography.X509Certificates;
using Baton.Core.Ids;
using Baton.Router.Trouble;
using Baton.Router.Workers;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Microsoft.Extensions.DependencyInjection;

namespace Baton.Router.Tests.Http;

/// <summary>Workers behind TLS that demand a certificate, with an authority of the test's own.</summary>
public sealed class WorkerTlsTests : IDisposable
{
    private readonly TestAuthority _authority = new("ours"), _other = new("another");

    public void Dispose()
    {
        _authority.Dispose();
        _other.Dispose();
    }

    private RouterOptions Trusted => new() { CaCertPaths = [_authority.CertificateFile] };

    private RouterOptions Mutual(TestAuthority issuer)
    {
        (string certificate, string key) = issuer.IssueFiles("router");
        return Trusted with { ClientCertPath = certificate, ClientKeyPath = key };
    }

    private async Task<(WebApplication App, WorkerSpec Spec)> StartWorkerAsync()
    {
        X509Certificate2 certificate = _authority.Issue("worker");
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().UseKestrelHttpsConfiguration().ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, listen => listen.UseHttps(https =>
        {
            https.ServerCertificate = certificate;
            https.ClientCertificateMode = ClientCertificateMode.RequireCertificate;
            https.ClientCertificateValidation = (client, _, _) => _authority.HasIssued(client);
        })));
        WebApplication app = builder.Build();
        app.Run(context =>
        {
            context.Response.ContentType = "application/json";
            return context.Response.WriteAsync(context.Request.Path == "/generate" ? """{"text":"over TLS","meta_info":{}}""" : "{}");
        });
        await app.StartAsync();
        string url = app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First();
        return (app, new WorkerSpec { Url = new Uri(url), Role = WorkerRole.Unified });
    }

    [Fact]
    public async Task A_worker_that_demands_a_certificate_serves_a_router_that_shows_one()
    {
        (WebApplication worker, WorkerSpec spec) = await StartWorkerAsync();
        await using WebApplication _ = worker;
        await using RouterHarness harness = await RouterHarness.StartAsync([], [], Mutual(_authority));
        harness.Server.Router.Fleet.Add(spec);
        await RouterHarness.Until(() => harness.Server.Router.Fleet.Now.All[0].Status == WorkerStatus.Ready, "the worker is ready");

        using HttpResponseMessage first = await harness.PostAsync("/generate", """{"text":"a"}""");
        using HttpResponseMessage second = await harness.PostAsync("/generate", """{"text":"a"}""");

        Assert.Equal((HttpStatusCode.OK, HttpStatusCode.OK), (first.StatusCode, second.StatusCode));
        Assert.Contains("over TLS", await first.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        Assert.DoesNotContain("baton_stale_replays_total 1", await harness.Client.GetStringAsync("/metrics"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(false, false, "certificate is invalid")]
    [InlineData(true, false, "")]
    [InlineData(true, true, "")]
    public async Task Without_the_right_certificates_on_both_sides_a_worker_stays_out_and_says_why(bool trusts, bool showsAnothers, string word)
    {
        (WebApplication worker, WorkerSpec spec) = await StartWorkerAsync();
        await using WebApplication _ = worker;
        RouterOptions options = showsAnothers ? Mutual(_other) : trusts ? Trusted : new RouterOptions();
        await using RouterHarness harness = await RouterHarness.StartAsync([], [], options);
        harness.Server.Router.Fleet.Add(spec);

        Worker waiting = harness.Server.Router.Fleet.Now.All[0];
        string? problem = null;
        await RouterHarness.Until(() => (problem = waiting.Problem)?.Contains(word, StringComparison.Ordinal) == true, $"its health check failed and said '{word}'");

        Assert.Equal(WorkerStatus.Pending, waiting.Status);
        Assert.DoesNotContain("see inner exception", problem, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_first_request_over_tls_that_fails_is_not_taken_for_a_stale_connection()
    {
        int requests = 0;
        X509Certificate2 certificate = _authority.Issue("worker");
        await using ScriptedTlsWorker worker = new(certificate, () => Interlocked.Increment(ref requests));
        await using RouterHarness harness = await RouterHarness.StartAsync(
            [], [], Trusted with { IsHealthCheckEnabled = false, LoadInterval = TimeSpan.Zero, Retry = new RetryOptions { IsEnabled = false } });
        harness.Server.Router.Fleet.Add(new WorkerSpec { Url = worker.Url, Role = WorkerRole.Unified });
        await RouterHarness.Until(() => harness.Server.Router.Fleet.Now.All[0].Status == WorkerStatus.Ready, "it counts as ready");

        using HttpResponseMessage answer = await harness.PostAsync("/generate", """{"text":"a"}""");

        Assert.Equal((HttpStatusCode.BadGateway, 1), (answer.StatusCode, requests));
    }

    [Theory]
    [InlineData("no.pem", "", "--ca-cert-path")]
    [InlineData("empty.pem", "nothing", "--ca-cert-path")]
    public void A_file_that_holds_no_certificate_is_refused_by_its_flag(string name, string text, string flag)
    {
        string file = Path.Combine(_authority.Folder, name);
        if (text.Length > 0) File.WriteAllText(file, text);

        FormatException said = Assert.Throws<FormatException>(() => new Baton.Router.Http.RouterServer(new RouterOptions { CaCertPaths = [file] }, [], TimeProvider.System, seed: 1));

        Assert.Contains(flag, said.Message, StringComparison.Ordinal);
        Assert.Contains(name, said.Message, StringComparison.Ordinal);
    }
}
