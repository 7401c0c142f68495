using System.Buffers;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text.Json;
using Baton.Bootstrap.Registry;
using Baton.Core.Ids;
using Baton.Core.Resolution;

namespace Baton.Bootstrap.Client;

/// <summary>Deadlines and credentials of a <see cref="BootstrapClient"/>.</summary>
public sealed record BootstrapClientOptions
{
    /// <summary>For connecting, sending and reading, on top of the wait that a parked query asks for. SGLang's own is 5 s.</summary>
    public TimeSpan RequestDeadline { get; init; } = TimeSpan.FromSeconds(5);

    public TimeSpan ConnectDeadline { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>Sent with everything that writes: <c>--bootstrap-token</c>.</summary>
    public string? WriteToken { get; init; }

    /// <summary>One parked query, one that adds rooms to it, and head-room for look-ups of endpoints.</summary>
    public int MaxConnectionsPerServer { get; init; } = 8;
}

/// <summary>Talks HTTP/1.1 with keep-alive to bootstrap servers, Baton's and SGLang's. Thread-safe; one per worker.</summary>
/// <remarks>Reads tolerantly: unknown keys are skipped and numeric strings accepted.</remarks>
public sealed class BootstrapClient : IBootstrapApi, IDisposable
{
    private const int MaxReplyBytes = 4 * 1024 * 1024;
    private static readonly MediaTypeHeaderValue JsonType = new("application/json");
    private const Func<JsonElement, ReplyHead, Done>? NoBody = null;
    private readonly BootstrapClientOptions _options;
    private readonly TimeProvider _time;
    private readonly HttpClient _http;
    private readonly AuthenticationHeaderValue? _authorization;

    public BootstrapClient(BootstrapClientOptions options, TimeProvider time)
    {
        _options = options;
        _time = time;
        _authorization = options.WriteToken is { } token ? new AuthenticationHeaderValue("Bearer", token) : null;
        SocketsHttpHandler handler = new()
        {
            ConnectTimeout = options.ConnectDeadline,
            MaxConnectionsPerServer = options.MaxConnectionsPerServer,
            PooledConnectionIdleTimeout = TimeSpan.FromSeconds(60),
            UseCookies = false,
            UseProxy = false,
            AllowAutoRedirect = false,
        };
        // Deadlines are ours, per call and on the given clock.
        _http = new HttpClient(handler) { Timeout = Timeout.InfiniteTimeSpan, MaxResponseContentBufferSize = MaxReplyBytes };
    }

    /// <summary>A wildcard is no address to connect to: SGLang's ranks use the loopback address for it, and so do we.</summary>
    public static string ReachableHost(string host) => host switch
    {
        "0.0.0.0" => "127.0.0.1",
        "::" or "[::]" => "::1",
        _ => host,
    };

    public ValueTask<BootstrapReply<PrefillTopology>> GetTopologyAsync(BootstrapAddress server, CancellationToken ct)
    {
        const string Path = "/route?prefill_dp_rank=-1&prefill_cp_rank=-1&target_tp_rank=-1&target_pp_rank=-1";
        return SendAsync(server, HttpMethod.Get, Path, null, TimeSpan.Zero, BootstrapStatus.NotReady, static (json, head) => new PrefillTopology(
            BootstrapReplies.Integer(json, "dp_size"),
            json.TryGetProperty("follow_bootstrap_room", out JsonElement follows) && follows.ValueKind == JsonValueKind.True,
            BootstrapReplies.Integer(json, "page_size"),
            json.TryGetProperty("kv_cache_dtype", out JsonElement dtype) && dtype.ValueKind == JsonValueKind.String ? dtype.GetString() : null,
            head.InstanceId,
            head.IsBaton), ct);
    }

    public ValueTask<BootstrapReply<RankEndpoint>> GetRankAsync(BootstrapAddress server, DpRank rank, CancellationToken ct)
    {
        string path = $"/route?prefill_dp_rank={rank.Value}&prefill_cp_rank=0&target_tp_rank=0&target_pp_rank=0";
        return SendAsync(server, HttpMethod.Get, path, null, TimeSpan.Zero, BootstrapStatus.NotReady,
            static (json, _) => new RankEndpoint(BootstrapReplies.Text(json, "rank_ip"), BootstrapReplies.Integer(json, "rank_port")), ct);
    }

    public ValueTask<BootstrapReply<RoomQueryReply>> QueryRoomsAsync(BootstrapAddress server, IReadOnlyList<BootstrapRoom> rooms, CancellationToken ct)
    {
        int asked = rooms.Count;
        return SendAsync(server, HttpMethod.Post, "/query_dp_ranks", BootstrapBodies.RoomList(rooms), TimeSpan.Zero, BootstrapStatus.Overloaded,
            (json, _) => BootstrapReplies.KnownRooms(json, asked), ct);
    }

    public ValueTask<BootstrapReply<RoomQueryReply>> WatchRoomsAsync(BootstrapAddress server, RoomQuery query, CancellationToken ct) =>
        SendAsync(server, HttpMethod.Post, BootstrapHeaders.QueryPath, BootstrapBodies.Query(query), query.Wait, BootstrapStatus.Overloaded,
            static (json, _) => BootstrapReplies.Query(json), ct);

    public ValueTask<BootstrapReply<Done>> RegisterRankAsync(BootstrapAddress server, RankRegistration registration, string incarnation, CancellationToken ct) =>
        SendAsync(server, HttpMethod.Put, "/route", BootstrapBodies.Rank(registration), TimeSpan.Zero, BootstrapStatus.Overloaded, NoBody, ct, incarnation);

    public ValueTask<BootstrapReply<Done>> UnregisterAsync(BootstrapAddress server, string incarnation, CancellationToken ct) =>
        SendAsync(server, HttpMethod.Delete, BootstrapHeaders.RanksPath, null, TimeSpan.Zero, BootstrapStatus.Overloaded, NoBody, ct, incarnation);

    public ValueTask<BootstrapReply<Done>> RegisterRoomAsync(BootstrapAddress server, BootstrapRoom room, DpRank rank, CancellationToken ct) =>
        SendAsync(server, HttpMethod.Post, "/register_dp_rank", BootstrapBodies.Room(room, rank), TimeSpan.Zero, BootstrapStatus.Overloaded, NoBody, ct);

    public ValueTask<BootstrapReply<Done>> UpdateRoomsAsync(BootstrapAddress server, RoomUpdate update, CancellationToken ct) =>
        SendAsync(server, HttpMethod.Post, BootstrapHeaders.RoomsPath, BootstrapBodies.Update(update), TimeSpan.Zero, BootstrapStatus.Overloaded, NoBody, ct);

    public ValueTask<BootstrapReply<Done>> CheckHealthAsync(BootstrapAddress server, CancellationToken ct) =>
        SendAsync(server, HttpMethod.Get, "/health", null, TimeSpan.Zero, BootstrapStatus.Unreachable, NoBody, ct);

    public void Dispose() => _http.Dispose();

    /// <param name="unavailable">What a 503 means on this route.</param>
    /// <param name="read">Null: the body of a success is not looked at.</param>
    private async ValueTask<BootstrapReply<T>> SendAsync<T>(
        BootstrapAddress server, HttpMethod method, string path, ArrayBufferWriter<byte>? body, TimeSpan wait, BootstrapStatus unavailable,
        Func<JsonElement, ReplyHead, T>? read, CancellationToken ct, string? incarnation = null)
    {
        using CancellationTokenSource deadline = new(_options.RequestDeadline + wait, _time);
        using CancellationTokenSource both = CancellationTokenSource.CreateLinkedTokenSource(deadline.Token, ct);
        try
        {
            using HttpRequestMessage request = new(method, $"http://{server}{path}");
            if (body is not null)
            {
                request.Content = new ReadOnlyMemoryContent(body.WrittenMemory);
                request.Content.Headers.ContentType = JsonType;
            }
            if (method != HttpMethod.Get) request.Headers.Authorization = _authorization;
            if (incarnation is not null) request.Headers.Add(BootstrapHeaders.Incarnation, incarnation);
            using HttpResponseMessage response = await _http.SendAsync(request, both.Token);
            return await ReadAsync(response, unavailable, read, both.Token);
        }
        catch (OperationCanceledException) when (!ct.IsCancellationRequested)
        {
            return Failed<T>(BootstrapStatus.Unreachable, $"no answer from {server} within {(_options.RequestDeadline + wait).TotalSeconds:F1} s");
        }
        catch (Exception broken) when (broken is HttpRequestException or IOException or SocketException or UriFormatException)
        {
            return Failed<T>(BootstrapStatus.Unreachable, $"{server}: {broken.Message}");
        }
    }

    private static async ValueTask<BootstrapReply<T>> ReadAsync<T>(
        HttpResponseMessage response, BootstrapStatus unavailable, Func<JsonElement, ReplyHead, T>? read, CancellationToken ct)
    {
        ReplyHead head = new(Header(response, BootstrapHeaders.InstanceId), Header(response, BootstrapHeaders.Protocol) is not null);
        if (response.StatusCode != HttpStatusCode.OK)
        {
            string said = await response.Content.ReadAsStringAsync(ct);
            BootstrapStatus status = StatusOf(response, unavailable);
            return new BootstrapReply<T>(status, default, $"{(int)response.StatusCode}: {(said.Length > 300 ? said[..300] : said)}", head.InstanceId, head.IsBaton);
        }
        if (read is null) return new BootstrapReply<T>(BootstrapStatus.Ok, default, null, head.InstanceId, head.IsBaton);
        byte[] bytes = await response.Content.ReadAsByteArrayAsync(ct);
        try
        {
            using JsonDocument document = JsonDocument.Parse(bytes);
            return new BootstrapReply<T>(BootstrapStatus.Ok, read(document.RootElement, head), null, head.InstanceId, head.IsBaton);
        }
        catch (Exception unreadable) when (unreadable is JsonException or FormatException or InvalidOperationException)
        {
            return new BootstrapReply<T>(BootstrapStatus.BadReply, default, $"cannot read the answer: {unreadable.Message}", head.InstanceId, head.IsBaton);
        }
    }

    private static BootstrapStatus StatusOf(HttpResponseMessage response, BootstrapStatus unavailable) => response.StatusCode switch
    {
        HttpStatusCode.ServiceUnavailable when Header(response, BootstrapHeaders.PrefillState) == BootstrapHeaders.PrefillStopped => BootstrapStatus.PrefillStopped,
        HttpStatusCode.ServiceUnavailable => unavailable,
        HttpStatusCode.NotFound or HttpStatusCode.MethodNotAllowed when IsOurRoute(response) => BootstrapStatus.RouteMissing,
        HttpStatusCode.NotFound => BootstrapStatus.NotFound,
        >= HttpStatusCode.InternalServerError => BootstrapStatus.Unreachable,
        _ => BootstrapStatus.Refused,
    };

    private static bool IsOurRoute(HttpResponseMessage response) =>
        response.RequestMessage?.RequestUri?.AbsolutePath.StartsWith("/baton/", StringComparison.Ordinal) == true;

    private static string? Header(HttpResponseMessage response, string name) =>
        response.Headers.TryGetValues(name, out IEnumerable<string>? values) ? values.FirstOrDefault() : null;

    private static BootstrapReply<T> Failed<T>(BootstrapStatus status, string detail) => new(status, default, detail, null, IsBaton: false);
}

/// <summary>What the headers of an answer said.</summary>
internal readonly record struct ReplyHead(string? InstanceId, bool IsBaton);
