namespace Baton.Core.Kv;

/// <summary>What one token's KV cell holds, layer by layer. Equal on both sides of a hand-over, or the handshake refuses.</summary>
/// <remarks>
/// A chunk of n tokens is laid out as all K layers then all V layers; inside a layer, n rows of that layer's row size in position
/// order. There are no headers in between: the receiver builds the library's own from these numbers.
/// </remarks>
/// <param name="KeyRowBytes">Per layer: bytes of one token's K row.</param>
/// <param name="ValueRowBytes">Per layer: bytes of one token's V row. Same length as <paramref name="KeyRowBytes"/>.</param>
/// <param name="KeyType">ggml type of K: F32 0, F16 1, Q4_0 2, Q8_0 8.</param>
/// <param name="ValueType">ggml type of V.</param>
public sealed record KvLayout(IReadOnlyList<int> KeyRowBytes, IReadOnlyList<int> ValueRowBytes, int KeyType, int ValueType)
{
    public int LayerCount => KeyRowBytes.Count;

    /// <summary>Payload bytes of one token over all layers, without any header.</summary>
    public int BytesPerToken { get; } = KeyRowBytes.Sum() + ValueRowBytes.Sum();

    public long PayloadBytes(int tokenCount) => (long)tokenCount * BytesPerToken;

    /// <summary>Memory that a chunk of so many tokens is kept in: its payload, and room for the headers that an engine puts between the layers.</summary>
    /// <remarks>An engine that finds the room does not have to copy the chunk once more. llama.cpp's own form takes 12 bytes a token, 24 a layer and 24.</remarks>
    public long RoomBytes(int tokenCount) => PayloadBytes(tokenCount) + (16L * tokenCount) + (32L * LayerCount) + 64;

    public bool Equals(KvLayout? other) => other is not null && KeyType == other.KeyType && ValueType == other.ValueType
        && KeyRowBytes.SequenceEqual(other.KeyRowBytes) && ValueRowBytes.SequenceEqual(other.ValueRowBytes);

    public override int GetHashCode() => HashCode.Combine(LayerCount, BytesPerToken, KeyType, ValueType);
}
