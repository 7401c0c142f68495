using System.Buffers;
using System.Globalization;
using System.Text.Json;
using Baton.Bootstrap.Registry;

namespace Baton.Bootstrap.Server;

/// <summary>Reads and checks the body of <c>PUT /route</c>.</summary>
internal static class RankBodies
{
    /// <summary>Ranks of one group. Far beyond any deployment; bounds the table.</summary>
    private const int MaxRanks = 65_536;

    public static RankRegistration Read(in ReadOnlySequence<byte> body)
    {
        using JsonDocument document = JsonDocument.Parse(body);
        JsonElement root = document.RootElement;
        if (root.ValueKind != JsonValueKind.Object) throw new BadFieldException("body", "The body must be a JSON object.");
        RankRegistration registration = new()
        {
            AttnTpSize = Integer(root, "attn_tp_size", 1, MaxRanks),
            AttnTpRank = Integer(root, "attn_tp_rank", 0, MaxRanks),
            AttnCpSize = Integer(root, "attn_cp_size", 1, MaxRanks),
            AttnCpRank = Integer(root, "attn_cp_rank", 0, MaxRanks),
            AttnDpSize = Integer(root, "attn_dp_size", 1, MaxRanks),
            AttnDpRank = Integer(root, "attn_dp_rank", 0, MaxRanks),
            PpSize = Integer(root, "pp_size", 1, MaxRanks),
            PpRank = Integer(root, "pp_rank", 0, MaxRanks),
            SystemDpSize = Integer(root, "system_dp_size", 1, MaxRanks),
            SystemDpRank = Integer(root, "system_dp_rank", 0, MaxRanks),
            RankIp = Text(root, "rank_ip"),
            RankPort = Integer(root, "rank_port", 1, 65_535),
            PageSize = Integer(root, "page_size", 1, int.MaxValue),
            KvCacheDtype = NullableText(root, "kv_cache_dtype", isRequired: true),
            LoadBalanceMethod = NullableText(root, "load_balance_method", isRequired: false) ?? RankRegistration.FollowBootstrapRoomMethod,
            EnableDsaCacheLayerSplit = Flag(root, "enable_dsa_cache_layer_split"),
            PrefillHttpPort = IsNullOrMissing(root, "prefill_http_port") ? null : Integer(root, "prefill_http_port", 1, 65_535),
        };
        CheckRank("attn_tp_rank", registration.AttnTpRank, registration.AttnTpSize);
        CheckRank("attn_cp_rank", registration.AttnCpRank, registration.AttnCpSize);
        CheckRank("attn_dp_rank", registration.AttnDpRank, registration.AttnDpSize);
        CheckRank("pp_rank", registration.PpRank, registration.PpSize);
        CheckRank("system_dp_rank", registration.SystemDpRank, registration.SystemDpSize);
        if (registration.Topology.RankCount > MaxRanks)
            throw new BadFieldException("attn_tp_size", $"The sizes make {registration.Topology.RankCount} ranks, more than {MaxRanks}.");
        return registration;
    }

    private static void CheckRank(string field, int rank, int size)
    {
        if (rank >= size) throw new BadFieldException(field, $"{field} is {rank}, outside [0, {size}).");
    }

    private static JsonElement Required(JsonElement root, string field) =>
        root.TryGetProperty(field, out JsonElement value) ? value : throw new BadFieldException(field, $"{field} is missing.");

    private static bool IsNullOrMissing(JsonElement root, string field) => !root.TryGetProperty(field, out JsonElement value) || value.ValueKind == JsonValueKind.Null;

    private static int Integer(JsonElement root, string field, int min, int max)
    {
        JsonElement value = Required(root, field);
        long number = 0;
        bool isInteger = value.ValueKind switch
        {
            JsonValueKind.Number => value.TryGetInt64(out number),
            JsonValueKind.String => long.TryParse(value.GetString(), NumberStyles.Integer, CultureInfo.InvariantCulture, out number),
            _ => false,
        };
        if (!isInteger || number < min || number > max)
            throw new BadFieldException(field, $"{field} is {value.GetRawText()}. It must be an integer in [{min}, {max}].");
        return (int)number;
    }

    private static string Text(JsonElement root, string field)
    {
        JsonElement value = Required(root, field);
        string? text = value.ValueKind == JsonValueKind.String ? value.GetString() : null;
        return text is { Length: > 0 and <= 255 } ? text : throw new BadFieldException(field, $"{field} must be a string of 1 to 255 characters.");
    }

    private static string? NullableText(JsonElement root, string field, bool isRequired)
    {
        if (isRequired) Required(root, field);
        return IsNullOrMissing(root, field) ? null : Text(root, field);
    }

    private static bool Flag(JsonElement root, string field)
    {
        if (IsNullOrMissing(root, field)) return false;
        JsonElement value = root.GetProperty(field);
        return value.ValueKind is JsonValueKind.True or JsonValueKind.False
            ? value.GetBoolean()
            : throw new BadFieldException(field, $"{field} must be true or false.");
    }
}
