using System.Buffers;
using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using Baton.Bootstrap.Registry;
using Baton.Core.Failures;
using Baton.Core.Ids;

namespace Baton.Bootstrap.Server;

/// <summary>Writes the answers. SGLang's routes get exactly its keys, in its order: its decode refuses a key it does not know.</summary>
internal static class BootstrapJson
{
    private static readonly JsonWriterOptions Plain = new() { SkipValidation = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static void WriteTopology(IBufferWriter<byte> output, GroupTopology group)
    {
        using Utf8JsonWriter json = new(output, Plain);
        json.WriteStartObject();
        json.WriteNumber("attn_tp_size", group.AttnTpSize);
        json.WriteNumber("attn_cp_size", group.AttnCpSize);
        json.WriteNumber("dp_size", group.DpSize);
        json.WriteNumber("pp_size", group.PpSize);
        json.WriteNumber("page_size", group.PageSize);
        json.WriteString("kv_cache_dtype", group.KvCacheDtype);
        json.WriteBoolean("follow_bootstrap_room", group.FollowsBootstrapRoom);
        json.WriteBoolean("enable_dsa_cache_layer_split", group.EnableDsaCacheLayerSplit);
        if (group.PrefillHttpPort is { } port) json.WriteNumber("prefill_http_port", port);
        else json.WriteNull("prefill_http_port");
        // Decode-side fields of the same class upstream: always null on the wire, and its constructor call expects the keys.
        json.WriteNull("target_tp_rank");
        json.WriteNull("target_tp_ranks");
        json.WriteNull("target_cp_ranks");
        json.WriteNull("target_pp_ranks");
        json.WriteNull("required_dst_info_num");
        json.WriteNull("required_prefill_response_num");
        json.WriteEndObject();
    }

    public static void WriteRank(IBufferWriter<byte> output, RankEndpoint rank)
    {
        using Utf8JsonWriter json = new(output, Plain);
        json.WriteStartObject();
        json.WriteString("rank_ip", rank.Ip);
        json.WriteNumber("rank_port", rank.Port);
        json.WriteEndObject();
    }

    public static void WriteQueryReply(IBufferWriter<byte> output, RoomQueryReply reply)
    {
        using Utf8JsonWriter json = new(output, Plain);
        json.WriteStartObject();
        json.WriteStartObject("known");
        foreach ((BootstrapRoom room, RoomAnswer answer) in reply.Answers)
        {
            if (answer.Rank is { } rank) json.WriteNumber(room.Value.ToString(CultureInfo.InvariantCulture), rank.Value);
        }
        json.WriteEndObject();
        json.WriteStartObject("failed");
        foreach ((BootstrapRoom room, RoomAnswer answer) in reply.Answers)
        {
            if (answer.Failure is { } failure) WriteFailure(json, room, failure);
        }
        json.WriteEndObject();
        json.WriteNumber("pending", reply.PendingCount);
        json.WriteBoolean("new_watch", reply.IsNewWatch);
        json.WriteEndObject();
    }

    public static void WriteError(IBufferWriter<byte> output, string message, string? field)
    {
        using Utf8JsonWriter json = new(output, Plain);
        json.WriteStartObject();
        json.WriteStartObject("error");
        json.WriteString("message", message);
        if (field is not null) json.WriteString("field", field);
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private static void WriteFailure(Utf8JsonWriter json, BootstrapRoom room, RequestFailure failure)
    {
        json.WriteStartObject(room.Value.ToString(CultureInfo.InvariantCulture));
        json.WriteString("reason", failure.Reason.Code);
        json.WriteString("message", failure.Message);
        json.WriteEndObject();
    }
}
