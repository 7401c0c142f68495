using System.Buffers;
using System.Globalization;
using System.IO.Pipelines;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Baton.Bootstrap.Client;
using Baton.Bootstrap.Registry;
using Baton.Core.Ids;
using Baton.Core.Metrics;
using Microsoft.AspNetCore.Http;

namespace Baton.Bootstrap.Server;

/// <summary>The routes. SGLang's four answer as its own server does to a correct client; ours are under <c>/baton/v1</c>, and <c>/ready</c>.</summary>
/// <remarks>Every byte of it is described in docs/wire-protocol.md, part "Bootstrap server".</remarks>
internal sealed class BootstrapRequestHandler(
    BootstrapTable table, RoomQueries queries, BootstrapMetrics metrics, MetricsCollector collector, BootstrapServerOptions options, TimeProvider time)
{
    private const string Text = "text/plain; charset=utf-8";
    private const string JsonType = "application/json; charset=utf-8";
    private const string Bearer = "Bearer ";
    private static readonly string[] RouteParameters = ["prefill_dp_rank", "prefill_cp_rank", "target_tp_rank", "target_pp_rank"];
    private readonly byte[]? _tokenHash = options.WriteToken is { } token ? SHA256.HashData(Encoding.UTF8.GetBytes(token)) : null;

    private TimeSpan Now => time.GetElapsedTime(0);

    public async Task HandleAsync(HttpContext context)
    {
        context.Response.Headers[BootstrapHeaders.InstanceId] = table.Ranks.InstanceId;
        context.Response.Headers[BootstrapHeaders.Protocol] = BootstrapHeaders.ProtocolVersion;
        try
        {
            await RouteAsync(context);
        }
        catch (BadFieldException bad)
        {
            metrics.OnRefused(Refusal.BadRequest);
            await RespondErrorAsync(context, bad.Status, bad.Message, bad.Field);
        }
        catch (BadHttpRequestException bad)
        {
            metrics.OnRefused(Refusal.BadRequest);
            string message = bad.StatusCode == StatusCodes.Status413PayloadTooLarge ? $"The body is larger than {options.MaxBodyBytes} bytes." : bad.Message;
            await RespondErrorAsync(context, bad.StatusCode, message, "body");
        }
    }

    private Task RouteAsync(HttpContext context)
    {
        string method = context.Request.Method;
        switch (context.Request.Path.Value)
        {
            case "/register_dp_rank":
                return method == "POST" ? RegisterRoomAsync(context) : WrongMethodAsync(context, "POST");
            case "/query_dp_ranks":
                return method == "POST" ? QueryRoomsAsync(context) : WrongMethodAsync(context, "POST");
            case BootstrapHeaders.RoomsPath:
                return method == "POST" ? UpdateRoomsAsync(context) : WrongMethodAsync(context, "POST");
            case BootstrapHeaders.QueryPath:
                return method == "POST" ? WatchRoomsAsync(context) : WrongMethodAsync(context, "POST");
            case "/route":
                if (method == "GET") return GetRouteAsync(context);
                // SGLang says so in plain text under a JSON content type.
                return method == "PUT" ? PutRouteAsync(context) : RespondAsync(context, 405, "application/json", "Method not allowed");
            case "/health":
                return method is "GET" or "HEAD" ? RespondAsync(context, 200, Text, "OK") : WrongMethodAsync(context, "GET,HEAD");
            case "/ready":
                return method is "GET" or "HEAD" ? ReadyAsync(context) : WrongMethodAsync(context, "GET,HEAD");
            case BootstrapHeaders.RanksPath:
                return method == "DELETE" ? DeleteRanksAsync(context) : WrongMethodAsync(context, "DELETE");
            case "/metrics":
                return method == "GET" ? MetricsAsync(context) : WrongMethodAsync(context, "GET");
            default:
                return RespondAsync(context, 404, Text, "404: Not Found");
        }
    }

    private async Task PutRouteAsync(HttpContext context)
    {
        if (!IsAllowedToWrite(context)) { await UnauthorizedAsync(context); return; }
        RankRegistration registration = await ReadBodyAsync(context, static (body, _) => RankBodies.Read(body), 0);
        if (!table.Ranks.TryRegister(registration, IncarnationOf(context), Now, out string? conflict))
        {
            metrics.OnRefused(Refusal.RankConflict);
            await RespondErrorAsync(context, 409, conflict!, null);
            return;
        }
        // It may have changed the instance itself.
        context.Response.Headers[BootstrapHeaders.InstanceId] = table.Ranks.InstanceId;
        await RespondAsync(context, 200, Text, "OK");
    }

    private async Task DeleteRanksAsync(HttpContext context)
    {
        if (!IsAllowedToWrite(context)) { await UnauthorizedAsync(context); return; }
        string incarnation = IncarnationOf(context)
            ?? throw new BadFieldException(BootstrapHeaders.Incarnation, $"The header {BootstrapHeaders.Incarnation} is missing: it names the worker whose ranks go.");
        table.Ranks.Unregister(incarnation);
        context.Response.Headers[BootstrapHeaders.InstanceId] = table.Ranks.InstanceId;
        await RespondAsync(context, 200, Text, "OK");
    }

    private static string? IncarnationOf(HttpContext context) =>
        context.Request.Headers[BootstrapHeaders.Incarnation] is [{ Length: > 0 and <= 128 } sent] ? sent : null;

    private Task MetricsAsync(HttpContext context)
    {
        Respond(context, 200, PrometheusText.ContentType, Encoding.UTF8.GetBytes(PrometheusText.Write(collector.Collect())));
        return Task.CompletedTask;
    }

    private Task GetRouteAsync(HttpContext context)
    {
        Span<int> numbers = stackalloc int[4];
        for (int i = 0; i < RouteParameters.Length; i++)
        {
            string? value = context.Request.Query[RouteParameters[i]];
            if (string.IsNullOrEmpty(value)) return RespondAsync(context, 400, Text, "Missing inputs for bootstrap server.");
            if (!int.TryParse(value, NumberStyles.Integer, CultureInfo.InvariantCulture, out numbers[i]))
                throw new BadFieldException(RouteParameters[i], $"{RouteParameters[i]} is '{value}'. It must be an integer.");
        }
        RankKey key = new(numbers[0], numbers[1], numbers[2], numbers[3]);
        if (table.Ranks.ReadyTopology is not { } group)
        {
            if (table.Ranks.IsStopped) context.Response.Headers[BootstrapHeaders.PrefillState] = BootstrapHeaders.PrefillStopped;
            return RespondAsync(context, 503, Text, $"Prefill server not fully registered yet ({table.Ranks.RegisteredCount} workers registered).");
        }

        ArrayBufferWriter<byte> body = new(512);
        if (key == new RankKey(-1, -1, -1, -1)) BootstrapJson.WriteTopology(body, group);
        else if (table.Ranks.Find(key) is { } endpoint) BootstrapJson.WriteRank(body, endpoint);
        else return RespondAsync(context, 404, Text, $"Bootstrap info not found for {key}");
        return RespondAsync(context, 200, JsonType, body);
    }

    private async Task RegisterRoomAsync(HttpContext context)
    {
        if (!IsAllowedToWrite(context)) { await UnauthorizedAsync(context); return; }
        (BootstrapRoom room, DpRank rank) = await ReadBodyAsync(context, static (body, dpSize) => RoomBodies.ReadRegistration(body, dpSize), table.Ranks.DpSize);
        if (!table.Rooms.TryRegister(room, rank, Now))
        {
            await FullAsync(context);
            return;
        }
        metrics.OnRegistered(1);
        await RespondAsync(context, 200, Text, "OK");
    }

    private async Task QueryRoomsAsync(HttpContext context)
    {
        List<BootstrapRoom> rooms = await ReadBodyAsync(context, static (body, _) => RoomBodies.ReadRoomList(body), 0);
        byte[] body = ArrayPool<byte>.Shared.Rent(2 + (rooms.Count * PlainBodies.MaxKnownRoomBytes));
        int length = PlainBodies.WriteKnownRooms(body, table.Rooms, rooms, Now, out int known);
        metrics.OnAnswered(known, rooms.Count - known);
        Respond(context, 200, JsonType, body.AsSpan(0, length));
        ArrayPool<byte>.Shared.Return(body);
    }

    private async Task UpdateRoomsAsync(HttpContext context)
    {
        if (!IsAllowedToWrite(context)) { await UnauthorizedAsync(context); return; }
        RoomUpdate update = await ReadBodyAsync(context, static (body, dpSize) => RoomBodies.ReadUpdate(body, dpSize), table.Ranks.DpSize);
        if (!table.Rooms.TryApply(update, Now))
        {
            await FullAsync(context);
            return;
        }
        metrics.OnUpdated(update);
        await RespondAsync(context, 200, Text, "OK");
    }

    private async Task WatchRoomsAsync(HttpContext context)
    {
        RoomQuery query = await ReadBodyAsync(context, static (body, _) => RoomBodies.ReadQuery(body), 0);
        long started = time.GetTimestamp();
        RoomQueryReply? reply = await queries.QueryAsync(query, context.RequestAborted);
        if (reply is null)
        {
            metrics.OnRefused(Refusal.TooManyQueries);
            context.Response.Headers.RetryAfter = "1";
            await RespondErrorAsync(context, 503, "Too many parked queries, watches or rooms in one watch. Back off and ask again.", null);
            return;
        }
        // The instance may have changed while the query was parked.
        context.Response.Headers[BootstrapHeaders.InstanceId] = table.Ranks.InstanceId;
        if (query.Wait > TimeSpan.Zero) metrics.OnWaited(time.GetElapsedTime(started));
        metrics.OnAnswered(reply.Answers.Count, reply.PendingCount);
        ArrayBufferWriter<byte> body = new(256);
        BootstrapJson.WriteQueryReply(body, reply);
        await RespondAsync(context, 200, JsonType, body);
    }

    private Task ReadyAsync(HttpContext context)
    {
        if (table.Ranks.ReadyTopology is not null) return RespondAsync(context, 200, Text, "READY");
        return RespondAsync(context, 503, Text, $"NOT READY ({table.Ranks.RegisteredCount}/{table.Ranks.ExpectedCount} ranks registered)");
    }

    /// <summary>Compares hashes, so that neither the time nor the length of the token shows.</summary>
    private bool IsAllowedToWrite(HttpContext context)
    {
        if (_tokenHash is null) return true;
        string? header = context.Request.Headers.Authorization;
        if (header is null || !header.StartsWith(Bearer, StringComparison.OrdinalIgnoreCase)) return false;
        byte[] sent = SHA256.HashData(Encoding.UTF8.GetBytes(header[Bearer.Length..].Trim()));
        return CryptographicOperations.FixedTimeEquals(sent, _tokenHash);
    }

    private Task UnauthorizedAsync(HttpContext context)
    {
        metrics.OnRefused(Refusal.WrongToken);
        context.Response.Headers.WWWAuthenticate = "Bearer";
        return RespondErrorAsync(context, 401,
            "This bootstrap server takes writes only with 'Authorization: Bearer <token>'. Start the worker with the same --bootstrap-token.", null);
    }

    private Task FullAsync(HttpContext context)
    {
        metrics.OnRefused(Refusal.TableFull);
        context.Response.Headers.RetryAfter = "1";
        return RespondErrorAsync(context, 503, $"The room table is full ({table.Rooms.Count} rooms, none of them finished). Retry, or raise --max-rooms.", null);
    }

    private static Task WrongMethodAsync(HttpContext context, string allowed)
    {
        context.Response.Headers.Allow = allowed;
        return RespondAsync(context, 405, Text, "405: Method Not Allowed");
    }

    private async ValueTask<T> ReadBodyAsync<T, TState>(HttpContext context, Func<ReadOnlySequence<byte>, TState, T> parse, TState state)
    {
        PipeReader reader = context.Request.BodyReader;
        while (true)
        {
            ReadResult read = await reader.ReadAsync(context.RequestAborted);
            if (read.Buffer.Length > options.MaxBodyBytes) throw new BadFieldException("body", $"The body is larger than {options.MaxBodyBytes} bytes.", 413);
            if (!read.IsCompleted)
            {
                reader.AdvanceTo(read.Buffer.Start, read.Buffer.End);
                continue;
            }
            try
            {
                return parse(read.Buffer, state);
            }
            catch (JsonException bad)
            {
                throw new BadFieldException("body", $"The body is not valid JSON: {bad.Message}");
            }
            finally
            {
                // Also after a refusal: an unread body would cost the client its connection.
                reader.AdvanceTo(read.Buffer.End);
            }
        }
    }

    private static Task RespondErrorAsync(HttpContext context, int status, string message, string? field)
    {
        ArrayBufferWriter<byte> body = new(256);
        BootstrapJson.WriteError(body, message, field);
        return RespondAsync(context, status, JsonType, body);
    }

    private static Task RespondAsync(HttpContext context, int status, string contentType, string text)
    {
        // Every text here is ASCII, so its length in bytes is its length, and none is longer than this.
        Span<byte> bytes = stackalloc byte[256];
        Respond(context, status, contentType, bytes[..Encoding.ASCII.GetBytes(text, bytes)]);
        return Task.CompletedTask;
    }

    private static Task RespondAsync(HttpContext context, int status, string contentType, ArrayBufferWriter<byte> body)
    {
        Respond(context, status, contentType, body.WrittenSpan);
        return Task.CompletedTask;
    }

    /// <summary>Puts the answer behind the head; both leave together when the request ends.</summary>
    private static void Respond(HttpContext context, int status, string contentType, ReadOnlySpan<byte> body)
    {
        HttpResponse response = context.Response;
        response.StatusCode = status;
        response.ContentType = contentType;
        response.ContentLength = body.Length;
        if (context.Request.Method == "HEAD") return;
        // With the length: a writer that was asked for nothing in particular may give nothing.
        body.CopyTo(response.BodyWriter.GetSpan(body.Length));
        response.BodyWriter.Advance(body.Length);
    }
}
