using Baton.Bench.Conformance;
using Baton.Core.Ids;
using Baton.Router.Discovery;
using Baton.Router.Tests.Http;
using Baton.Router.Workers;

namespace Baton.Router.Tests.Discovery;

/// <summary>The fleet follows pods of a scripted API server, over a real socket.</summary>
public sealed class PodFollowerTests
{
    private const string PrefillLabels = """{"app":"sglang","role":"prefill"}""", DecodeLabels = """{"app":"sglang","role":"decode"}""";

    private static Task Ok(ScriptedExchange exchange) => exchange.RespondAsync(200, """{"text":"hello","meta_info":{}}""");

    private static DiscoveryOptions Of(ScriptedCluster cluster) => new()
    {
        ApiServer = cluster.Url,
        PrefillSelector = new Dictionary<string, string> { ["app"] = "sglang", ["role"] = "prefill" },
        DecodeSelector = new Dictionary<string, string> { ["app"] = "sglang", ["role"] = "decode" },
        Namespace = "inference",
    };

    private static Task<RouterHarness> StartAsync(DiscoveryOptions discovery, TimeSpan? drain = null) =>
        RouterHarness.StartAsync([], [], new RouterOptions { Discovery = discovery, LoadInterval = TimeSpan.Zero, DrainTimeout = drain ?? TimeSpan.FromSeconds(300) });

    private static string Ports(params int[] ports) => $$"""{"smg.ai/worker-ports":"{{string.Join(',', ports)}}"}""";

    private static string[] Urls(RouterHarness harness) => [.. harness.Server.Router.Fleet.Now.All.Select(w => w.Url)];

    [Fact]
    public async Task Ready_pods_become_a_pair_that_serves_and_a_deleted_one_goes()
    {
        await using ScriptedWorker prefill = new(Ok), decode = new(Ok), second = new(Ok);
        await using ScriptedCluster cluster = await ScriptedCluster.StartAsync();
        cluster.Put("p", ScriptedCluster.PodJson("p", PrefillLabels, $$"""{"smg.ai/worker-ports":"{{prefill.Port}}","sglang.ai/bootstrap-port":"{{prefill.Port}}"}"""));
        cluster.Put("x", ScriptedCluster.PodJson("x", """{"app":"sglang","role":"other"}"""));
        await using RouterHarness harness = await StartAsync(Of(cluster));

        cluster.Put("d", ScriptedCluster.PodJson("d", DecodeLabels, Ports(decode.Port, second.Port)));
        await RouterHarness.Until(() => harness.Server.Router.Fleet.Now.All is [_, _, _] all && all.All(w => w.Status == WorkerStatus.Ready), "three workers are ready");
        using HttpResponseMessage answer = await harness.PostAsync("/generate", """{"text":"a"}""");
        Worker found = harness.Server.Router.Fleet.Now.Prefill[0];
        cluster.Delete("d");
        await RouterHarness.Until(() => harness.Server.Router.Fleet.Now.Decode.Count == 0, "the deleted pod's workers are gone");

        Assert.True(answer.IsSuccessStatusCode);
        Assert.Equal((WorkerSource.Kubernetes, prefill.Port, "inference/pod-p"), (found.Source, found.BootstrapPort, found.Spec.Labels["pod"]));
        string[] requests = [.. cluster.Requests];
        Assert.Equal("/api/v1/namespaces/inference/pods?limit=500&labelSelector=app%3Dsglang", requests[0]);
        Assert.Contains(requests, r => r.Contains("watch=1", StringComparison.Ordinal) && r.Contains("timeoutSeconds=60", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("False", "")]
    [InlineData("True", ",\"deletionTimestamp\":\"2026-01-01T00:00:00Z\"")]
    public async Task A_pod_that_is_no_longer_ready_or_about_to_go_drains_its_requests_first(string ready, string more)
    {
        await using ScriptedWorker decode = new(Ok);
        await using ScriptedCluster cluster = await ScriptedCluster.StartAsync();
        cluster.Put("d", ScriptedCluster.PodJson("d", DecodeLabels, Ports(decode.Port)));
        await using RouterHarness harness = await StartAsync(Of(cluster));
        await RouterHarness.Until(() => harness.Server.Router.Fleet.Now.All is [{ Status: WorkerStatus.Ready }], "the worker is ready");
        Worker worker = harness.Server.Router.Fleet.Now.All[0];
        worker.Rank(null).Take(1, 0, TimeSpan.Zero);

        cluster.Put("d", ScriptedCluster.PodJson("d", DecodeLabels, Ports(decode.Port), ready: ready, more: more));
        await RouterHarness.Until(() => worker.Status == WorkerStatus.Draining, "it drains");
        int known = harness.Server.Router.Fleet.Now.All.Count;
        worker.Rank(null).Return(1);

        Assert.Equal(1, known);
        await RouterHarness.Until(() => harness.Server.Router.Fleet.Now.All.Count == 0, "it is gone");
    }

    [Fact]
    public async Task What_a_watch_missed_the_next_list_puts_right()
    {
        await using ScriptedCluster cluster = await ScriptedCluster.StartAsync();
        cluster.PageSize = 1;
        cluster.Put("a", ScriptedCluster.PodJson("a", DecodeLabels, address: "10.0.0.1"));
        cluster.Put("b", ScriptedCluster.PodJson("b", DecodeLabels, address: "10.0.0.2"));
        await using RouterHarness harness = await StartAsync(Of(cluster));
        await RouterHarness.Until(() => Urls(harness).Length == 2, "both pods are known, from two pages");
        // A watch that begins later would neither miss the loss nor end.
        await RouterHarness.Until(() => cluster.Requests.Any(r => r.Contains("watch=1", StringComparison.Ordinal)), "a watch began");

        cluster.Lose("a");
        cluster.EndWatches();

        await RouterHarness.Until(() => Urls(harness) is ["http://10.0.0.2"], "the lost pod is gone");
    }

    [Fact]
    public async Task A_version_that_is_too_old_leads_to_a_new_list()
    {
        await using ScriptedCluster cluster = await ScriptedCluster.StartAsync();
        cluster.IsGone = true;
        await using RouterHarness harness = await StartAsync(Of(cluster));
        await RouterHarness.Until(() => cluster.Requests.Any(r => r.Contains("watch=1", StringComparison.Ordinal)), "a watch began");

        cluster.Put("a", ScriptedCluster.PodJson("a", DecodeLabels, address: "10.0.0.1"));

        await RouterHarness.Until(() => Urls(harness) is ["http://10.0.0.1"], "the pod is known");
    }

    [Theory]
    [InlineData(403)]
    [InlineData(500)]
    public async Task While_the_cluster_cannot_be_asked_the_fleet_stays(int status)
    {
        await using ScriptedCluster cluster = await ScriptedCluster.StartAsync();
        cluster.Put("a", ScriptedCluster.PodJson("a", DecodeLabels, address: "10.0.0.1"));
        await using RouterHarness harness = await StartAsync(Of(cluster));
        await RouterHarness.Until(() => Urls(harness).Length == 1, "the pod is known");

        cluster.FailsWith = status;
        int before = cluster.Requests.Count;
        cluster.EndWatches();
        await RouterHarness.Until(() => cluster.Requests.Count >= before + 2, "it was tried twice in vain");
        string[] meanwhile = Urls(harness);
        cluster.FailsWith = null;
        cluster.Put("b", ScriptedCluster.PodJson("b", DecodeLabels, address: "10.0.0.2"));

        Assert.Equal(["http://10.0.0.1"], meanwhile);
        await RouterHarness.Until(() => Urls(harness).Length == 2, "the new pod is known");
    }

    [Fact]
    public async Task An_address_that_comes_back_with_another_pod_is_another_worker()
    {
        await using ScriptedCluster cluster = await ScriptedCluster.StartAsync();
        cluster.Put("old", ScriptedCluster.PodJson("old", DecodeLabels, address: "10.0.0.1"));
        await using RouterHarness harness = await StartAsync(Of(cluster));
        await RouterHarness.Until(() => Urls(harness).Length == 1, "the pod is known");
        Worker worker = harness.Server.Router.Fleet.Now.All[0];
        worker.Rank(null).Take(1, 0, TimeSpan.Zero);

        cluster.Put("new", ScriptedCluster.PodJson("new", PrefillLabels, address: "10.0.0.1"));
        cluster.Delete("old");
        cluster.Put("last", ScriptedCluster.PodJson("last", DecodeLabels, address: "10.0.0.9"));
        await RouterHarness.Until(() => Urls(harness).Contains("http://10.0.0.9"), "what came after the deletion is known");

        Worker now = harness.Server.Router.Fleet.Now.All.Single(w => w.Url == "http://10.0.0.1");
        Assert.Equal((WorkerRole.Prefill, "inference/pod-new", WorkerStatus.Pending), (now.Role, now.Spec.Labels["pod"], now.Status));
    }

    [Fact]
    public async Task The_cluster_is_asked_over_tls_with_the_accounts_token_of_the_moment()
    {
        using TestAuthority authority = new("cluster");
        string token = Path.Combine(authority.Folder, "token");
        await File.WriteAllTextAsync(token, "first\n");
        await using ScriptedCluster cluster = await ScriptedCluster.StartAsync(authority.Issue("api"));
        await using RouterHarness harness = await StartAsync(Of(cluster) with { TokenFile = token, CaFile = authority.CertificateFile });
        await RouterHarness.Until(() => cluster.Requests.Any(r => r.EndsWith("Bearer first", StringComparison.Ordinal) && r.Contains("watch=1", StringComparison.Ordinal)), "it asked with the first token");

        await File.WriteAllTextAsync(token, "second\n");
        cluster.EndWatches();

        await RouterHarness.Until(() => cluster.Requests.Any(r => r.EndsWith("Bearer second", StringComparison.Ordinal)), "it asked with the second token");
    }
}
