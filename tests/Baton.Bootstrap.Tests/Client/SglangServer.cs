using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using Baton.Core.Ids;

namespace Baton.Bootstrap.Tests.Client;

/// <summary>A stand-in for SGLang's bootstrap server with two ranks: its four routes, its JSON with blanks, no header of ours, 404 for the rest.</summary>
internal sealed class SglangServer : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _stop = new();
    private readonly Dictionary<string, int> _rooms = [];
    private readonly Task _running;

    public SglangServer()
    {
        _listener.Start();
        _running = RunAsync();
    }

    public BootstrapAddress Address => new("127.0.0.1", ((IPEndPoint)_listener.LocalEndpoint).Port);

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        // The loop has to be through first: between two connections it would meet a listener that no longer listens.
        await _running;
        _listener.Stop();
        _stop.Dispose();
    }

    private async Task RunAsync()
    {
        List<Task> connections = [];
        try
        {
            while (true) connections.Add(ServeAsync(await _listener.AcceptTcpClientAsync(_stop.Token)));
        }
        catch (OperationCanceledException)
        {
            await Task.WhenAll(connections);
        }
    }

    private async Task ServeAsync(TcpClient client)
    {
        using TcpClient owned = client;
        try
        {
            using StreamReader reader = new(client.GetStream(), Encoding.ASCII);
            while (await reader.ReadLineAsync(_stop.Token) is { Length: > 0 } request)
            {
                int length = 0;
                while (await reader.ReadLineAsync(_stop.Token) is { Length: > 0 } header)
                {
                    if (header.StartsWith("Content-Length:", StringComparison.OrdinalIgnoreCase)) length = int.Parse(header.Split(':')[1]);
                }
                char[] body = new char[length];
                if (length > 0) await reader.ReadBlockAsync(body, _stop.Token);
                (int status, string answer) = Answer(request, new string(body));
                string response = $"HTTP/1.1 {status} X\r\nContent-Type: text/plain\r\nContent-Length: {answer.Length}\r\n\r\n{answer}";
                await client.GetStream().WriteAsync(Encoding.ASCII.GetBytes(response), _stop.Token);
            }
        }
        catch (Exception e) when (e is IOException or OperationCanceledException)
        {
            // The client or the test is done.
        }
    }

    private (int Status, string Body) Answer(string request, string body)
    {
        if (request.StartsWith("GET /health", StringComparison.Ordinal)) return (200, "OK");
        if (request.StartsWith("GET /route?prefill_dp_rank=-1", StringComparison.Ordinal))
            return (200, """{"attn_tp_size": 1, "attn_cp_size": 1, "dp_size": 2, "pp_size": 1, "page_size": 1, "kv_cache_dtype": "auto", "follow_bootstrap_room": false, "some_newer_key": [1, 2], "target_tp_rank": null}""");
        if (request.StartsWith("GET /route?prefill_dp_rank=1&", StringComparison.Ordinal)) return (200, """{"rank_ip": "10.0.0.9", "rank_port": "4001"}""");
        if (request.StartsWith("GET /route", StringComparison.Ordinal)) return (404, "Bootstrap info not found");
        if (request.StartsWith("POST /register_dp_rank", StringComparison.Ordinal))
        {
            using JsonDocument json = JsonDocument.Parse(body);
            lock (_rooms) _rooms[json.RootElement.GetProperty("bootstrap_room").GetRawText()] = json.RootElement.GetProperty("dp_rank").GetInt32();
            return (200, "OK");
        }
        if (!request.StartsWith("POST /query_dp_ranks", StringComparison.Ordinal)) return (404, "404: Not Found");
        using JsonDocument query = JsonDocument.Parse(body);
        lock (_rooms)
        {
            IEnumerable<string> known = query.RootElement.GetProperty("bootstrap_rooms").EnumerateArray().Select(r => r.GetRawText())
                .Where(_rooms.ContainsKey).Select(r => $"\"{r}\": {_rooms[r]}");
            return (200, "{" + string.Join(", ", known) + "}");
        }
    }
}
