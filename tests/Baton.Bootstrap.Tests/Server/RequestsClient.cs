using System.Net.Sockets;
using System.Text;
using Baton.Core.Ids;

namespace Baton.Bootstrap.Tests.Server;

/// <summary>One keep-alive HTTP/1.1 connection that sends what Python's <c>requests</c> sends, byte by byte, as SGLang's workers do.</summary>
internal sealed class RequestsClient : IDisposable
{
    private readonly TcpClient _tcp = new() { NoDelay = true };
    private readonly BootstrapAddress _server;
    private readonly NetworkStream _stream;

    public RequestsClient(BootstrapAddress server)
    {
        _server = server;
        _tcp.Connect(server.Host, server.Port);
        _stream = _tcp.GetStream();
        _stream.ReadTimeout = 30_000;
    }

    public string? Authorization { get; set; }

    public string? Incarnation { get; set; }

    public async Task<RawResponse> SendAsync(string method, string path, string? json = null)
    {
        await WriteAsync(method, path, json);
        return await ReadAsync(hasBody: method != "HEAD");
    }

    public async Task WriteAsync(string method, string path, string? json = null)
    {
        byte[] body = json is null ? [] : Encoding.UTF8.GetBytes(json);
        StringBuilder head = new($"{method} {path} HTTP/1.1\r\nHost: {_server}\r\nUser-Agent: python-requests/2.32.3\r\n");
        head.Append("Accept-Encoding: gzip, deflate\r\nAccept: */*\r\nConnection: keep-alive\r\n");
        if (Authorization is not null) head.Append($"Authorization: {Authorization}\r\n");
        if (Incarnation is not null) head.Append($"X-Baton-Worker-Incarnation: {Incarnation}\r\n");
        if (json is not null) head.Append($"Content-Length: {body.Length}\r\nContent-Type: application/json\r\n");
        head.Append("\r\n");
        await _stream.WriteAsync(Encoding.ASCII.GetBytes(head.ToString()));
        await _stream.WriteAsync(body);
    }

    /// <summary>Announces a body and sends none of it: a server that refuses its length answers, and no byte is under way when it hangs up.</summary>
    public async Task AnnounceAsync(string method, string path, int contentLength) => await _stream.WriteAsync(Encoding.ASCII.GetBytes(
        $"{method} {path} HTTP/1.1\r\nHost: {_server}\r\nContent-Length: {contentLength}\r\nContent-Type: application/json\r\n\r\n"));

    public async Task<RawResponse> ReadAsync(bool hasBody = true)
    {
        using CancellationTokenSource deadline = new(TimeSpan.FromSeconds(30));
        List<string> lines = [];
        while (await ReadLineAsync(deadline.Token) is { Length: > 0 } line) lines.Add(line);
        Dictionary<string, string> headers = lines.Skip(1).Select(l => l.Split(": ", 2)).ToDictionary(h => h[0], h => h[1], StringComparer.OrdinalIgnoreCase);
        byte[] body = new byte[hasBody && headers.TryGetValue("Content-Length", out string? length) ? int.Parse(length) : 0];
        await _stream.ReadExactlyAsync(body, deadline.Token);
        return new RawResponse(int.Parse(lines[0].Split(' ')[1]), headers, Encoding.UTF8.GetString(body));
    }

    public void Dispose() => _tcp.Dispose();

    private async Task<string> ReadLineAsync(CancellationToken ct)
    {
        StringBuilder line = new();
        byte[] one = new byte[1];
        while (true)
        {
            await _stream.ReadExactlyAsync(one, ct);
            if (one[0] == '\n') return line.ToString().TrimEnd('\r');
            line.Append((char)one[0]);
        }
    }
}

internal sealed record RawResponse(int Status, IReadOnlyDictionary<string, string> Headers, string Body)
{
    public string ContentType => Headers.TryGetValue("Content-Type", out string? type) ? type : "";
}
