using System.Net;
using System.Net.Sockets;

namespace Baton.Router.Legs;

/// <summary>Legs over HTTP/1.1 keep-alive connections, one pool for all workers.</summary>
public sealed class HttpLegTransport : ILegTransport, IDisposable
{
    private readonly HttpMessageInvoker _http;

    /// <param name="connectTimeout">For one TCP connection.</param>
    public HttpLegTransport(TimeSpan connectTimeout)
    {
        _http = new HttpMessageInvoker(new SocketsHttpHandler
        {
            ConnectTimeout = connectTimeout,
            PooledConnectionIdleTimeout = TimeSpan.FromSeconds(50),
            MaxConnectionsPerServer = int.MaxValue,
            AllowAutoRedirect = false,
            AutomaticDecompression = DecompressionMethods.None,
            UseCookies = false,
            UseProxy = false,
            // Trace context is forwarded from the client's headers; the handler must not add one of its own.
            ActivityHeadersPropagator = null,
            // A response left unread is an answer nobody wants: close instead of draining it.
            MaxResponseDrainSize = 0,
            ConnectCallback = ConnectAsync,
        }, disposeHandler: true);
    }

    public async Task<ILegResponse> SendAsync(LegRequest leg, CancellationToken ct)
    {
        LegContent content = new(leg.Body);
        using HttpRequestMessage message = new(HttpMethod.Post, leg.Worker.Url + leg.Path) { Content = content };
        foreach ((string name, string value) in leg.Headers) message.Headers.TryAddWithoutValidation(name, value);
        try
        {
            return new HttpLegResponse(await _http.SendAsync(message, ct));
        }
        catch (Exception e) when (e is HttpRequestException or IOException or SocketException && !ct.IsCancellationRequested)
        {
            throw new LegException(e.InnerException is SocketException inner ? inner.Message : e.Message, e);
        }
        catch (HttpRequestException) when (ct.IsCancellationRequested)
        {
            throw new OperationCanceledException(ct);
        }
        finally
        {
            content.Release();
        }
    }

    /// <summary>A plain request to a worker (health, info, control), for callers that read small bodies whole.</summary>
    /// <exception cref="LegException">The connection failed.</exception>
    public async Task<(int Status, byte[] Body, string? ContentType)> CallAsync(
        HttpMethod method, string url, string? apiKey, ReadOnlyMemory<byte>? json, CancellationToken ct)
    {
        using HttpRequestMessage message = new(method, url);
        if (apiKey is not null) message.Headers.TryAddWithoutValidation("Authorization", "Bearer " + apiKey);
        if (json is { } body)
        {
            message.Content = new ReadOnlyMemoryContent(body);
            message.Content.Headers.TryAddWithoutValidation("Content-Type", "application/json");
        }
        try
        {
            using HttpResponseMessage response = await _http.SendAsync(message, ct);
            return ((int)response.StatusCode, await response.Content.ReadAsByteArrayAsync(ct), response.Content.Headers.ContentType?.ToString());
        }
        catch (Exception e) when (e is HttpRequestException or IOException)
        {
            throw new LegException($"{method} {url}: {e.Message}", e);
        }
    }

    public void Dispose() => _http.Dispose();

    private static async ValueTask<Stream> ConnectAsync(SocketsHttpConnectionContext context, CancellationToken ct)
    {
        Socket socket = new(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
            socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveTime, 30);
            await socket.ConnectAsync(context.DnsEndPoint, ct);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    private sealed class HttpLegResponse(HttpResponseMessage response) : ILegResponse
    {
        private Stream? _body;

        public int StatusCode => (int)response.StatusCode;

        public IEnumerable<KeyValuePair<string, string>> Headers =>
            response.Headers.NonValidated.Concat(response.Content.Headers.NonValidated)
                .SelectMany(h => h.Value, (h, value) => KeyValuePair.Create(h.Key, value));

        public async ValueTask<int> ReadAsync(Memory<byte> into, CancellationToken ct)
        {
            try
            {
                _body ??= await response.Content.ReadAsStreamAsync(ct);
                return await _body.ReadAsync(into, ct);
            }
            catch (Exception e) when (e is HttpRequestException or IOException && !ct.IsCancellationRequested)
            {
                throw new LegException(e.Message, e);
            }
            catch (Exception e) when (e is HttpRequestException or IOException)
            {
                throw new OperationCanceledException(e.Message, e, ct);
            }
        }

        public ValueTask DisposeAsync()
        {
            response.Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
