using Baton.Bootstrap.Server;
using Baton.Core.Ids;
using Baton.Simulation.Clock;
using Microsoft.Extensions.Logging.Abstractions;

namespace Baton.Bootstrap.Tests.Server;

/// <summary>A real server on a free port whose table runs on virtual time.</summary>
internal sealed class TestServer : IAsyncDisposable
{
    private readonly BootstrapServer _server;

    private TestServer(BootstrapServer server, VirtualTimeProvider time)
    {
        _server = server;
        Time = time;
    }

    public VirtualTimeProvider Time { get; }

    public BootstrapServer Server => _server;

    public BootstrapAddress Address => _server.Address;

    public static async Task<TestServer> StartAsync(Func<BootstrapServerOptions, BootstrapServerOptions>? change = null)
    {
        VirtualTimeProvider time = new();
        // The server stops by the real clock, and a busy machine may stand still for longer than the second that it has by default.
        BootstrapServerOptions options = new() { Port = 0, Seed = 7, StopTimeout = TimeSpan.FromSeconds(60) };
        BootstrapServer server = new(change?.Invoke(options) ?? options, time, NullLoggerFactory.Instance);
        await server.StartAsync(CancellationToken.None);
        return new TestServer(server, time);
    }

    public RequestsClient Connect() => new(Address);

    public ValueTask DisposeAsync() => _server.DisposeAsync();

    /// <summary>The body of PUT /route as SGLang sends it, with some fields replaced by raw JSON, or left out where that is empty.</summary>
    public static string RankBody(int rank = 0, int dpSize = 1, params (string Field, string Json)[] changes)
    {
        List<(string Field, string Json)> fields =
        [
            ("attn_tp_size", "1"), ("attn_tp_rank", "0"), ("attn_cp_size", "1"), ("attn_cp_rank", "0"), ("attn_dp_size", "1"), ("attn_dp_rank", "0"),
            ("pp_size", "1"), ("pp_rank", "0"), ("system_dp_size", $"{dpSize}"), ("system_dp_rank", $"{rank}"), ("rank_ip", "\"10.0.0.1\""),
            ("rank_port", $"{4000 + rank}"), ("page_size", "64"), ("kv_cache_dtype", "\"auto\""), ("load_balance_method", "\"round_robin\""),
            ("enable_dsa_cache_layer_split", "false"), ("prefill_http_port", "30000"),
        ];
        foreach ((string field, string json) in changes)
        {
            fields.RemoveAll(f => f.Field == field);
            if (json.Length > 0) fields.Add((field, json));
        }
        return "{" + string.Join(", ", fields.Select(f => $"\"{f.Field}\": {f.Json}")) + "}";
    }
}
