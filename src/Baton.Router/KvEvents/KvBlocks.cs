using System.Runtime.InteropServices;

namespace Baton.Router.KvEvents;

/// <summary>Why what a rank held is no longer known.</summary>
public enum KvForgotten
{
    /// <summary>Batches are missing between two.</summary>
    Gap,
    /// <summary>The connection ended.</summary>
    Lost,
    /// <summary>The worker's process was replaced.</summary>
    Restarted,
    /// <summary>More blocks than are kept of one rank.</summary>
    Full,
}

/// <summary>Which blocks of tokens one rank holds in its KV cache, by its own events. Thread-safe: its follower writes while requests are placed.</summary>
/// <remarks>
/// A block is kept under the key of <see cref="PromptBlocks"/>, so a prompt is followed by looking up one key after the other. What is
/// here the rank has told; it may hold more: blocks whose beginning was told before this router listened are left out.
/// </remarks>
public sealed class KvBlocks(int maxBlocks = KvBlocks.DefaultMaxBlocks)
{
    /// <summary>About 60 MB a rank when all of them are used.</summary>
    public const int DefaultMaxBlocks = 1 << 20;
    private const int MaxBlockSize = 65536;
    private readonly Lock _lock = new();
    private readonly Dictionary<long, ulong> _keyOf = [];
    // Under how many hashes a worker holds the same tokens: it may keep them apart by something that its events do not tell.
    private readonly Dictionary<ulong, int> _held = [];
    private readonly long[] _forgotten = new long[Enum.GetValues<KvForgotten>().Length];
    private ulong? _nextBatch;
    private int _blockSize;
    private long _batches;
    private volatile bool _isFollowed, _isLive, _isWhole;

    /// <summary>Somebody connects, or tries to.</summary>
    public bool IsFollowed { get => _isFollowed; set => _isFollowed = value; }

    /// <summary>The rank is being listened to.</summary>
    public bool IsLive => _isLive;

    /// <summary>It was listened to from its first batch on, or since it was empty: what is not here it does not hold.</summary>
    public bool IsWhole => _isWhole;

    public int Count
    {
        get
        {
            lock (_lock) return _keyOf.Count;
        }
    }

    public long Batches => Volatile.Read(ref _batches);

    public long ForgottenBy(KvForgotten why) => Volatile.Read(ref _forgotten[(int)why]);

    /// <summary>The connection stands: events follow.</summary>
    public void Begin() => _isLive = true;

    /// <summary>The connection ended.</summary>
    public void End()
    {
        if (!_isLive) return;
        Forget(KvForgotten.Lost);
        _isLive = false;
    }

    /// <summary>A batch of events follows. After a gap everything before it is forgotten.</summary>
    /// <param name="sequence">The publisher's number for it: from 0, without gaps.</param>
    public void BeginBatch(ulong sequence)
    {
        lock (_lock)
        {
            if (_nextBatch is { } expected && sequence != expected) ForgetAlone(KvForgotten.Gap);
            if (sequence == 0) _isWhole = true;
            _nextBatch = unchecked(sequence + 1);
            _batches++;
        }
    }

    /// <summary>Consecutive blocks of a prompt came into the cache.</summary>
    /// <param name="hashes">The worker's names for them.</param>
    /// <param name="parent">Its name for the block in front of them; null at a prompt's beginning.</param>
    /// <param name="tokens">Of all these blocks in a row.</param>
    /// <exception cref="KvEventException">Counts that do not fit, another block size than before, or a name that stands for two blocks.</exception>
    public void Store(ReadOnlySpan<long> hashes, long? parent, ReadOnlySpan<uint> tokens, long blockSize)
    {
        if (blockSize is < 1 or > MaxBlockSize || tokens.Length != hashes.Length * blockSize)
            throw new KvEventException($"BlockStored has {hashes.Length} hashes and {tokens.Length} token ids at {blockSize} a block.");
        int size = (int)blockSize;
        lock (_lock)
        {
            if (_keyOf.Count > 0 && size != _blockSize) throw new KvEventException($"Its blocks were of {_blockSize} tokens, and now of {size}.");
            _blockSize = size;
            ulong key = 0;
            if (parent is { } front && !_keyOf.TryGetValue(front, out key))
            {
                _isWhole = false;
                return;
            }
            for (int i = 0; i < hashes.Length; i++)
            {
                key = PromptBlocks.KeyOf(key, tokens.Slice(i * size, size));
                if (_keyOf.TryGetValue(hashes[i], out ulong known))
                {
                    // Older versions of SGLang name a block by its own tokens alone, wherever it stands: what they remove cannot be told.
                    if (known != key) throw new KvEventException("One hash stands for blocks at different places. A newer version of SGLang names blocks by all tokens up to their end.");
                    continue;
                }
                if (_keyOf.Count >= maxBlocks)
                {
                    ForgetAlone(KvForgotten.Full);
                    return;
                }
                _keyOf.Add(hashes[i], key);
                CollectionsMarshal.GetValueRefOrAddDefault(_held, key, out _)++;
            }
        }
    }

    /// <summary>Blocks left the cache; those that were never told of are ignored.</summary>
    public void Remove(ReadOnlySpan<long> hashes)
    {
        lock (_lock)
        {
            foreach (long hash in hashes)
            {
                if (!_keyOf.Remove(hash, out ulong key)) continue;
                ref int count = ref CollectionsMarshal.GetValueRefOrNullRef(_held, key);
                if (--count == 0) _held.Remove(key);
            }
        }
    }

    /// <summary>The cache is empty.</summary>
    public void Clear()
    {
        lock (_lock)
        {
            Empty();
            _isWhole = true;
        }
    }

    /// <summary>What the rank holds is not known any more.</summary>
    public void Forget(KvForgotten why)
    {
        lock (_lock)
        {
            ForgetAlone(why);
            _nextBatch = null;
        }
    }

    /// <summary>Tokens of the prompt, from its start, whose blocks the rank holds.</summary>
    public int Match(PromptBlocks prompt)
    {
        lock (_lock)
        {
            if (_held.Count == 0) return 0;
            int blocks = 0;
            while (prompt.TryKey(_blockSize, blocks, out ulong key) && _held.ContainsKey(key)) blocks++;
            return blocks * _blockSize;
        }
    }

    private void ForgetAlone(KvForgotten why)
    {
        Empty();
        _isWhole = false;
        _forgotten[(int)why]++;
    }

    private void Empty()
    {
        _keyOf.Clear();
        _held.Clear();
    }
}
