using Baton.Cli.Supervision;

namespace Baton.Cli.Tests.Supervision;

public sealed class ClusterPlanTests
{
    [Fact]
    public void A_plain_cluster_is_a_prefill_worker_a_decode_worker_and_a_router_that_knows_both()
    {
        ClusterOptions options = new() { ModelPath = "/m.gguf" };

        ClusterPlan plan = ClusterPlan.Create(options, [1001, 1002, 1003]);

        Assert.Equal(
            [
                "prefill-0: serve --disaggregation-mode prefill --host 127.0.0.1 --port 1002 --disaggregation-bootstrap-port 1001 --dp-size 2 --model-path /m.gguf",
                "decode-0: serve --disaggregation-mode decode --host 127.0.0.1 --port 1003 --dp-size 2 --model-path /m.gguf",
                "router: router --host 127.0.0.1 --port 30000 --prefill http://127.0.0.1:1002 1001 --decode http://127.0.0.1:1003",
            ],
            plan.Children.Select(Line));
        Assert.Equal(new Uri("http://127.0.0.1:30000"), plan.Entry);
    }

    [Fact]
    public void Every_worker_has_ports_of_its_own_and_the_router_pairs_each_prefill_worker_with_its_bootstrap_port()
    {
        ClusterOptions options = new() { PrefillWorkers = 2, DecodeWorkers = 3 };

        ClusterPlan plan = ClusterPlan.Create(options, [1, 2, 3, 4, 5, 6, 7]);

        Assert.Equal(["prefill-0", "prefill-1", "decode-0", "decode-1", "decode-2", "router"], plan.Children.Select(child => child.Name));
        Assert.Equal(6, plan.Children.Select(child => child.Url.Port).Distinct().Count());
        Assert.EndsWith(
            "--prefill http://127.0.0.1:2 1 --prefill http://127.0.0.1:4 3 --decode http://127.0.0.1:5 --decode http://127.0.0.1:6 --decode http://127.0.0.1:7",
            Line(plan.Children[^1]), StringComparison.Ordinal);
    }

    [Fact]
    public void A_unified_cluster_is_one_worker_on_the_port_that_clients_use()
    {
        ClusterOptions options = new() { IsUnified = true, Port = 8080, Host = "0.0.0.0", WorkerArguments = ["--context-length", "512"] };

        ClusterPlan plan = ClusterPlan.Create(options, []);

        Assert.Equal("unified: serve --host 0.0.0.0 --port 8080 --dp-size 2 --context-length 512", Line(Assert.Single(plan.Children)));
        Assert.Equal(new Uri("http://127.0.0.1:8080"), plan.Entry);
    }

    [Fact]
    public void A_key_is_asked_for_by_all_and_sent_by_the_router()
    {
        ClusterPlan plan = ClusterPlan.Create(new ClusterOptions { ApiKey = "k" }, [1, 2, 3]);

        Assert.Equal(
            [
                "prefill-0: serve --disaggregation-mode prefill --host 127.0.0.1 --port 2 --disaggregation-bootstrap-port 1 --dp-size 2 --api-key k",
                "decode-0: serve --disaggregation-mode decode --host 127.0.0.1 --port 3 --dp-size 2 --api-key k",
                "router: router --host 127.0.0.1 --port 30000 --api-key k --worker-api-key k --prefill http://127.0.0.1:2 1 --decode http://127.0.0.1:3",
            ],
            plan.Children.Select(Line));
    }

    [Fact]
    public void Too_few_ports_are_refused_with_both_counts()
    {
        ClusterOptions options = new() { PrefillWorkers = 2 };

        ArgumentException refused = Assert.Throws<ArgumentException>(() => ClusterPlan.Create(options, [1, 2]));

        Assert.StartsWith("This cluster needs 5 ports and got 2.", refused.Message, StringComparison.Ordinal);
    }

    private static string Line(ChildSpec child) => $"{child.Name}: {string.Join(' ', child.Arguments)}";
}
