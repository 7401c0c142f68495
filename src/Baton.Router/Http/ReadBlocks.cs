using System.Buffers;
using Microsoft.AspNetCore.Connections;

namespace Baton.Router.Http;

/// <summary>Memory for the server's sockets in blocks that hold a usual request whole.</summary>
/// <remarks>
/// The server reads a socket once for each block: of its own, which are 4 KiB, a prompt of 32 KiB takes nine. A connection has a block
/// only while bytes wait in it, so there are as many as requests being read, and answers being sent, at one time.
/// </remarks>
internal sealed class ReadBlocks : MemoryPool<byte>, IMemoryPoolFactory<byte>
{
    /// <summary>How many are kept while nobody needs them: 16 MiB. What comes back beyond that is dropped.</summary>
    public const int MaxKept = 256;

    private const int BlockBytes = 64 * 1024;
    private readonly Lock _lock = new();
    // The last one that came back is the one that may still be in the processor's cache.
    private readonly Stack<Block> _free = new();

    public override int MaxBufferSize => BlockBytes;

    /// <summary>Blocks that nobody has now.</summary>
    public int Free
    {
        get
        {
            lock (_lock) return _free.Count;
        }
    }

    /// <summary>One pool for everything that a server does.</summary>
    public MemoryPool<byte> Create(MemoryPoolOptions? options = null) => this;

    public override IMemoryOwner<byte> Rent(int minBufferSize = -1)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(minBufferSize, BlockBytes);
        lock (_lock)
        {
            if (_free.TryPop(out Block? free)) return free.Lend();
        }
        return new Block(this).Lend();
    }

    // Nothing but memory, and shared: it goes with its last user.
    protected override void Dispose(bool disposing)
    {
    }

    private void Return(Block block)
    {
        lock (_lock)
        {
            if (_free.Count < MaxKept) _free.Push(block);
        }
    }

    private sealed class Block(ReadBlocks pool) : IMemoryOwner<byte>
    {
        private readonly byte[] _bytes = GC.AllocateUninitializedArray<byte>(BlockBytes);
        private int _isLent;

        public Memory<byte> Memory => _bytes;

        public Block Lend()
        {
            Volatile.Write(ref _isLent, 1);
            return this;
        }

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _isLent, 0) == 1) pool.Return(this);
        }
    }
}
