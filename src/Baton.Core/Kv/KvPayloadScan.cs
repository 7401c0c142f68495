namespace Baton.Core.Kv;

/// <summary>The check of <see cref="KvPayloadCheck"/> on a chunk that is still arriving, while its bytes are warm from the kernel's copy.</summary>
/// <remarks>A pass over memory that has left the cache costs more than the comparison itself.</remarks>
/// <param name="tokenCount">Tokens of the chunk; its payload has exactly <c>layout.PayloadBytes(tokenCount)</c> bytes.</param>
public struct KvPayloadScan(KvLayout layout, int tokenCount)
{
    private readonly int _keyBytes = checked(layout.KeyRowBytes.Sum() * tokenCount);
    private int _checked;

    /// <summary>Looks at what has arrived since the last call, as far as it is whole numbers or blocks.</summary>
    /// <param name="payload">The whole chunk's memory.</param>
    /// <param name="arrivedBytes">How much of it is there. When it is all of it, all of it has been checked after this call.</param>
    /// <returns>False as soon as one value is not finite, or when the type is unknown.</returns>
    public bool IsFinite(ReadOnlySpan<byte> payload, int arrivedBytes)
    {
        if (_checked < _keyBytes && !Advance(payload, 0, Math.Min(arrivedBytes, _keyBytes), layout.KeyType)) return false;
        return _checked < _keyBytes || Advance(payload, _keyBytes, arrivedBytes, layout.ValueType);
    }

    private bool Advance(ReadOnlySpan<byte> payload, int regionStart, int end, int type)
    {
        int whole = end - ((end - regionStart) % KvPayloadCheck.UnitBytes(type));
        bool isFinite = KvPayloadCheck.IsFinite(payload[_checked..whole], type);
        _checked = whole;
        return isFinite;
    }
}
