using System.IO.Pipelines;
using Baton.Bootstrap.Client;
using Baton.Bootstrap.Registry;
using Baton.Core.Failures;
using Baton.Core.Ids;
using Baton.Core.Rooms;
using Microsoft.Extensions.Logging;

namespace Baton.Bootstrap.Prefill;

/// <summary>Tells the bootstrap server which rank works on which room. One poster for a whole prefill worker, off the rank threads.</summary>
/// <remarks>
/// Calls only write down what is new and return. The poster sends everything that is new in one request; what comes up meanwhile goes
/// into the next, so rooms coalesce by themselves when the server is slower than the dispatcher. It retries until a room ends, and
/// tells all living rooms again when the server was replaced. SGLang's server gets one request a room, which is all it understands;
/// there a failed room is registered at any rank, because decode claims it at the rank it is told, and every rank answers with the reason.
/// </remarks>
public sealed class RoomRegistrar : IRoomRegistration, IAsyncDisposable
{
    private readonly RoomRegistrarOptions _options;
    private readonly BootstrapAddress _server;
    private readonly IBootstrapApi _api;
    private readonly TimeProvider _time;
    private readonly PipeScheduler _scheduler;
    private readonly ILogger _logger;
    private readonly Backoff _backoff;
    private readonly CancellationTokenSource _stop = new();
    private readonly Lock _lock = new();
    private readonly Dictionary<BootstrapRoom, LinkedListNode<Entry>> _rooms = [];
    private readonly LinkedList<Entry> _byAge = new();
    private readonly Queue<Entry> _news = new();
    private TaskCompletionSource? _flushing;
    private bool _isPosting;
    private bool _isSglang;
    private int _batchLimit;
    private string? _instanceId;

    /// <param name="scheduler">Where the poster starts: <see cref="PipeScheduler.ThreadPool"/> in a worker, <see cref="PipeScheduler.Inline"/> in the simulator.</param>
    public RoomRegistrar(
        RoomRegistrarOptions options, BootstrapAddress server, IBootstrapApi api, TimeProvider time, Random random, PipeScheduler scheduler, ILogger<RoomRegistrar> logger)
    {
        _options = options;
        _server = server;
        _api = api;
        _time = time;
        _scheduler = scheduler;
        _logger = logger;
        _batchLimit = options.MaxBatch;
        _backoff = new Backoff(options.RetryFloor, options.RetryCeiling, random, new Lock());
    }

    /// <summary>Rooms that have not ended.</summary>
    public int RoomCount
    {
        get
        {
            lock (_lock) return _rooms.Count;
        }
    }

    /// <summary>Requests sent to the server so far, retries included.</summary>
    public long RequestCount { get; private set; }

    /// <summary>This rank works on the room from now on.</summary>
    /// <returns>False when <see cref="RoomRegistrarOptions.MaxRooms"/> is reached: refuse the request, decode would never find it.</returns>
    public bool Register(BootstrapRoom room, DpRank rank)
    {
        lock (_lock)
        {
            DropOverdue();
            if (_rooms.Count >= _options.MaxRooms && !_rooms.ContainsKey(room)) return false;
            Note(room, Kind.Registered, rank, null);
        }
        PostIfIdle();
        return true;
    }

    /// <summary>The room failed before decode could claim it: whoever waits for it is told why.</summary>
    /// <remarks>At <see cref="RoomRegistrarOptions.MaxRooms"/> a room that was never registered is not told; decode then ends by its own deadline.</remarks>
    public void NotifyFailed(BootstrapRoom room, RequestFailure failure)
    {
        lock (_lock)
        {
            DropOverdue();
            if (_rooms.Count < _options.MaxRooms || _rooms.ContainsKey(room)) Note(room, Kind.Failed, null, failure);
        }
        PostIfIdle();
    }

    /// <summary>The room ended: the server may forget it.</summary>
    public void NotifyEnded(BootstrapRoom room)
    {
        lock (_lock)
        {
            // Never sent: there is nothing to take back.
            if (!_rooms.TryGetValue(room, out LinkedListNode<Entry>? node) || !node.Value.WasSent) Drop(room);
            else Note(room, Kind.Ended, null, null);
        }
        PostIfIdle();
    }

    /// <summary>Stops telling about the room and leaves the server's entry to expire.</summary>
    public void Forget(BootstrapRoom room)
    {
        lock (_lock) Drop(room);
    }

    /// <summary>The server was replaced and knows nothing: all living rooms go again.</summary>
    public void Repost()
    {
        lock (_lock)
        {
            _isSglang = false;
            foreach (Entry entry in _byAge)
            {
                if (entry.IsNews) continue;
                entry.IsNews = true;
                _news.Enqueue(entry);
            }
        }
        PostIfIdle();
    }

    /// <summary>Waits until the server has taken everything that is new. For the end of a worker, behind the end of its last room.</summary>
    /// <returns>False when time was up, or nothing is posted any more: decode then learns of those rooms when its claims or deadlines end.</returns>
    public async Task<bool> FlushAsync(TimeSpan deadline)
    {
        Task posted;
        lock (_lock)
        {
            if (_stop.IsCancellationRequested) return false;
            if (!_isPosting) return true;
            _flushing ??= new TaskCompletionSource();
            posted = _flushing.Task;
        }
        try
        {
            await posted.WaitAsync(deadline, _time);
            return true;
        }
        catch (TimeoutException)
        {
            lock (_lock) _logger.NoticesUnsent(_server, _news.Count, deadline.TotalSeconds);
            return false;
        }
    }

    /// <summary>Stops at once; what was not sent is not sent. <see cref="FlushAsync"/> comes before where that matters.</summary>
    public ValueTask DisposeAsync()
    {
        // Not CancelAsync: that goes over the thread pool, and virtual time would not see it end.
        _stop.Cancel();
        return ValueTask.CompletedTask;
    }

    private TimeSpan Now => _time.GetElapsedTime(0);

    private void Note(BootstrapRoom room, Kind kind, DpRank? rank, RequestFailure? failure)
    {
        if (!_rooms.TryGetValue(room, out LinkedListNode<Entry>? node))
        {
            node = _byAge.AddLast(new Entry(room, Now + _options.RoomLife));
            _rooms[room] = node;
        }
        Entry entry = node.Value;
        (entry.Kind, entry.Rank, entry.Failure) = (kind, rank ?? entry.Rank, failure);
        entry.Version++;
        if (entry.IsNews) return;
        entry.IsNews = true;
        _news.Enqueue(entry);
    }

    private void Drop(BootstrapRoom room)
    {
        if (!_rooms.Remove(room, out LinkedListNode<Entry>? node)) return;
        node.Value.IsDropped = true;
        _byAge.Remove(node);
    }

    private void DropOverdue()
    {
        TimeSpan now = Now;
        while (_byAge.First is { } oldest && oldest.Value.Deadline <= now) Drop(oldest.Value.Room);
    }

    private void PostIfIdle()
    {
        lock (_lock)
        {
            if (_isPosting || _news.Count == 0 || _stop.IsCancellationRequested) return;
            _isPosting = true;
        }
        _scheduler.Schedule(static state => _ = ((RoomRegistrar)state!).PostAsync(), this);
    }

    private async Task PostAsync()
    {
        try
        {
            while (TakeNews() is { Count: > 0 } batch)
            {
                BootstrapReply<Done> reply = _isSglang ? await PostOneByOneAsync(batch) : await _api.UpdateRoomsAsync(_server, ToUpdate(batch), _stop.Token);
                RequestCount++;
                if (Take(batch, reply)) _backoff.Reset();
                else await Task.Delay(_backoff.Next(), _time, _stop.Token);
            }
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            // The worker stops: its rooms are gone with it.
        }
        catch (Exception bug)
        {
            _logger.PosterBroke(_server, bug);
            TaskCompletionSource? waiting;
            lock (_lock) waiting = Rest();
            waiting?.TrySetResult();
        }
    }

    /// <summary>The next batch, each room once with its latest news; empty, and the poster idle, when there is none.</summary>
    private List<(Entry Entry, int Version)> TakeNews()
    {
        List<(Entry, int)> batch = [];
        TaskCompletionSource? flushed = null;
        lock (_lock)
        {
            DropOverdue();
            while (batch.Count < _batchLimit && _news.TryDequeue(out Entry? entry))
            {
                entry.IsNews = false;
                if (entry.IsDropped) continue;
                entry.WasSent = true;
                batch.Add((entry, entry.Version));
            }
            if (batch.Count == 0) flushed = Rest();
        }
        flushed?.TrySetResult();
        return batch;
    }

    /// <summary>The poster is idle. Returns who waits for that; the caller tells it without the lock.</summary>
    private TaskCompletionSource? Rest()
    {
        _isPosting = false;
        TaskCompletionSource? waiting = _flushing;
        _flushing = null;
        return waiting;
    }

    private RoomUpdate ToUpdate(List<(Entry Entry, int Version)> batch)
    {
        List<KeyValuePair<BootstrapRoom, DpRank>> registered = [];
        List<KeyValuePair<BootstrapRoom, RequestFailure>> failed = [];
        List<BootstrapRoom> ended = [];
        lock (_lock)
        {
            foreach ((Entry entry, _) in batch)
            {
                if (entry.Kind == Kind.Registered) registered.Add(new(entry.Room, entry.Rank));
                else if (entry.Kind == Kind.Failed) failed.Add(new(entry.Room, entry.Failure!));
                else ended.Add(entry.Room);
            }
        }
        return new RoomUpdate { Registered = registered, Failed = failed, Ended = ended };
    }

    /// <summary>SGLang's server: registrations only, of failed rooms too. The first that fails ends the round, and the whole batch goes again.</summary>
    private async Task<BootstrapReply<Done>> PostOneByOneAsync(List<(Entry Entry, int Version)> batch)
    {
        BootstrapReply<Done> reply = new(BootstrapStatus.Ok, default, null, _instanceId, IsBaton: false);
        foreach ((Entry entry, _) in batch)
        {
            if (entry.Kind == Kind.Ended) continue;
            reply = await _api.RegisterRoomAsync(_server, entry.Room, entry.Rank, _stop.Token);
            if (!reply.IsOk) return reply;
        }
        return reply;
    }

    /// <summary>True when the server took the batch; else it is news again.</summary>
    private bool Take(List<(Entry Entry, int Version)> batch, BootstrapReply<Done> reply)
    {
        bool isReplaced = false;
        lock (_lock)
        {
            if (reply.IsOk)
            {
                _batchLimit = _options.MaxBatch;
                foreach ((Entry entry, int version) in batch)
                {
                    // A registered room stays, to be told again to a restarted server. News that came up meanwhile stay news.
                    if (entry.Kind != Kind.Registered && entry.Version == version) Drop(entry.Room, entry);
                }
                isReplaced = _instanceId is not null && reply.InstanceId is not null && reply.InstanceId != _instanceId;
                _instanceId = reply.InstanceId ?? _instanceId;
            }
            else if (!Refuse(batch, reply)) Requeue(batch);
        }
        if (isReplaced) Repost();
        if (!reply.IsOk) _logger.RoomsNotPosted(_server, batch.Count, reply.Status, reply.Detail ?? "no detail");
        return reply.IsOk || reply.Status == BootstrapStatus.RouteMissing;
    }

    /// <summary>What to do when the server will say no again. True: the batch is dropped.</summary>
    private bool Refuse(List<(Entry Entry, int Version)> batch, BootstrapReply<Done> reply)
    {
        if (reply.Status == BootstrapStatus.RouteMissing) _isSglang = true;
        if (reply.Status != BootstrapStatus.Refused) return false;
        // One bad room must not hold back the others: halve until it stands alone, and drop it then.
        if (batch.Count > 1)
        {
            _batchLimit = Math.Max(1, batch.Count / 2);
            return false;
        }
        _logger.RoomRefused(_server, batch[0].Entry.Room, reply.Detail ?? "no detail");
        Drop(batch[0].Entry.Room, batch[0].Entry);
        return true;
    }

    private void Requeue(List<(Entry Entry, int Version)> batch)
    {
        foreach ((Entry entry, _) in batch)
        {
            if (entry.IsNews || entry.IsDropped) continue;
            entry.IsNews = true;
            _news.Enqueue(entry);
        }
    }

    private void Drop(BootstrapRoom room, Entry entry)
    {
        if (_rooms.TryGetValue(room, out LinkedListNode<Entry>? node) && node.Value == entry) Drop(room);
    }

    private enum Kind
    {
        Registered,
        Failed,
        Ended,
    }

    private sealed class Entry(BootstrapRoom room, TimeSpan deadline)
    {
        public BootstrapRoom Room { get; } = room;
        public TimeSpan Deadline { get; } = deadline;
        public Kind Kind { get; set; }
        public DpRank Rank { get; set; }
        public RequestFailure? Failure { get; set; }
        /// <summary>Counts the changes, so that an answer to an older one does not drop a newer one.</summary>
        public int Version { get; set; }
        public bool IsNews { get; set; }
        public bool WasSent { get; set; }
        public bool IsDropped { get; set; }
    }
}
