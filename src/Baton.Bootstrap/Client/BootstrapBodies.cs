using System.Buffers;
using System.Text.Json;
using Baton.Bootstrap.Registry;
using Baton.Core.Failures;
using Baton.Core.Ids;

namespace Baton.Bootstrap.Client;

/// <summary>Writes the request bodies. Rooms are JSON integers, never through a double.</summary>
internal static class BootstrapBodies
{
    private static readonly JsonWriterOptions Plain = new() { SkipValidation = true };

    public static ArrayBufferWriter<byte> Room(BootstrapRoom room, DpRank rank)
    {
        ArrayBufferWriter<byte> body = new(64);
        using Utf8JsonWriter json = new(body, Plain);
        json.WriteStartObject();
        json.WriteNumber("bootstrap_room", room.Value);
        json.WriteNumber("dp_rank", rank.Value);
        json.WriteEndObject();
        json.Flush();
        return body;
    }

    public static ArrayBufferWriter<byte> RoomList(IReadOnlyList<BootstrapRoom> rooms)
    {
        ArrayBufferWriter<byte> body = new(32 + (rooms.Count * 20));
        using Utf8JsonWriter json = new(body, Plain);
        json.WriteStartObject();
        WriteRooms(json, "bootstrap_rooms", rooms);
        json.WriteEndObject();
        json.Flush();
        return body;
    }

    public static ArrayBufferWriter<byte> Query(RoomQuery query)
    {
        ArrayBufferWriter<byte> body = new(128 + ((query.Rooms.Count + query.Forget.Count) * 20));
        using Utf8JsonWriter json = new(body, Plain);
        json.WriteStartObject();
        if (query.WatchId is { } id) json.WriteString("watch", id);
        if (query.IsResumed) json.WriteBoolean("resume", true);
        WriteRooms(json, "rooms", query.Rooms);
        if (query.Forget.Count > 0) WriteRooms(json, "forget", query.Forget);
        json.WriteNumber("wait_ms", (long)query.Wait.TotalMilliseconds);
        json.WriteString("wait_for", query.WaitFor == RoomWaitFor.All ? "all" : "any");
        json.WriteEndObject();
        json.Flush();
        return body;
    }

    public static ArrayBufferWriter<byte> Update(RoomUpdate update)
    {
        ArrayBufferWriter<byte> body = new(64 + (update.Count * 28));
        using Utf8JsonWriter json = new(body, Plain);
        json.WriteStartObject();
        json.WriteStartArray("register");
        foreach ((BootstrapRoom room, DpRank rank) in update.Registered)
        {
            json.WriteStartArray();
            json.WriteNumberValue(room.Value);
            json.WriteNumberValue(rank.Value);
            json.WriteEndArray();
        }
        json.WriteEndArray();
        json.WriteStartArray("failed");
        foreach ((BootstrapRoom room, RequestFailure failure) in update.Failed)
        {
            json.WriteStartObject();
            json.WriteNumber("room", room.Value);
            json.WriteString("reason", failure.Reason.Code);
            json.WriteString("message", FailedRoomText.Cut(failure.Message));
            json.WriteEndObject();
        }
        json.WriteEndArray();
        WriteRooms(json, "ended", update.Ended);
        json.WriteEndObject();
        json.Flush();
        return body;
    }

    /// <summary>The keys that SGLang's ranks send, in their order.</summary>
    public static ArrayBufferWriter<byte> Rank(RankRegistration rank)
    {
        ArrayBufferWriter<byte> body = new(512);
        using Utf8JsonWriter json = new(body, Plain);
        json.WriteStartObject();
        json.WriteNumber("attn_tp_size", rank.AttnTpSize);
        json.WriteNumber("attn_tp_rank", rank.AttnTpRank);
        json.WriteNumber("attn_cp_size", rank.AttnCpSize);
        json.WriteNumber("attn_cp_rank", rank.AttnCpRank);
        json.WriteNumber("attn_dp_size", rank.AttnDpSize);
        json.WriteNumber("attn_dp_rank", rank.AttnDpRank);
        json.WriteNumber("pp_size", rank.PpSize);
        json.WriteNumber("pp_rank", rank.PpRank);
        json.WriteNumber("system_dp_size", rank.SystemDpSize);
        json.WriteNumber("system_dp_rank", rank.SystemDpRank);
        json.WriteString("rank_ip", rank.RankIp);
        json.WriteNumber("rank_port", rank.RankPort);
        json.WriteNumber("page_size", rank.PageSize);
        json.WriteString("kv_cache_dtype", rank.KvCacheDtype);
        json.WriteString("load_balance_method", rank.LoadBalanceMethod);
        json.WriteBoolean("enable_dsa_cache_layer_split", rank.EnableDsaCacheLayerSplit);
        if (rank.PrefillHttpPort is { } port) json.WriteNumber("prefill_http_port", port);
        else json.WriteNull("prefill_http_port");
        json.WriteEndObject();
        json.Flush();
        return body;
    }

    private static void WriteRooms(Utf8JsonWriter json, string key, IReadOnlyList<BootstrapRoom> rooms)
    {
        json.WriteStartArray(key);
        foreach (BootstrapRoom room in rooms) json.WriteNumberValue(room.Value);
        json.WriteEndArray();
    }
}
