using System.Buffers;
using System.Net.Http.Headers;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Baton.Bench.Load;

/// <summary>Where and how requests are sent.</summary>
public sealed record BenchClientOptions
{
    public required BenchBackend Backend { get; init; }
    /// <summary>Scheme, host and port, without a path.</summary>
    public required Uri BaseUrl { get; init; }
    /// <summary>Sent with each request besides the usual ones.</summary>
    public IReadOnlyList<KeyValuePair<string, string>> Headers { get; init; } = [];
    /// <summary>Value of the Authorization header; null sends none.</summary>
    public string? Authorization { get; init; }
    public bool Stream { get; init; } = true;
    public bool KeepText { get; init; }
    /// <summary>From POST to the last byte.</summary>
    public TimeSpan RequestTimeout { get; init; } = TimeSpan.FromMinutes(10);
    /// <summary>Longest SSE line, or whole body without streaming, that is kept in memory.</summary>
    public int MaxLineBytes { get; init; } = 64 << 20;
}

/// <summary>Sends one request, measures it and never throws for what the server does: that becomes <see cref="RequestRecord.Error"/>.</summary>
public sealed class BenchClient : IDisposable
{
    private static readonly MediaTypeHeaderValue JsonType = new("application/json");
    private static readonly TimeSpan ControlTimeout = TimeSpan.FromSeconds(10);
    private readonly BenchClientOptions _options;
    private readonly HttpMessageInvoker _http;
    private readonly Uri _target;
    private readonly AuthenticationHeaderValue? _authorization;

    /// <param name="handler">Owned by the client from now on. <see cref="CreateHandler"/> gives the one for real servers.</param>
    public BenchClient(BenchClientOptions options, HttpMessageHandler handler)
    {
        _options = options;
        _http = new HttpMessageInvoker(handler, disposeHandler: true);
        _target = new Uri(options.BaseUrl, options.Backend.Path);
        _authorization = string.IsNullOrEmpty(options.Authorization) ? null : AuthenticationHeaderValue.Parse(options.Authorization);
    }

    public BenchClientOptions Options => _options;

    /// <summary>A handler without anything between the request and the socket: no proxy, cookies, redirects or tracing headers.</summary>
    public static SocketsHttpHandler CreateHandler() => new()
    {
        UseProxy = false,
        UseCookies = false,
        AllowAutoRedirect = false,
        ActivityHeadersPropagator = null,
        PooledConnectionIdleTimeout = TimeSpan.FromMinutes(2),
        ConnectTimeout = TimeSpan.FromSeconds(10),
    };

    /// <summary>Sends <paramref name="body"/> and fills the record, from <see cref="RequestRecord.StartedAt"/> on.</summary>
    /// <param name="shutdown">Ends the whole run; only this throws.</param>
    public async Task SendAsync(ReadOnlyMemory<byte> body, RequestRecord record, RunClock clock, CancellationToken shutdown)
    {
        using CancellationTokenSource deadline = new(_options.RequestTimeout, clock.Provider);
        // Registering the shutdown costs less than a linked source, and this path runs 20,000 times a second.
        using CancellationTokenRegistration stop = shutdown.UnsafeRegister(static source => ((CancellationTokenSource)source!).Cancel(), deadline);
        record.StartedAt = clock.Now;
        record.EndedAt = record.StartedAt;
        try
        {
            using HttpRequestMessage request = new(HttpMethod.Post, _target) { Content = new ReadOnlyMemoryContent(body) };
            request.Content.Headers.ContentType = JsonType;
            request.Headers.Authorization = _authorization;
            foreach ((string name, string value) in _options.Headers) request.Headers.TryAddWithoutValidation(name, value);
            using HttpResponseMessage response = await _http.SendAsync(request, deadline.Token);
            ReadRouteHeaders(response, record);
            if (response.StatusCode == System.Net.HttpStatusCode.OK) await ReadBodyAsync(response, record, clock, deadline.Token);
            else await ReadRefusalAsync(response, record, clock, deadline.Token);
        }
        catch (OperationCanceledException) when (!shutdown.IsCancellationRequested)
        {
            record.EndedAt = clock.Now;
            record.Error = new RequestError(
                RequestErrorKind.Timeout, "", $"no complete response within {_options.RequestTimeout.TotalSeconds} s (--request-timeout), {record.OutputTokens} tokens so far");
        }
        catch (HttpRequestException broken)
        {
            record.EndedAt = clock.Now;
            record.Error = new RequestError(RequestErrorKind.Connection, broken.HttpRequestError.ToString(), broken.Message);
        }
    }

    /// <summary>GETs or POSTs a control route. Null when it does not answer 2xx in time: such routes are optional.</summary>
    /// <param name="timeout">10 s when left out.</param>
    public async Task<JsonNode?> TryControlAsync(HttpMethod method, Uri url, TimeProvider time, CancellationToken ct, TimeSpan? timeout = null)
    {
        using CancellationTokenSource deadline = new(timeout ?? ControlTimeout, time);
        using CancellationTokenRegistration stop = ct.UnsafeRegister(static source => ((CancellationTokenSource)source!).Cancel(), deadline);
        try
        {
            using HttpRequestMessage request = new(method, url);
            request.Headers.Authorization = _authorization;
            using HttpResponseMessage response = await _http.SendAsync(request, deadline.Token);
            string text = await response.Content.ReadAsStringAsync(deadline.Token);
            if (!response.IsSuccessStatusCode) return null;
            return text.StartsWith('{') || text.StartsWith('[') ? JsonNode.Parse(text) : JsonValue.Create(text);
        }
        catch (Exception failed) when (failed is HttpRequestException or JsonException or IOException
            || (failed is OperationCanceledException && !ct.IsCancellationRequested))
        {
            return null;
        }
    }

    /// <summary>Status of a GET; null when nothing answers within 5 s.</summary>
    public async Task<System.Net.HttpStatusCode?> TryStatusAsync(string path, TimeProvider time, CancellationToken ct)
    {
        using CancellationTokenSource deadline = new(TimeSpan.FromSeconds(5), time);
        using CancellationTokenRegistration stop = ct.UnsafeRegister(static source => ((CancellationTokenSource)source!).Cancel(), deadline);
        try
        {
            using HttpRequestMessage request = new(HttpMethod.Get, new Uri(_options.BaseUrl, path));
            request.Headers.Authorization = _authorization;
            using HttpResponseMessage response = await _http.SendAsync(request, deadline.Token);
            return response.StatusCode;
        }
        catch (Exception failed) when (failed is HttpRequestException or IOException || (failed is OperationCanceledException && !ct.IsCancellationRequested))
        {
            return null;
        }
    }

    public Task<JsonNode?> TryGetAsync(string path, TimeProvider time, CancellationToken ct) =>
        TryControlAsync(HttpMethod.Get, new Uri(_options.BaseUrl, path), time, ct);

    public void Dispose() => _http.Dispose();

    private async Task ReadBodyAsync(HttpResponseMessage response, RequestRecord record, RunClock clock, CancellationToken ct)
    {
        ResponseMeter meter = new(record, _options.Backend.Api, _options.Stream, _options.KeepText);
        byte[] buffer = ArrayPool<byte>.Shared.Rent(8 << 10);
        int held = 0;
        try
        {
            Stream body = await response.Content.ReadAsStreamAsync(ct);
            while (true)
            {
                int read = await body.ReadAsync(buffer.AsMemory(held), ct);
                TimeSpan now = clock.Now;
                if (read == 0)
                {
                    meter.Finish(buffer.AsSpan(0, held), now);
                    return;
                }
                held += read;
                if (_options.Stream)
                {
                    int used = meter.Accept(buffer.AsSpan(0, held), now);
                    held -= used;
                    buffer.AsSpan(used, held).CopyTo(buffer);
                }
                if (held == buffer.Length && !TryGrow(ref buffer, held))
                {
                    record.EndedAt = now;
                    record.Error = new RequestError(RequestErrorKind.BadResponse, "", $"a line is longer than {_options.MaxLineBytes} bytes");
                    return;
                }
            }
        }
        catch (IOException broken)
        {
            record.EndedAt = clock.Now;
            meter.Finish([], record.EndedAt);
            record.Error = new RequestError(RequestErrorKind.Truncated, "", $"the connection broke after {record.OutputTokens} tokens: {broken.Message}");
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private bool TryGrow(ref byte[] buffer, int held)
    {
        if (held >= _options.MaxLineBytes) return false;
        byte[] larger = ArrayPool<byte>.Shared.Rent(held * 2);
        buffer.AsSpan(0, held).CopyTo(larger);
        ArrayPool<byte>.Shared.Return(buffer);
        buffer = larger;
        return true;
    }

    private static async Task ReadRefusalAsync(HttpResponseMessage response, RequestRecord record, RunClock clock, CancellationToken ct)
    {
        string text;
        try
        {
            text = await response.Content.ReadAsStringAsync(ct);
        }
        catch (IOException broken)
        {
            text = broken.Message;
        }
        record.EndedAt = clock.Now;
        string shown = text.Length > 500 ? text[..500] + "…" : text;
        record.Error = new RequestError(RequestErrorKind.HttpStatus, ((int)response.StatusCode).ToString(), shown);
    }

    private static void ReadRouteHeaders(HttpResponseMessage response, RequestRecord record)
    {
        HttpHeadersNonValidated headers = response.Headers.NonValidated;
        if (headers.TryGetValues("x-baton-prefill", out HeaderStringValues prefill)) record.PrefillWorker = prefill.ToString();
        if (headers.TryGetValues("x-baton-decode", out HeaderStringValues decode)) record.DecodeWorker = decode.ToString();
        if (headers.TryGetValues("x-baton-prefill-rank", out HeaderStringValues rank) && int.TryParse(rank.ToString(), out int number)) record.PrefillDpRank = number;
    }
}
