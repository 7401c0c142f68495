using System.Runtime.InteropServices;
using Baton.Router.Bodies;

namespace Baton.Router.Choice;

/// <summary>A prompt as policies with a memory compare it: bytes that are equal as far as the workers' caches could be.</summary>
/// <param name="Bytes">Text as it stands in the body, with the tools in front of a conversation; or eight bytes for each block of token ids.</param>
/// <param name="Unit">Bytes that only count together.</param>
internal readonly record struct PromptText(ReadOnlyMemory<byte> Bytes, int Unit)
{
    // Beyond this a longer match changes no decision; it bounds one insert.
    private const int MaxBytes = 256 * 1024;
    private const int HashBytes = 8;

    public bool AreIds => Unit == HashBytes;

    /// <param name="blockSize">Token ids in one block.</param>
    public static PromptText Of(in PolicyRequest request, int blockSize)
    {
        if (PromptIds.Are(request.Prompt.Span)) return new PromptText(Blocks(request.Prompt.Span, blockSize), HashBytes);
        ReadOnlyMemory<byte> prompt = request.Prompt;
        // Without the closing bracket or quote, which the next turn of the conversation does not have in that place.
        if (!prompt.IsEmpty) prompt = prompt[..Math.Min(prompt.Length - 1, MaxBytes)];
        // A chat template writes the tools in front of the conversation.
        if (!request.Tools.IsEmpty) prompt = (byte[])[.. request.Tools.Span, .. prompt.Span];
        return new PromptText(prompt.Length > MaxBytes ? prompt[..MaxBytes] : prompt, 1);
    }

    /// <summary>Share of this prompt that so many equal bytes are; a block that is only begun is none.</summary>
    public double Share(int matchedBytes) => Bytes.Length == 0 ? 0 : (double)(matchedBytes / Unit * Unit) / Bytes.Length;

    private static byte[] Blocks(ReadOnlySpan<byte> prompt, int blockSize)
    {
        ReadOnlySpan<uint> ids = PromptIds.Read(prompt, MaxBytes / HashBytes * blockSize);
        byte[] blocks = new byte[(ids.Length + blockSize - 1) / blockSize * HashBytes];
        for (int at = 0, block = 0; at < ids.Length; at += blockSize, block += HashBytes)
            BitConverter.TryWriteBytes(blocks.AsSpan(block), Xxh3.Hash(MemoryMarshal.AsBytes(ids[at..Math.Min(at + blockSize, ids.Length)])));
        return blocks;
    }
}

/// <summary>Which candidate was sent which prompts: one tree for each model, and one more for its prompts of token ids. Thread-safe.</summary>
internal sealed class PrefixMemory(PolicyOptions options)
{
    private readonly Lock _lock = new();
    private readonly Dictionary<(string Model, bool Ids), PrefixTree> _trees = [];
    private TimeSpan _evicted;

    /// <summary>Who of the candidates saw the longest part of the prompt, and which share of it that is.</summary>
    public (double Share, Candidate? Owner) Match(string? model, PromptText text, IReadOnlyList<Candidate> candidates)
    {
        lock (_lock)
        {
            (int matched, Candidate? owner) = TreeOf(model, text).Match(text.Bytes.Span, candidates);
            return (text.Share(matched), owner);
        }
    }

    public void Remember(string? model, PromptText text, Candidate chosen, TimeSpan now)
    {
        lock (_lock)
        {
            TreeOf(model, text).Insert(text.Bytes.Span, chosen);
            if (now - _evicted < options.EvictionInterval) return;
            _evicted = now;
            foreach (PrefixTree each in _trees.Values) each.Evict(options.MaxTreeSize);
        }
    }

    public void Forget(Workers.Worker worker)
    {
        lock (_lock)
            foreach (PrefixTree tree in _trees.Values) tree.Forget(c => c.Worker == worker);
    }

    private PrefixTree TreeOf(string? model, PromptText text)
    {
        (string, bool) key = (model ?? "", text.AreIds);
        if (!_trees.TryGetValue(key, out PrefixTree? tree)) _trees[key] = tree = new PrefixTree();
        return tree;
    }
}
