using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json;
using Baton.Bench.Conformance;
using Baton.Router.Http;
using Baton.Router.Trouble;

namespace Baton.Router.Tests.Http;

/// <summary>What the HTTP shell adds: queue answers, route headers, TLS.</summary>
public sealed class ShellTests
{
    private static Task Ok(ScriptedExchange exchange) => exchange.RespondAsync(200, """{"text":"hello"}""");

    private static async Task<string?> CodeOf(HttpResponseMessage answer) =>
        JsonDocument.Parse(await answer.Content.ReadAsStringAsync()).RootElement.GetProperty("error").GetProperty("code").GetString();

    [Fact]
    public async Task A_full_queue_is_429_and_an_expired_wait_408_both_with_retry_after()
    {
        TaskCompletionSource go = new(TaskCreationOptions.RunContinuationsAsynchronously);
        await using ScriptedWorker prefill = new(Ok), decode = new(async e =>
        {
            await go.Task;
            await Ok(e);
        });
        AdmissionOptions noQueue = new() { MaxConcurrent = 1, QueueSize = 0 }, shortWait = new() { MaxConcurrent = 1, QueueSize = 1, QueueTimeout = TimeSpan.FromMilliseconds(50) };
        await using RouterHarness refusing = await RouterHarness.StartAsync([prefill], [decode], new RouterOptions { Admission = noQueue });
        await using RouterHarness expiring = await RouterHarness.StartAsync([prefill], [decode], new RouterOptions { Admission = shortWait });
        Task<HttpResponseMessage> one = refusing.PostAsync("/generate", """{"text":"a"}"""), other = expiring.PostAsync("/generate", """{"text":"a"}""");
        await RouterHarness.Until(() => refusing.Server.Admitted is (1, 0) && expiring.Server.Admitted is (1, 0), "both places are taken");

        using HttpResponseMessage full = await refusing.PostAsync("/generate", """{"text":"b"}""");
        using HttpResponseMessage expired = await expiring.PostAsync("/generate", """{"text":"b"}""");
        go.SetResult();
        using HttpResponseMessage served = await one, alsoServed = await other;

        Assert.Equal((HttpStatusCode.OK, HttpStatusCode.OK), (served.StatusCode, alsoServed.StatusCode));
        Assert.Equal((HttpStatusCode.RequestTimeout, "queue_timeout"), (expired.StatusCode, await CodeOf(expired)));
        Assert.NotNull(expired.Headers.RetryAfter?.Delta);
        Assert.Equal((HttpStatusCode.TooManyRequests, "queue_full"), (full.StatusCode, await CodeOf(full)));
        Assert.NotNull(full.Headers.RetryAfter?.Delta);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task An_errors_code_goes_by_SGLangs_header_too_when_that_is_asked_for(bool compatible)
    {
        await using ScriptedWorker prefill = new(e => e.RespondAsync(422, "{}")), decode = new(e => e.HangAsync());
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode], new RouterOptions { CompatHeaders = compatible });

        using HttpResponseMessage refused = await harness.PostAsync("/generate", "nonsense"), failed = await harness.PostAsync("/generate", """{"text":"a"}""");

        Assert.Equal((compatible, compatible), (refused.Headers.Contains("x-smg-error-code"), failed.Headers.Contains("x-smg-error-code")));
        if (compatible) Assert.Equal(["prefill_error"], failed.Headers.GetValues("x-smg-error-code"));
        Assert.Equal(["prefill_error"], failed.Headers.GetValues("x-baton-error-code"));
    }

    [Fact]
    public async Task What_a_client_asks_for_reaches_the_choice_and_its_explanation()
    {
        await using ScriptedWorker prefill = new(Ok, """{"dp_size":4}"""), decode = new(Ok, """{"dp_size":2}""");
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode], new RouterOptions { AllowClientRank = true, PrefillPolicy = "consistent_hash" });
        const string body = """{"text":"a","routed_dp_rank":1}""";
        using HttpRequestMessage request = new(HttpMethod.Post, "/generate") { Content = new StringContent(body) };
        request.Headers.Add("x-smg-target-worker", "3");

        using HttpResponseMessage answer = await harness.Client.SendAsync(request);
        using HttpResponseMessage explained = await harness.PostAsync("/routes/explain", body);
        using HttpResponseMessage refused = await harness.PostAsync("/generate", """{"text":"a","routed_dp_rank":2}""");

        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        await RouterHarness.Until(() => !prefill.Seen.IsEmpty, "prefill's leg arrived");
        Assert.Equal(3, JsonDocument.Parse(prefill.Seen.First().Text).RootElement.GetProperty("routed_dp_rank").GetInt32());
        Assert.Equal(1, JsonDocument.Parse(decode.Seen.First().Text).RootElement.GetProperty("routed_dp_rank").GetInt32());
        Assert.EndsWith("@1", JsonDocument.Parse(await explained.Content.ReadAsStringAsync()).RootElement.GetProperty("decode").GetProperty("chosen").GetString(), StringComparison.Ordinal);
        Assert.Equal((HttpStatusCode.BadRequest, "bad_dp_rank"), (refused.StatusCode, await CodeOf(refused)));
    }

    [Fact]
    public async Task A_role_that_lacks_the_model_says_so()
    {
        await using ScriptedWorker prefill = new(Ok, """{"served_model_name":"one"}"""), decode = new(Ok, """{"served_model_name":"two"}""");
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode]);

        using HttpResponseMessage halfway = await harness.PostAsync("/generate", """{"text":"a","model":"one"}"""), nowhere = await harness.PostAsync("/generate", """{"text":"a","model":"three"}""");

        Assert.Equal((HttpStatusCode.ServiceUnavailable, HttpStatusCode.NotFound), (halfway.StatusCode, nowhere.StatusCode));
        Assert.Contains("No decode worker can take the request: 1 with another model.", await halfway.Content.ReadAsStringAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_route_is_in_the_answers_headers_when_it_is_exposed_and_only_then()
    {
        await using ScriptedWorker prefill = new(Ok, """{"dp_size":2}"""), decode = new(Ok, """{"dp_size":3}""");
        await using RouterHarness open = await RouterHarness.StartAsync([prefill], [decode], new RouterOptions { ExposeRoute = true });
        await using RouterHarness closed = await RouterHarness.StartAsync([prefill], [decode]);

        using HttpResponseMessage answer = await open.PostAsync("/generate", """{"text":"a"}""");
        using HttpResponseMessage plain = await closed.PostAsync("/generate", """{"text":"a"}""");

        JsonElement leg = JsonDocument.Parse(decode.Seen.First().Text).RootElement;
        Assert.Equal(prefill.Url, Header("x-baton-prefill"));
        Assert.Equal(decode.Url, Header("x-baton-decode"));
        Assert.Equal(leg.GetProperty("disagg_prefill_dp_rank").GetRawText(), Header("x-baton-prefill-rank"));
        Assert.Equal(leg.GetProperty("routed_dp_rank").GetRawText(), Header("x-baton-decode-rank"));
        Assert.Equal(leg.GetProperty("bootstrap_room").GetRawText(), Header("x-baton-room"));
        Assert.Equal("1", Header("x-baton-attempts"));
        Assert.DoesNotContain(plain.Headers, h => h.Key.StartsWith("x-baton", StringComparison.OrdinalIgnoreCase));

        string Header(string name) => Assert.Single(answer.Headers.GetValues(name));
    }

    [Fact]
    public async Task A_certificate_and_its_key_make_it_https()
    {
        using RSA key = RSA.Create(2048);
        CertificateRequest request = new("CN=localhost", key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        using X509Certificate2 certificate = request.CreateSelfSigned(DateTimeOffset.UnixEpoch, new DateTimeOffset(2100, 1, 1, 0, 0, 0, TimeSpan.Zero));
        string folder = Directory.CreateTempSubdirectory("baton-tls").FullName;
        string certPath = Path.Combine(folder, "cert.pem"), keyPath = Path.Combine(folder, "key.pem");
        await File.WriteAllTextAsync(certPath, certificate.ExportCertificatePem());
        await File.WriteAllTextAsync(keyPath, key.ExportPkcs8PrivateKeyPem());
        await using RouterServer server = new(new RouterOptions { Host = "127.0.0.1", Port = 0, TlsCertPath = certPath, TlsKeyPath = keyPath }, [], TimeProvider.System, seed: 1);
        await server.StartAsync(CancellationToken.None);
        string? seen = null;
        using HttpClientHandler handler = new() { ServerCertificateCustomValidationCallback = (_, shown, _, _) => (seen = shown!.Thumbprint) is not null };
        using HttpClient client = new(handler) { BaseAddress = server.Url };

        string alive = await client.GetStringAsync("/liveness");

        Assert.Equal(("https", certificate.Thumbprint), (server.Url.Scheme, seen));
        Assert.Contains("ok", alive, StringComparison.Ordinal);
        Directory.Delete(folder, recursive: true);
    }

    [Theory]
    [InlineData(100)]
    [InlineData(40_000)]
    [InlineData(700_000)]
    public async Task A_body_of_any_size_in_any_pieces_arrives_whole(int bytes)
    {
        await using ScriptedWorker prefill = new(Ok), decode = new(Ok);
        await using RouterHarness harness = await RouterHarness.StartAsync([prefill], [decode]);
        string text = string.Concat(Enumerable.Range(0, bytes / 10).Select(i => i.ToString("D10")));
        using HttpRequestMessage chunked = new(HttpMethod.Post, "/generate") { Content = new StringContent($$"""{"text":"{{text}}"}""", Encoding.UTF8, "application/json") };
        chunked.Headers.TransferEncodingChunked = true;

        using HttpResponseMessage whole = await harness.PostAsync("/generate", $$"""{"text":"{{text}}"}""");
        using HttpResponseMessage inPieces = await harness.Client.SendAsync(chunked);

        Assert.Equal((HttpStatusCode.OK, HttpStatusCode.OK), (whole.StatusCode, inPieces.StatusCode));
        Assert.Equal([text, text], decode.Seen.Select(e => JsonDocument.Parse(e.Text).RootElement.GetProperty("text").GetString()));
    }
}
