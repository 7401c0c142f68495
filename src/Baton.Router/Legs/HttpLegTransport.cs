using System.Net;
using System.Net.Http.Headers;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Text.Json;
using Baton.Router.Workers;

namespace Baton.Router.Legs;

/// <summary>Legs over HTTP/1.1 keep-alive connections, one pool for all workers.</summary>
/// <param name="connectTimeout">For one TCP connection.</param>
/// <param name="onReplay">Called when a leg is sent again because a kept-alive connection turned out closed.</param>
/// <param name="tls">For workers at https; null trusts the system's authorities and shows no certificate.</param>
public sealed class HttpLegTransport(TimeSpan connectTimeout, TimeProvider time, Action? onReplay = null, SslClientAuthenticationOptions? tls = null) : ILegTransport, IDisposable
{
    private static readonly TimeSpan AbortLimit = TimeSpan.FromSeconds(2);
    /// <summary>Of an answer about a worker, which is read whole: <c>/metrics</c> of a large one has some hundred KB.</summary>
    private const int MaxAnswerBytes = 16 * 1024 * 1024;
    private readonly HttpMessageInvoker _http = CreateClient(connectTimeout, tls);

    private static HttpMessageInvoker CreateClient(TimeSpan connectTimeout, SslClientAuthenticationOptions? tls) =>
        new(new SocketsHttpHandler
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
            // Above TLS: a handshake's bytes are no answer.
            PlaintextStreamFilter = static (context, _) => ValueTask.FromResult<Stream>(new LegStream(context.PlaintextStream)),
            SslOptions = tls ?? new SslClientAuthenticationOptions(),
        }, disposeHandler: true);

    public async Task<ILegResponse> SendAsync(LegRequest leg, CancellationToken ct)
    {
        LegContent content = new(leg.Body);
        try
        {
            for (bool isAgain = false; ; isAgain = true)
            {
                using HttpRequestMessage message = MessageOf(leg, content);
                try
                {
                    return new HttpLegResponse(await _http.SendAsync(message, ct));
                }
                catch (Exception e) when (e is HttpRequestException or IOException or SocketException)
                {
                    if (ct.IsCancellationRequested) throw new OperationCanceledException(e.Message, e, ct);
                    // The worker closed the idle connection while we picked it up: the request never arrived. Once more, on another one.
                    if (isAgain || !IsStale(e)) throw new LegException(Cause(e), e);
                    onReplay?.Invoke();
                }
            }
        }
        finally
        {
            content.Release();
        }
    }

    public void Abort(Worker worker, string requestId) => _ = AbortAsync(worker, requestId);

    private static HttpRequestMessage MessageOf(LegRequest leg, LegContent content)
    {
        HttpRequestMessage message = new(HttpMethod.Post, leg.Target) { Content = new KeptContent(content) };
        foreach ((string name, string value) in leg.Headers) message.Headers.TryAddWithoutValidation(name, value);
        return message;
    }

    // An error while a body is written arrives in more than one wrapper.
    private static bool IsStale(Exception? e) => e is not null && (e is StaleConnectionException || IsStale(e.InnerException));

    private async Task AbortAsync(Worker worker, string requestId)
    {
        using CancellationTokenSource limit = new(AbortLimit, time);
        try
        {
            byte[] json = JsonSerializer.SerializeToUtf8Bytes(new Dictionary<string, string> { ["rid"] = requestId }, RouterJson.Default.DictionaryStringString);
            await CallAsync(HttpMethod.Post, worker.Url + "/abort_request", worker.Spec.ApiKey, json, limit.Token);
        }
        catch (Exception e) when (e is LegException or OperationCanceledException)
        {
            // Closing its connection has told the worker already; this was the second way.
        }
    }

    /// <summary>A plain request to a worker (health, info, control), for callers that read small bodies whole.</summary>
    /// <exception cref="LegException">The connection failed, or the answer is longer than 16 MiB.</exception>
    public async Task<WorkerAnswer> CallAsync(HttpMethod method, string url, string? apiKey, ReadOnlyMemory<byte>? json, CancellationToken ct)
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
            await response.Content.LoadIntoBufferAsync(MaxAnswerBytes, ct);
            byte[] answer = await response.Content.ReadAsByteArrayAsync(ct);
            string? instance = response.Headers.TryGetValues("X-SGLang-Disaggregation-Instance-ID", out IEnumerable<string>? values) ? values.First() : null;
            return new WorkerAnswer((int)response.StatusCode, answer, response.Content.Headers.ContentType?.ToString(), instance);
        }
        catch (Exception e) when (e is HttpRequestException or IOException)
        {
            throw new LegException($"{method} {url}: {(e.InnerException is SocketException ? e.Message : Cause(e))}", e);
        }
    }

    public void Dispose() => _http.Dispose();

    // The outer text of a failed handshake says "see inner exception".
    private static string Cause(Exception e) => e.InnerException is SocketException or AuthenticationException or StaleConnectionException ? e.InnerException.Message : e.Message;

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
        private List<KeyValuePair<string, string>>? _headers;

        public int StatusCode => (int)response.StatusCode;

        public IReadOnlyList<KeyValuePair<string, string>> Headers => _headers ??= HeadersOf(response);

        private static List<KeyValuePair<string, string>> HeadersOf(HttpResponseMessage response)
        {
            List<KeyValuePair<string, string>> all = [];
            Add(response.Headers.NonValidated);
            Add(response.Content.Headers.NonValidated);
            return all;

            void Add(HttpHeadersNonValidated headers)
            {
                foreach ((string name, HeaderStringValues values) in headers)
                    foreach (string value in values) all.Add(new(name, value));
            }
        }

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

/// <summary>A worker's whole answer to a control request.</summary>
/// <param name="InstanceId">The header by which a replaced process is told from the one before, or null.</param>
public sealed record WorkerAnswer(int Status, byte[] Body, string? ContentType, string? InstanceId)
{
    public bool IsOk => Status is >= 200 and <= 299;
}
