using System.Runtime.InteropServices;
using Baton.Router.Choice;

namespace Baton.Router.KvEvents;

/// <summary>A prompt's token ids, cut into blocks of any size from the start. Each block's key stands for it and all in front of it.</summary>
/// <remarks>Keys are made when they are first asked for, so a prompt that nobody holds costs one. For one thread.</remarks>
public sealed class PromptBlocks(uint[] ids)
{
    private readonly Dictionary<int, List<ulong>> _keys = [];

    public int TokenCount => ids.Length;

    /// <summary>The key of the block with that 0-based number; false behind the last whole block.</summary>
    public bool TryKey(int blockSize, int index, out ulong key)
    {
        key = 0;
        if (ids.Length / blockSize <= index) return false;
        if (!_keys.TryGetValue(blockSize, out List<ulong>? keys)) _keys[blockSize] = keys = [];
        while (keys.Count <= index) keys.Add(KeyOf(keys.Count == 0 ? 0 : keys[^1], ids.AsSpan(keys.Count * blockSize, blockSize)));
        key = keys[index];
        return true;
    }

    /// <param name="parent">Of the block in front; 0 for the first.</param>
    public static ulong KeyOf(ulong parent, ReadOnlySpan<uint> tokens)
    {
        ReadOnlySpan<ulong> pair = [parent, Xxh3.Hash(MemoryMarshal.AsBytes(tokens))];
        return Xxh3.Hash(MemoryMarshal.AsBytes(pair));
    }
}
