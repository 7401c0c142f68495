using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using Microsoft.Extensions.Logging;

namespace Baton.Serving.Workers;

/// <summary>Keeps this worker registered at one router, from start to stop.</summary>
/// <remarks>
/// The router drops a worker that it does not hear of, and may forget all of them by a restart. So the whole registration is sent again
/// a few times in each lease: whatever happened over there, the next one puts it right.
/// </remarks>
/// <param name="router">Its base URL.</param>
/// <param name="key">Its admin key, or null.</param>
/// <param name="self">This worker's own base URL as that router reaches it; may throw a <see cref="SocketException"/> as long as the router's name is not known.</param>
/// <param name="describe">The registration as JSON, for that URL.</param>
public sealed class RouterLease(Uri router, string? key, Func<string> self, Func<string, ReadOnlyMemory<byte>> describe, HttpMessageInvoker http, TimeProvider time, ILogger logger) : IAsyncDisposable
{
    /// <summary>Renewals in one lease: two may be lost.</summary>
    private const int RenewalsPerLease = 3;
    private static readonly TimeSpan WithoutLease = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan AfterFailure = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan CallLimit = TimeSpan.FromSeconds(3);
    private readonly CancellationTokenSource _stop = new();
    private readonly Uri _route = new(router, "/workers/lease");
    private bool _hasFailed;
    private string? _registeredAs;
    private Task _running = Task.CompletedTask;

    public void Start() => _running = RunAsync();

    /// <summary>Tells the router that this worker goes, so that nothing new is sent here.</summary>
    public async ValueTask DisposeAsync()
    {
        // Not CancelAsync: that goes over the thread pool, and virtual time would not see it end.
        _stop.Cancel();
        await _running;
        if (_registeredAs is { } url) await SendAsync(HttpMethod.Delete, new Uri(_route, $"?url={Uri.EscapeDataString(url)}"), null, CancellationToken.None);
        _stop.Dispose();
    }

    private async Task RunAsync()
    {
        try
        {
            while (await RenewAsync() is { } pause) await Task.Delay(pause, time, _stop.Token);
        }
        catch (OperationCanceledException)
        {
            // Stopped.
        }
    }

    /// <returns>When to renew; null for never.</returns>
    private async Task<TimeSpan?> RenewAsync()
    {
        (string? url, string why) = FindSelf();
        (HttpStatusCode? status, string text) = url is null ? (null, why) : await SendAsync(HttpMethod.Post, _route, describe(url), _stop.Token);
        if (status is HttpStatusCode.OK)
        {
            if (_registeredAs is null || _hasFailed) logger.RegisteredAtRouter(router, url!);
            (_registeredAs, _hasFailed) = (url, false);
            return LeaseOf(text) is { } lease && lease > TimeSpan.Zero ? lease / RenewalsPerLease : WithoutLease;
        }
        if (status is HttpStatusCode.Gone)
        {
            logger.RemovedAtRouter(router, text);
            _registeredAs = null;
            return null;
        }
        // Once for a row of failures: a router that is down for an hour is one fact.
        if (!_hasFailed) logger.NotRegisteredAtRouter(router, status is { } code ? $"{(int)code} {text}" : text);
        _hasFailed = true;
        return AfterFailure;
    }

    private (string? Url, string Why) FindSelf()
    {
        try
        {
            return (self(), "");
        }
        catch (SocketException e)
        {
            return (null, $"{router.Host}: {e.Message}");
        }
    }

    private async Task<(HttpStatusCode? Status, string Text)> SendAsync(HttpMethod method, Uri route, ReadOnlyMemory<byte>? json, CancellationToken ct)
    {
        using CancellationTokenSource limit = new(CallLimit, time);
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(ct, limit.Token);
        using HttpRequestMessage message = new(method, route);
        if (key is not null) message.Headers.TryAddWithoutValidation("Authorization", "Bearer " + key);
        if (json is { } utf8)
        {
            message.Content = new ReadOnlyMemoryContent(utf8);
            message.Content.Headers.TryAddWithoutValidation("Content-Type", "application/json");
        }
        try
        {
            using HttpResponseMessage answer = await http.SendAsync(message, either.Token);
            return (answer.StatusCode, await answer.Content.ReadAsStringAsync(either.Token));
        }
        catch (Exception e) when (e is HttpRequestException or IOException || e is OperationCanceledException && !ct.IsCancellationRequested)
        {
            return (null, e is OperationCanceledException ? $"no answer within {CallLimit.TotalSeconds} s" : e.Message);
        }
    }

    private static TimeSpan? LeaseOf(string text)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(text);
            return document.RootElement.ValueKind == JsonValueKind.Object && document.RootElement.TryGetProperty("lease_secs", out JsonElement secs)
                && secs.TryGetDouble(out double value) && value is >= 0 and < 86400 ? TimeSpan.FromSeconds(value) : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }
}
