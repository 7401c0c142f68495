using System.Text.Json;
using Baton.Bench.Conformance;
using Baton.Router.KvEvents;
using Baton.Router.Tests.Http;
using Baton.Router.Workers;

namespace Baton.Router.Tests.KvEvents;

/// <summary>A router in front of workers that publish KV events, all over real sockets.</summary>
public sealed class KvEventsTests
{
    private static readonly RouterOptions CacheAware = new() { Policy = "cache_aware", LoadInterval = TimeSpan.Zero };

    private static Task Ok(ScriptedExchange exchange) => exchange.RespondAsync(200, """{"text":"hello","meta_info":{}}""");

    private static string Info(string config, int dpSize = 1) => $$"""{"dp_size":{{dpSize}},"kv_events_config":{{JsonSerializer.Serialize(config)}}}""";

    private static string Zmq(int port) => $$"""{"publisher":"zmq","endpoint":"tcp://*:{{port}}","topic":"kv"}""";

    /// <summary>Two publishers at consecutive ports, as two ranks have them.</summary>
    private static (ScriptedPublisher First, ScriptedPublisher Second) Neighbours()
    {
        while (true)
        {
            ScriptedPublisher first = new();
            try
            {
                return (first, new ScriptedPublisher(first.Port + 1));
            }
            catch (Exception e) when (e is System.Net.Sockets.SocketException or ArgumentOutOfRangeException)
            {
                // That port is somebody else's: the first one stays bound for this test, and another pair is looked for.
            }
        }
    }

    private static async Task<JsonElement> ExplainAsync(RouterHarness harness, string body)
    {
        using HttpResponseMessage answer = await harness.PostAsync("/routes/explain", body);
        return JsonDocument.Parse(await answer.Content.ReadAsStringAsync()).RootElement.GetProperty("decode");
    }

    [Fact]
    public async Task Each_rank_is_followed_and_a_prompt_of_token_ids_goes_to_the_one_that_holds_it()
    {
        (ScriptedPublisher first, ScriptedPublisher second) = Neighbours();
        await using ScriptedPublisher one = first, other = second;
        await using ScriptedWorker worker = new(Ok, Info(Zmq(first.Port), dpSize: 2));
        await using RouterHarness harness = await RouterHarness.StartAsync([], [], CacheAware, [worker]);
        await RouterHarness.Until(() => first.Topic == "kv" && second.Topic == "kv", "both ranks are followed");
        await first.SendAsync(0, KvWire.Batch(KvWire.Stored([1], null, [7, 8], 2)));
        await second.SendAsync(0, KvWire.Batch(KvWire.Stored([1, 2], null, [7, 8, 9, 10], 2)));
        RankState rank = harness.Server.Router.Fleet.Now.All[0].Rank(1);
        await RouterHarness.Until(() => rank.Blocks.Count == 2 && harness.Server.Router.Fleet.Now.All[0].Rank(0).Blocks.Count == 1, "all blocks are known");

        JsonElement ids = await ExplainAsync(harness, """{"input_ids":[7,8,9,10,11]}"""), text = await ExplainAsync(harness, """{"text":"7,8,9,10,11"}""");
        using HttpResponseMessage answer = await harness.PostAsync("/generate", """{"input_ids":[7,8,9,10,11]}""");
        string metrics = await harness.Client.GetStringAsync("/metrics");

        Assert.Equal((worker.Url + "@1", "cache_hit", "kv_events", 4),
            (ids.GetProperty("chosen").GetString(), ids.GetProperty("branch").GetString(), ids.GetProperty("matched_by").GetString(), ids.GetProperty("matched_tokens").GetInt32()));
        Assert.Equal(("cache_miss", "sent_before", JsonValueKind.Null), (text.GetProperty("branch").GetString(), text.GetProperty("matched_by").GetString(), text.GetProperty("matched_tokens").ValueKind));
        Assert.Contains("\"routed_dp_rank\":1", Assert.Single(worker.Seen).Text, StringComparison.Ordinal);
        string label = $"worker=\"{worker.Url}\"}}";
        foreach (string line in (string[])[$"live{{rank=\"1\",{label} 1", $"blocks{{rank=\"1\",{label} 2", $"batches_total{{rank=\"1\",{label} 1", $"forgotten_total{{rank=\"1\",reason=\"gap\",{label} 0"])
            Assert.Contains($"baton_kv_events_{line}\n", metrics, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_removed_worker_is_no_longer_followed()
    {
        await using ScriptedPublisher publisher = new();
        await using ScriptedWorker worker = new(Ok, Info(Zmq(publisher.Port)));
        await using RouterHarness harness = await RouterHarness.StartAsync([], [], CacheAware, [worker]);
        await RouterHarness.Until(() => publisher.Topic is not null, "it is followed");

        using HttpResponseMessage gone = await harness.Client.DeleteAsync("/workers/w1?drain=false");

        await RouterHarness.Until(() => publisher.Left == 1, "its follower left");
        Assert.DoesNotContain("baton_kv_events_live{", await harness.Client.GetStringAsync("/metrics"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_worker_that_moves_its_publisher_is_followed_to_the_new_port()
    {
        await using ScriptedPublisher before = new(), after = new();
        await using ScriptedWorker worker = new(Ok, Info(Zmq(before.Port)));
        await using RouterHarness harness = await RouterHarness.StartAsync([], [], CacheAware with { ServerInfoInterval = TimeSpan.Zero, HealthCheckInterval = TimeSpan.FromSeconds(0.2) }, [worker]);
        await RouterHarness.Until(() => before.Topic is not null, "it is followed");

        worker.ServerInfo = Info(Zmq(after.Port));

        await RouterHarness.Until(() => before.Left == 1 && after.Topic is not null, "the new port is followed and the old one left");
    }

    [Theory]
    [InlineData("cache_aware", KvEventsMode.Off)]
    [InlineData("least_load", KvEventsMode.Auto)]
    public async Task Nobody_is_followed_when_it_is_off_or_no_policy_reads_it(string policy, KvEventsMode mode)
    {
        await using ScriptedPublisher publisher = new();
        await using ScriptedWorker worker = new(Ok, Info(Zmq(publisher.Port)));
        await using RouterHarness harness = await RouterHarness.StartAsync([], [], CacheAware with { Policy = policy, KvEvents = mode, HealthCheckInterval = TimeSpan.FromSeconds(1.5) }, [worker]);

        // A connection would be started within a second of the first reading: the second health check is later than that.
        await RouterHarness.Until(() => worker.Lines.Count(line => line.Contains("/health", StringComparison.Ordinal)) >= 2, "it was checked again");

        Assert.Equal(0, publisher.Accepted);
        Assert.False(harness.Server.Router.Fleet.Now.All[0].Rank(0).Blocks.IsFollowed);
    }

    [Theory]
    [InlineData("""{"publisher":"zmq"}""", 5557, "")]
    [InlineData("""{"publisher":"zmq","endpoint":"tcp://*:6000","topic":"kv"}""", 6000, "kv")]
    [InlineData("""{"publisher":"zmq","endpoint":"tcp://0.0.0.0:1"}""", 1, "")]
    [InlineData("""{"publisher":"zmq","endpoint":"tcp://[::]:65535"}""", 65535, "")]
    [InlineData("""{"publisher":"zmq","endpoint":"tcp://*:65536"}""", null, "")]
    [InlineData("""{"publisher":"zmq","endpoint":"tcp://*:0"}""", null, "")]
    [InlineData("""{"publisher":"zmq","endpoint":"tcp://*:"}""", null, "")]
    [InlineData("""{"publisher":"zmq","endpoint":"tcp://10.0.0.9:5557"}""", null, "")]
    [InlineData("""{"publisher":"zmq","endpoint":"ipc:///tmp/kv"}""", null, "")]
    public void The_port_is_read_where_a_publisher_listens_at_its_own_host(string config, int? port, string topic)
    {
        KvEventsConfig fromText = WorkerInfo.Parse(System.Text.Encoding.UTF8.GetBytes(Info(config))).KvEvents!;
        KvEventsConfig fromObject = WorkerInfo.Parse(System.Text.Encoding.UTF8.GetBytes($$"""{"kv_events_config":{{config}}}""")).KvEvents!;

        Assert.Equal((port, topic), (fromText.Port, fromText.Topic));
        Assert.Equal(fromText, fromObject);
    }

    [Theory]
    [InlineData("null")]
    [InlineData("7")]
    [InlineData("\"\"")]
    [InlineData("\"not json\"")]
    [InlineData("\"[]\"")]
    [InlineData("{}")]
    [InlineData("""{"publisher":"null"}""")]
    [InlineData("""{"publisher":"kafka","endpoint":"tcp://*:5557"}""")]
    public void A_worker_without_a_ZeroMQ_publisher_is_not_followed(string config) =>
        Assert.Null(WorkerInfo.Parse(System.Text.Encoding.UTF8.GetBytes($$"""{"kv_events_config":{{config}}}""")).KvEvents);

    [Fact]
    public void A_topic_that_is_too_long_is_not_subscribed_to() =>
        Assert.Null(WorkerInfo.Parse(System.Text.Encoding.UTF8.GetBytes($$$"""{"kv_events_config":{"publisher":"zmq","topic":"{{{new string('t', 201)}}}"}}""")).KvEvents!.Port);
}
