using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;

namespace Baton.Bench.Conformance;

/// <summary>A worker over a real socket that does what it is told: answers, streams, hangs, cuts, resets.</summary>
/// <remarks>HTTP/1.1 with keep-alive. <c>/health</c>, <c>/server_info</c>, <c>/model_info</c>, <c>/v1/loads</c> and <c>/metrics</c> are answered by themselves.</remarks>
public sealed class ScriptedWorker : IAsyncDisposable
{
    private readonly TcpListener _listener;
    private readonly IPEndPoint _at;
    private readonly CancellationTokenSource _stop = new();
    private readonly ConcurrentDictionary<Socket, byte> _open = new();
    private readonly Task _accepting;
    private int _accepted;

    /// <param name="listen">Where to listen; null takes a free port of the loopback.</param>
    /// <exception cref="SocketException">The port is taken.</exception>
    public ScriptedWorker(Func<ScriptedExchange, Task> onRequest, string serverInfo = "{}", IPEndPoint? listen = null)
    {
        OnRequest = onRequest;
        ServerInfo = serverInfo;
        _listener = new TcpListener(listen ?? new IPEndPoint(IPAddress.Loopback, 0));
        _listener.Start();
        _at = (IPEndPoint)_listener.LocalEndpoint;
        _accepting = AcceptAsync();
    }

    public int Port => _at.Port;

    /// <summary>Base URL, an IPv6 address in brackets.</summary>
    public string Url => $"http://{_at}";

    /// <summary>Called for every request but the ones answered here. May be replaced at any time.</summary>
    public Func<ScriptedExchange, Task> OnRequest { get; set; }

    /// <summary>Takes over <c>/health</c> when set.</summary>
    public Func<ScriptedExchange, Task>? OnHealth { get; set; }

    /// <summary>The document of <c>/server_info</c>.</summary>
    public string ServerInfo { get; set; }

    /// <summary>The document of <c>/v1/loads</c>; null answers 404.</summary>
    public string? Loads { get; set; }

    /// <summary>The text of <c>/metrics</c>; null answers 404.</summary>
    public string? Metrics { get; set; }

    /// <summary>Closes the next kept connection that brings a data request, before any answer; fresh connections are served.</summary>
    public bool CloseNextUnanswered { get; set; }

    /// <summary>False for runs whose memory is judged: <see cref="Seen"/> and <see cref="Lines"/> stay empty.</summary>
    public bool IsRecording { get; init; } = true;

    /// <summary>Every request that reached <see cref="OnRequest"/>, oldest first.</summary>
    public ConcurrentQueue<ScriptedExchange> Seen { get; } = new();

    /// <summary>Every request line, control requests included.</summary>
    public ConcurrentQueue<string> Lines { get; } = new();

    /// <summary>Connections that are open now.</summary>
    public int OpenConnections => _open.Count;

    /// <summary>Connections ever accepted.</summary>
    public int Accepted => Volatile.Read(ref _accepted);

    /// <summary>Begins anew: answers by <paramref name="onRequest"/>, is healthy, and has seen nothing.</summary>
    public void Behave(Func<ScriptedExchange, Task> onRequest)
    {
        OnRequest = onRequest;
        OnHealth = null;
        CloseNextUnanswered = false;
        Seen.Clear();
        Lines.Clear();
    }

    /// <summary>Resets every open connection, as a process that is killed does.</summary>
    public void ResetAll()
    {
        foreach (Socket socket in _open.Keys) socket.Close(0);
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        // The loop has to be through first: between two connections it would meet a listener that no longer listens.
        await _accepting;
        _listener.Stop();
        _stop.Dispose();
    }

    private async Task AcceptAsync()
    {
        List<Task> serving = [];
        try
        {
            while (true)
            {
                Socket socket = await _listener.AcceptSocketAsync(_stop.Token);
                _open[socket] = 0;
                Interlocked.Increment(ref _accepted);
                serving.RemoveAll(s => s.IsCompleted);
                serving.Add(ServeAsync(socket));
            }
        }
        catch (OperationCanceledException)
        {
            // Stopped.
        }
        ResetAll();
        await Task.WhenAll(serving);
    }

    private async Task ServeAsync(Socket socket)
    {
        await Task.Yield();
        try
        {
            // Both fail like a broken connection when the worker was reset or ended before this line.
            socket.NoDelay = true;
            await using NetworkStream stream = new(socket, ownsSocket: true);
            int served = 0;
            while (await ScriptedExchange.ReadAsync(stream, socket, _stop.Token) is { } exchange)
            {
                if (served++ > 0 && CloseNextUnanswered && exchange.Method == "POST")
                {
                    CloseNextUnanswered = false;
                    return;
                }
                if (IsRecording) Lines.Enqueue($"{exchange.Method} {exchange.Target}");
                // An answer that waits for what never comes must not keep the worker from ending.
                await AnswerAsync(exchange).WaitAsync(_stop.Token);
                if (!exchange.KeepAlive) return;
            }
        }
        catch (Exception e) when (e is IOException or SocketException or ObjectDisposedException or OperationCanceledException)
        {
            // The router, or whoever runs this, closed the connection.
        }
        finally
        {
            _open.TryRemove(socket, out _);
        }
    }

    private Task AnswerAsync(ScriptedExchange exchange)
    {
        string path = exchange.Target.Split('?')[0];
        if (path == "/health") return OnHealth is { } health ? health(exchange) : exchange.RespondAsync(200, "");
        if (path == "/v1/loads") return Loads is { } loads ? exchange.RespondAsync(200, loads) : exchange.RespondAsync(404, "{}");
        if (path == "/metrics") return Metrics is { } metrics ? exchange.RespondAsync(200, metrics) : exchange.RespondAsync(404, "{}");
        if (path is "/server_info" or "/get_server_info") return exchange.RespondAsync(200, ServerInfo);
        if (path is "/model_info" or "/get_model_info") return exchange.RespondAsync(200, """{"model_path":"scripted","is_generation":true}""");
        if (IsRecording) Seen.Enqueue(exchange);
        return OnRequest(exchange);
    }
}
