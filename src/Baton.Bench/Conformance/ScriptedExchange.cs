using System.Globalization;
using System.Net.Sockets;
using System.Text;

namespace Baton.Bench.Conformance;

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
