using System.Text.Json;
using Baton.Router.Discovery;

namespace Baton.Router.Tests.Discovery;

public sealed class PodWorkersTests
{
    private static readonly DiscoveryOptions Options = new()
    {
        ApiServer = new Uri("https://10.0.0.1"),
        Selector = new Dictionary<string, string> { ["app"] = "sglang", ["tier"] = "both" },
        PrefillSelector = new Dictionary<string, string> { ["app"] = "sglang", ["role"] = "prefill" },
        DecodeSelector = new Dictionary<string, string> { ["app"] = "sglang", ["role"] = "decode" },
        Port = 30001,
    };

    private static Pod Read(string labels, string annotations = "{}", string address = "10.1.2.3", string ready = "True", string more = "") =>
        Pod.Read(JsonDocument.Parse(ScriptedCluster.PodJson("u", labels, annotations, address, ready, more)).RootElement)!;

    private static string Text(Pod pod) => string.Join(' ', PodWorkers.Of(pod, Options).Select(w => $"{w.Role}:{w.Url.Authority}:{w.BootstrapPort?.ToString() ?? "-"}"));

    [Theory]
    [InlineData("""{"app":"sglang","role":"prefill"}""", "{}", "Prefill:10.1.2.3:30001:-")]
    [InlineData("""{"app":"sglang","role":"decode","more":"x"}""", "{}", "Decode:10.1.2.3:30001:-")]
    [InlineData("""{"app":"sglang","tier":"both"}""", "{}", "Unified:10.1.2.3:30001:-")]
    [InlineData("""{"app":"sglang"}""", "{}", "")]
    [InlineData("""{"app":"other","role":"decode"}""", "{}", "")]
    [InlineData("""{"app":"sglang","role":"prefill"}""", """{"sglang.ai/bootstrap-port":"8998"}""", "Prefill:10.1.2.3:30001:8998")]
    [InlineData("""{"app":"sglang","role":"prefill","sglang.ai/bootstrap-port":"8998"}""", """{"smg.ai/worker-ports":"1, 2"}""", "Prefill:10.1.2.3:1:8998 Prefill:10.1.2.3:2:8998")]
    [InlineData("""{"app":"sglang","role":"prefill","smg.ai/worker-ports":"1.2"}""", """{"sglang.ai/bootstrap-port":"3,4"}""", "Prefill:10.1.2.3:1:3 Prefill:10.1.2.3:2:4")]
    [InlineData("""{"app":"sglang","role":"prefill","smg.ai/worker-ports":"9"}""", """{"smg.ai/worker-ports":"7"}""", "Prefill:10.1.2.3:7:-")]
    [InlineData("""{"app":"sglang","role":"decode"}""", """{"sglang.ai/bootstrap-port":"8998"}""", "Decode:10.1.2.3:30001:-")]
    public void A_pod_is_what_its_labels_and_annotations_say(string labels, string annotations, string expected) => Assert.Equal(expected, Text(Read(labels, annotations)));

    [Fact]
    public void An_ipv6_pod_is_reached_in_brackets() => Assert.Equal("Decode:[fd00::1]:30001:-", Text(Read("""{"app":"sglang","role":"decode"}""", address: "fd00::1")));

    [Theory]
    [InlineData("10.1.2.3", "False", "")]
    [InlineData("10.1.2.3", "True", ",\"deletionTimestamp\":\"2026-01-01T00:00:00Z\"")]
    [InlineData("", "True", "")]
    public void A_pod_that_is_not_ready_or_without_an_address_has_no_workers(string address, string ready, string more) =>
        Assert.Empty(PodWorkers.Of(Read("""{"app":"sglang","role":"decode"}""", address: address, ready: ready, more: more), Options));

    [Theory]
    [InlineData("""{"smg.ai/worker-ports":"http"}""", "http is no port")]
    [InlineData("""{"smg.ai/worker-ports":"70000"}""", "70000 is no port")]
    [InlineData("""{"smg.ai/worker-ports":"1,2,3","sglang.ai/bootstrap-port":"4,5"}""", "2 ports for 3 workers")]
    public void An_annotation_that_makes_no_sense_is_refused_with_the_pods_name(string annotations, string word)
    {
        FormatException said = Assert.Throws<FormatException>(() => PodWorkers.Of(Read("""{"app":"sglang","role":"prefill"}""", annotations), Options));

        Assert.Contains("inference/pod-u", said.Message, StringComparison.Ordinal);
        Assert.Contains(word, said.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_server_filters_by_what_all_selectors_have_in_common()
    {
        Assert.Equal("app=sglang", PodWorkers.CommonSelector(Options));
        Assert.Equal("app=sglang,role=decode", PodWorkers.CommonSelector(Options with { Selector = new Dictionary<string, string>(), PrefillSelector = new Dictionary<string, string>() }));
    }

    [Theory]
    [InlineData("10.0.0.1", "443", "https://10.0.0.1/")]
    [InlineData("fd00::1", "6443", "https://[fd00::1]:6443/")]
    public void The_api_server_is_where_the_pods_environment_says(string host, string port, string expected) =>
        Assert.Equal(expected, DiscoveryOptions.InCluster(name => name == "KUBERNETES_SERVICE_HOST" ? host : name == "KUBERNETES_SERVICE_PORT" ? port : null).ApiServer.ToString());

    [Fact]
    public void Outside_a_cluster_the_flag_is_refused() =>
        Assert.Contains("--service-discovery", Assert.Throws<FormatException>(() => DiscoveryOptions.InCluster(_ => null)).Message, StringComparison.Ordinal);
}
