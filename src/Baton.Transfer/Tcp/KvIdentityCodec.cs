using Baton.Core.Ids;
using Baton.Core.Kv;
using Baton.Transfer.Links;
using Baton.Transfer.Wire;

namespace Baton.Transfer.Tcp;

/// <summary>The identity block of Proof and Ready. Every count is capped, so the block always fits a control frame.</summary>
internal static class KvIdentityCodec
{
    public const int MaxLayers = 1024;
    public const int MaxNameBytes = 256;
    public const int MaxOptionsBytes = 2048;

    /// <summary>Far above any model's row, far below what would overflow a sum over the layers.</summary>
    private const int MaxRowBytes = 1 << 20;

    public static void Write(KvIdentity identity, ref KvFieldWriter fields)
    {
        KvLayout layout = identity.Layout;
        if (layout.LayerCount > MaxLayers) throw new ArgumentException($"The model has {layout.LayerCount} layers; the hand-over takes at most {MaxLayers}.", nameof(identity));
        fields.Byte((byte)identity.Role);
        fields.Int32(identity.Rank.Value);
        fields.Int32(identity.MaxChunkTokens);
        fields.Int64(identity.WindowBytes);
        fields.Text(identity.InstanceId, MaxNameBytes);
        fields.Text(identity.ModelFingerprint, MaxNameBytes);
        fields.Text(identity.EngineOptions, MaxOptionsBytes);
        fields.Int32(layout.KeyType);
        fields.Int32(layout.ValueType);
        fields.UInt16((ushort)layout.LayerCount);
        for (int layer = 0; layer < layout.LayerCount; layer++)
        {
            fields.Int32(layout.KeyRowBytes[layer]);
            fields.Int32(layout.ValueRowBytes[layer]);
        }
    }

    /// <exception cref="KvProtocolException">A field outside its bounds.</exception>
    public static KvIdentity Read(ref KvFieldReader fields)
    {
        byte role = fields.Byte();
        if (role > (byte)WorkerRole.Decode) throw new KvProtocolException($"Worker role {role} is unknown.");
        DpRank rank = new(fields.Int32(0, int.MaxValue, "rank"));
        int maxChunkTokens = fields.Int32(1, int.MaxValue, "longest chunk");
        long windowBytes = fields.Int64(1, long.MaxValue, "window");
        string instance = fields.Text(MaxNameBytes), fingerprint = fields.Text(MaxNameBytes), options = fields.Text(MaxOptionsBytes);
        int keyType = fields.Int32(0, int.MaxValue, "K type"), valueType = fields.Int32(0, int.MaxValue, "V type");
        int layers = fields.UInt16(MaxLayers, "layers");
        int[] keys = new int[layers], values = new int[layers];
        for (int layer = 0; layer < layers; layer++)
        {
            keys[layer] = fields.Int32(0, MaxRowBytes, "K row");
            values[layer] = fields.Int32(0, MaxRowBytes, "V row");
        }
        return new KvIdentity
        {
            Role = (WorkerRole)role,
            Rank = rank,
            MaxChunkTokens = maxChunkTokens,
            WindowBytes = windowBytes,
            InstanceId = instance,
            ModelFingerprint = fingerprint,
            EngineOptions = options,
            Layout = new KvLayout(keys, values, keyType, valueType),
        };
    }
}
