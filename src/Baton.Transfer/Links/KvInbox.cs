using System.Runtime.CompilerServices;
using Baton.Core.Failures;
using Baton.Transfer.Wire;

namespace Baton.Transfer.Links;

/// <summary>What happened on the links of one rank, waiting for its thread: the one way from I/O to the state machines.</summary>
/// <remarks>
/// Bounded in frames (payload bytes are bounded by the windows). Posting is thread-safe; taking is for the owner alone. A link posts
/// <see cref="Opened"/> at most once, then frames, then <see cref="Closed"/> exactly once.
/// </remarks>
/// <param name="capacity">Frames that may wait. A TCP link stops reading when they are used up.</param>
/// <param name="wake">Tells the rank that there is something to poll. Any thread; must not block.</param>
public sealed class KvInbox(int capacity, Action wake) : IDisposable
{
    private readonly Queue<Item> _items = new();
    private readonly SemaphoreSlim _space = new(capacity, capacity);
    private readonly Lock _lock = new();
    private bool _isEnded;

    internal enum Kind
    {
        Opened,
        Frame,
        Closed,
    }

    internal readonly record struct Item(Kind Kind, IKvLink Link)
    {
        public KvFrame Frame { get; init; }
        public KvIdentity? Peer { get; init; }
        public RequestFailure? Why { get; init; }
    }

    /// <summary>The link is ready and the peer is who it says.</summary>
    public void Opened(IKvLink link, KvIdentity peer) => Enqueue(new Item(Kind.Opened, link) { Peer = peer });

    /// <summary>The link ended, for whichever side's reason. Always gets through.</summary>
    public void Closed(IKvLink link, RequestFailure why) => Enqueue(new Item(Kind.Closed, link) { Why = why });

    /// <summary>Hands a frame over if there is room. False: nothing was taken.</summary>
    public bool TryPost(IKvLink link, in KvFrame frame)
    {
        if (!_space.Wait(0)) return false;
        Enqueue(new Item(Kind.Frame, link) { Frame = frame });
        return true;
    }

    /// <summary>Hands a frame over, waiting for room until the link's token ends it. The payload is returned when it does.</summary>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    public async ValueTask PostAsync(IKvLink link, KvFrame frame, CancellationToken ct)
    {
        try
        {
            await _space.WaitAsync(ct);
        }
        catch (OperationCanceledException)
        {
            frame.Payload?.Dispose();
            throw;
        }
        Enqueue(new Item(Kind.Frame, link) { Frame = frame });
    }

    /// <summary>Wakes the rank without a message: a window has to be granted.</summary>
    internal void Wake() => wake();

    internal bool TryTake(out Item item)
    {
        lock (_lock)
        {
            if (!_items.TryDequeue(out item)) return false;
        }
        if (item.Kind == Kind.Frame) _space.Release();
        return true;
    }

    /// <summary>The owner is gone: what waits is thrown away, and so is whatever still comes.</summary>
    public void Dispose()
    {
        lock (_lock) _isEnded = true;
        while (TryTake(out Item item)) item.Frame.Payload?.Dispose();
    }

    private void Enqueue(in Item item)
    {
        bool isTaken;
        lock (_lock)
        {
            isTaken = !_isEnded;
            if (isTaken) _items.Enqueue(item);
        }
        if (isTaken)
        {
            wake();
            return;
        }
        if (item.Kind == Kind.Frame) _space.Release();
        item.Frame.Payload?.Dispose();
        if (item.Kind == Kind.Opened) item.Link.Close(RequestFailure.Of(FailureReason.ShuttingDown, "This rank is shutting down."));
    }
}
