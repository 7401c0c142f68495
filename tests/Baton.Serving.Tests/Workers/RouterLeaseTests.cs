using System.Net;
using System.Net.Sockets;
using Baton.Core.Ids;
using Baton.Serving.Workers;
using Baton.Simulation.Clock;
using Microsoft.Extensions.Logging.Abstractions;

namespace Baton.Serving.Tests.Workers;

public sealed class RouterLeaseTests : IDisposable
{
    private readonly VirtualTimeProvider _time = new();
    private readonly VirtualRouter _router;

    public RouterLeaseTests() => _router = new VirtualRouter(_time);

    public void Dispose() => _router.Dispose();

    private RouterLease Create(Func<string>? self = null) => new(
        new Uri("http://router:30000"), "a key", self ?? (() => "http://10.0.0.2:30101"), url => new ReadOnlyMemory<byte>([.. url.Select(c => (byte)c)]),
        new HttpMessageInvoker(_router), _time, NullLogger.Instance);

    [Fact]
    public async Task A_worker_registers_at_once_renews_three_times_a_lease_and_leaves_when_it_stops()
    {
        RouterLease lease = Create();

        lease.Start();
        _time.AdvanceTo(TimeSpan.FromSeconds(12));
        await lease.DisposeAsync();
        _time.AdvanceTo(TimeSpan.FromSeconds(60));

        Assert.Equal(
            ["0 POST /workers/lease", "5 POST /workers/lease", "10 POST /workers/lease", "12 DELETE /workers/lease?url=http%3A%2F%2F10.0.0.2%3A30101"],
            _router.Seen);
        Assert.Equal("Bearer a key", _router.Key);
    }

    [Fact]
    public async Task A_router_that_is_down_is_tried_every_second_until_it_is_back()
    {
        RouterLease lease = Create();
        _router.Answer = () => throw new HttpRequestException("refused");

        lease.Start();
        _time.AdvanceTo(TimeSpan.FromSeconds(2.5));
        _router.Answer = VirtualRouter.Granted;
        _time.AdvanceTo(TimeSpan.FromSeconds(9));
        await lease.DisposeAsync();

        Assert.Equal(["0", "1", "2", "3", "8", "9"], _router.Seen.Select(s => s.Split(' ')[0]));
    }

    [Fact]
    public async Task A_router_that_does_not_answer_is_given_three_seconds()
    {
        RouterLease lease = Create();
        _router.Hangs = true;

        lease.Start();
        _time.AdvanceTo(TimeSpan.FromSeconds(5));
        await lease.DisposeAsync();

        Assert.Equal(["0", "4"], _router.Seen.Select(s => s.Split(' ')[0]));
    }

    [Fact]
    public async Task An_operators_removal_is_the_end_of_it()
    {
        RouterLease lease = Create();
        _router.Answer = () => new HttpResponseMessage(HttpStatusCode.Gone) { Content = new StringContent("removed") };

        lease.Start();
        _time.AdvanceTo(TimeSpan.FromMinutes(10));
        await lease.DisposeAsync();

        Assert.Single(_router.Seen);
    }

    [Fact]
    public async Task A_wrong_key_is_tried_again_and_nothing_is_given_back()
    {
        RouterLease lease = Create();
        _router.Answer = () => new HttpResponseMessage(HttpStatusCode.Unauthorized) { Content = new StringContent("no") };

        lease.Start();
        _time.AdvanceTo(TimeSpan.FromSeconds(1));
        await lease.DisposeAsync();

        Assert.Equal(["0 POST /workers/lease", "1 POST /workers/lease"], _router.Seen);
    }

    [Fact]
    public async Task A_router_whose_name_is_not_known_yet_is_tried_again()
    {
        bool isKnown = false;
        RouterLease lease = Create(() => isKnown ? "http://10.0.0.2:1" : throw new SocketException((int)SocketError.HostNotFound));

        lease.Start();
        _time.AdvanceTo(TimeSpan.FromSeconds(1.5));
        isKnown = true;
        _time.AdvanceTo(TimeSpan.FromSeconds(2));
        await lease.DisposeAsync();

        Assert.Equal(["2 POST /workers/lease", "2 DELETE /workers/lease?url=http%3A%2F%2F10.0.0.2%3A1"], _router.Seen);
    }

    [Theory]
    [InlineData("127.0.0.1", null, "http://127.0.0.1:4000")]
    [InlineData("0.0.0.0", null, "http://127.0.0.1:4000")]
    [InlineData("::", null, "http://127.0.0.1:4000")]
    [InlineData("0.0.0.0", "https://worker.example:8443", "https://worker.example:8443")]
    public void A_worker_is_reached_where_it_listens_or_by_the_address_that_faces_the_router(string host, string? advertised, string expected)
    {
        ServeOptions options = new() { Host = host, AdvertiseUrl = advertised is null ? null : new Uri(advertised) };

        Assert.Equal(expected, RouterRegistration.SelfUrl(options, new Uri("http://127.0.0.1:4000"), new Uri("http://127.0.0.1:30000")));
    }

    [Fact]
    public async Task A_prefill_worker_describes_its_role_port_ranks_model_and_process()
    {
        await using TestWorker worker = await TestWorker.StartAsync(TestWorker.Simulated with { Role = WorkerRole.Prefill, DpSize = 2, ApiKey = "its own" });

        using System.Text.Json.JsonDocument body = System.Text.Json.JsonDocument.Parse(RouterRegistration.Describe(worker.Worker, "http://h:1"));

        System.Text.Json.JsonElement root = body.RootElement;
        Assert.Equal(("http://h:1", "prefill", 2, "its own"), (root.GetProperty("url").GetString(), root.GetProperty("worker_type").GetString(), root.GetProperty("dp_size").GetInt32(), root.GetProperty("api_key").GetString()));
        Assert.Equal((worker.Worker.Bootstrap!.Value.Port, worker.Worker.InstanceId), (root.GetProperty("bootstrap_port").GetInt32(), root.GetProperty("instance_id").GetString()));
        Assert.Equal(worker.Worker.Text.ModelName, root.GetProperty("models")[0].GetString());
    }

    /// <summary>A router in virtual time: notes the second, the method and the path of what it is asked.</summary>
    private sealed class VirtualRouter(VirtualTimeProvider time) : HttpMessageHandler
    {
        public List<string> Seen { get; } = [];

        public string? Key { get; private set; }

        public bool Hangs { get; set; }

        public Func<HttpResponseMessage> Answer { get; set; } = Granted;

        public static HttpResponseMessage Granted() => new(HttpStatusCode.OK) { Content = new StringContent("""{"worker_id":"w1","lease_secs":15}""") };

        protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            Seen.Add($"{time.Now.TotalSeconds:0.#} {request.Method} {request.RequestUri!.PathAndQuery}");
            Key = request.Headers.Authorization?.ToString();
            if (!Hangs) return Answer();
            // Not a delay: its end goes over the thread pool.
            TaskCompletionSource never = new();
            await using CancellationTokenRegistration cancelled = cancellationToken.Register(() => never.TrySetCanceled(cancellationToken));
            await never.Task;
            return Answer();
        }
    }
}
