using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Baton.Testing.Http;

/// <summary>A worker over a real socket that does what a test says: answers, streams, hangs, cuts, resets.</summary>
/// <remarks>HTTP/1.1 with keep-alive on port 0 of loopback. <c>/health</c>, <c>/server_info</c> and <c>/v1/loads</c> are answered unless the test takes them over.</remarks>
public sealed class ScriptedWorker : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _stop = new();
    private readonly ConcurrentDictionary<Socket, byte> _open = new();
    private readonly Task _accepting;
    private int _accepted;

    public ScriptedWorker(Func<ScriptedExchange, Task> onRequest, string serverInfo = "{}")
    {
        OnRequest = onRequest;
        ServerInfo = serverInfo;
        _listener.Start();
        Port = ((IPEndPoint)_listener.LocalEndpoint).Port;
        _accepting = AcceptAsync();
    }

    public int Port { get; }

    public string Url => $"http://127.0.0.1:{Port}";

    /// <summary>Called for every request but the ones answered here. May be replaced at any time.</summary>
    public Func<ScriptedExchange, Task> OnRequest { get; set; }

    /// <summary>Takes over <c>/health</c> when set.</summary>
    public Func<ScriptedExchange, Task>? OnHealth { get; set; }

    /// <summary>The document of <c>/server_info</c>.</summary>
    public string ServerInfo { get; set; }

    /// <summary>The document of <c>/v1/loads</c>; null answers 404.</summary>
    public string? Loads { get; set; }

    /// <summary>Closes the next kept connection that brings a data request, before any answer; fresh connections are served.</summary>
    public bool CloseNextUnanswered { get; set; }

    /// <summary>Every request that reached <see cref="OnRequest"/>, oldest first.</summary>
    public ConcurrentQueue<ScriptedExchange> Seen { get; } = new();

    /// <summary>Every request line, control requests included.</summary>
    public ConcurrentQueue<string> Lines { get; } = new();

    /// <summary>Connections that are open now.</summary>
    public int OpenConnections => _open.Count;

    /// <summary>Connections ever accepted.</summary>
    public int Accepted => Volatile.Read(ref _accepted);

    /// <summary>Resets every open connection, as a process that is killed does.</summary>
    public void ResetAll()
    {
        foreach (Socket socket in _open.Keys) socket.Close(0);
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        _listener.Stop();
        ResetAll();
        await _accepting;
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
                socket.NoDelay = true;
                _open[socket] = 0;
                Interlocked.Increment(ref _accepted);
                serving.RemoveAll(s => s.IsCompleted);
                serving.Add(ServeAsync(socket));
            }
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
        {
            // Stopped.
        }
        ResetAll();
        await Task.WhenAll(serving);
    }

    private async Task ServeAsync(Socket socket)
    {
        await Task.Yield();
        await using NetworkStream stream = new(socket, ownsSocket: true);
        try
        {
            int served = 0;
            while (await ScriptedExchange.ReadAsync(stream, socket, _stop.Token) is { } exchange)
            {
                if (served++ > 0 && CloseNextUnanswered && exchange.Method == "POST")
                {
                    CloseNextUnanswered = false;
                    return;
                }
                Lines.Enqueue($"{exchange.Method} {exchange.Target}");
                await AnswerAsync(exchange);
                if (!exchange.KeepAlive) return;
            }
        }
        catch (Exception e) when (e is IOException or SocketException or ObjectDisposedException or OperationCanceledException)
        {
            // The router, or the test, closed the connection.
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
        if (path is "/server_info" or "/get_server_info") return exchange.RespondAsync(200, ServerInfo);
        Seen.Enqueue(exchange);
        return OnRequest(exchange);
    }
}

/// <summary>One request and the way to answer it.</summary>
public sealed class ScriptedExchange
{
    private readonly NetworkStream _stream;
    private readonly Socket _socket;
    private readonly CancellationToken _stop;
    private readonly TaskCompletionSource _closed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private ScriptedExchange(NetworkStream stream, Socket socket, CancellationToken stop) => (_stream, _socket, _stop) = (stream, socket, stop);

    public string Method { get; private init; } = "";

    /// <summary>Path and query as they came.</summary>
    public string Target { get; private init; } = "";

    public IReadOnlyDictionary<string, string> Headers { get; private init; } = new Dictionary<string, string>();

    public byte[] Body { get; private set; } = [];

    public string Text => Encoding.UTF8.GetString(Body);

    public bool KeepAlive { get; private set; } = true;

    /// <summary>Ends when the router closed this connection. Only watched by <see cref="HangAsync"/>.</summary>
    public Task Closed => _closed.Task;

    internal static async Task<ScriptedExchange?> ReadAsync(NetworkStream stream, Socket socket, CancellationToken stop)
    {
        List<byte> head = [];
        byte[] one = new byte[1];
        while (head.Count < 4 || !head[^4..].SequenceEqual("\r\n\r\n"u8.ToArray()))
        {
            if (await stream.ReadAsync(one, stop) == 0) return null;
            head.Add(one[0]);
        }
        string[] lines = Encoding.ASCII.GetString([.. head]).Split("\r\n", StringSplitOptions.RemoveEmptyEntries);
        string[] request = lines[0].Split(' ');
        Dictionary<string, string> headers = new(StringComparer.OrdinalIgnoreCase);
        foreach (string line in lines[1..]) headers[line[..line.IndexOf(':', StringComparison.Ordinal)]] = line[(line.IndexOf(':', StringComparison.Ordinal) + 1)..].Trim();
        ScriptedExchange exchange = new(stream, socket, stop) { Method = request[0], Target = request[1], Headers = headers };
        if (headers.TryGetValue("content-length", out string? length))
        {
            exchange.Body = new byte[int.Parse(length, CultureInfo.InvariantCulture)];
            await stream.ReadExactlyAsync(exchange.Body, stop);
        }
        return exchange;
    }

    /// <summary>Answers with a whole body.</summary>
    public Task RespondAsync(int status, string body, params (string Name, string Value)[] headers)
    {
        string extra = string.Concat(headers.Select(h => $"{h.Name}: {h.Value}\r\n"));
        int length = Encoding.UTF8.GetByteCount(body);
        return WriteRawAsync($"HTTP/1.1 {status} Scripted\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{extra}\r\n{body}");
    }

    /// <summary>Begins a chunked answer.</summary>
    public Task StartStreamAsync(int status = 200, string contentType = "text/event-stream") =>
        WriteRawAsync($"HTTP/1.1 {status} Scripted\r\nContent-Type: {contentType}\r\nTransfer-Encoding: chunked\r\n\r\n");

    /// <summary>One chunk of a chunked answer.</summary>
    public Task WriteChunkAsync(string text) => WriteRawAsync($"{Encoding.UTF8.GetByteCount(text):x}\r\n{text}\r\n");

    public Task EndStreamAsync() => WriteRawAsync("0\r\n\r\n");

    /// <summary>Bytes on the wire, as they are.</summary>
    public async Task WriteRawAsync(string text) => await _stream.WriteAsync(Encoding.UTF8.GetBytes(text), _stop);

    /// <summary>Answers nothing until the router closes the connection; then <see cref="Closed"/> ends.</summary>
    public async Task HangAsync()
    {
        KeepAlive = false;
        byte[] one = new byte[1];
        try
        {
            while (await _stream.ReadAsync(one, _stop) > 0) { }
        }
        catch (IOException)
        {
            // A reset is a close as well.
        }
        _closed.TrySetResult();
    }

    /// <summary>Closes the connection with a reset, in the middle of whatever was said.</summary>
    public void Reset()
    {
        KeepAlive = false;
        _socket.LingerState = new LingerOption(true, 0);
        _socket.Close();
    }

    /// <summary>Closes the connection in order.</summary>
    public void Close()
    {
        KeepAlive = false;
        _socket.Shutdown(SocketShutdown.Both);
    }
}
