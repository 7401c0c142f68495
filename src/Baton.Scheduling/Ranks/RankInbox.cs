using System.Diagnostics;
using Baton.Core.Failures;
using Baton.Core.Ids;
using Baton.Core.Requests;
using Baton.Core.Resolution;

namespace Baton.Scheduling.Ranks;

/// <summary>The one door of a rank: requests, aborts and resolver answers come in here, from any thread.</summary>
/// <remarks>
/// It counts the requests that the rank has taken and not yet ended, and that count is the bound of all queues behind it: a rank
/// holds at most <see cref="Capacity"/> requests in whatever stage. Aborts need no bound of their own: one for each live request.
/// </remarks>
public sealed class RankInbox : IRankResolutionSink
{
    private const int MaxArrivals = 65_536;

    private readonly Lock _lock = new();
    private readonly Dictionary<RequestId, bool> _live = [];
    private List<InboxItem> _arrived = [];
    private List<InboxItem> _taken = [];
    private RequestFailure? _closed;
    private long _uncomputedPromptTokens;
    private long _livePromptTokens;
    private long _stepPromptTokens;
    private long _headSinceTicks = TimeSpan.MaxValue.Ticks;

    /// <param name="dpRank">For error texts.</param>
    /// <param name="capacity">Requests that the rank may hold at once: running and queued together.</param>
    public RankInbox(DpRank dpRank, int capacity)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(capacity);
        DpRank = dpRank;
        Capacity = capacity;
    }

    public DpRank DpRank { get; }

    public int Capacity { get; }

    /// <summary>Called after each arrival, on the arriving thread: must not block. Set by the driver before the first submit.</summary>
    public Action? Wake { get; set; }

    /// <summary>Requests taken and not yet ended.</summary>
    public int LiveRequests
    {
        get
        {
            lock (_lock) return _live.Count;
        }
    }

    /// <summary>Prompt tokens of live requests whose KV this rank does not hold yet. Grows at submit, shrinks with every chunk, never stale.</summary>
    public long UncomputedPromptTokens => Interlocked.Read(ref _uncomputedPromptTokens);

    /// <summary>The part of <see cref="UncomputedPromptTokens"/> that the step being executed will have computed.</summary>
    public long StepPromptTokens => Interlocked.Read(ref _stepPromptTokens);

    /// <summary>When the rank began its present step, or ended the last one while more waits; the end of time when it has not begun what it has.</summary>
    public TimeSpan HeadSince => new(Interlocked.Read(ref _headSinceTicks));

    /// <summary>Prompt tokens of all live requests.</summary>
    public long LivePromptTokens => Interlocked.Read(ref _livePromptTokens);

    /// <summary>False once the rank drains, stops or is broken.</summary>
    public bool IsAccepting => Volatile.Read(ref _closed) is null;

    /// <summary>Something waits to be taken in.</summary>
    public bool HasArrivals
    {
        get
        {
            lock (_lock) return _arrived.Count > 0;
        }
    }

    /// <summary>Hands a request to the rank, which will end it exactly once.</summary>
    /// <returns>Null when taken; else why not, and the sink hears nothing.</returns>
    public RequestFailure? TrySubmit(GenerationRequest request)
    {
        lock (_lock)
        {
            if (_closed is { } closed) return closed;
            if (_live.Count >= Capacity)
            {
                return RequestFailure.Of(FailureReason.QueueFull, $"{request.Id}: dp rank {DpRank} holds {_live.Count} requests, its maximum.");
            }
            if (!_live.TryAdd(request.Id, value: false))
            {
                return RequestFailure.Of(FailureReason.InvalidRequest, $"rid: {request.Id} is already running on dp rank {DpRank}.");
            }
            Interlocked.Add(ref _uncomputedPromptTokens, request.PromptTokens.Length);
            Interlocked.Add(ref _livePromptTokens, request.PromptTokens.Length);
            _arrived.Add(new InboxItem(InboxItemKind.Submit) { Request = request, Id = request.Id });
        }
        Wake?.Invoke();
        return null;
    }

    /// <summary>Asks the rank to end a request.</summary>
    /// <returns>False when the rank has no such request, or is ending it already.</returns>
    public bool Abort(RequestId id, RequestFailure failure)
    {
        lock (_lock)
        {
            if (!_live.TryGetValue(id, out bool isEnding) || isEnding) return false;
            _live[id] = true;
            _arrived.Add(new InboxItem(InboxItemKind.Abort) { Id = id, Failure = failure });
        }
        Wake?.Invoke();
        return true;
    }

    /// <summary>Takes no more requests; those inside go on to their own ends.</summary>
    /// <param name="refusal">What later submits are answered; <see cref="FailureReason.ShuttingDown"/> when left out.</param>
    public void Drain(RequestFailure? refusal = null)
    {
        lock (_lock) _closed ??= refusal ?? RequestFailure.Of(FailureReason.ShuttingDown, $"dp rank {DpRank} is draining.");
        Wake?.Invoke();
    }

    /// <summary>Takes no more requests and asks the rank to end those inside.</summary>
    public void Stop(RequestFailure failure)
    {
        lock (_lock)
        {
            _closed ??= failure;
            foreach (RequestId id in _live.Where(live => !live.Value).Select(live => live.Key).ToArray())
            {
                _live[id] = true;
                _arrived.Add(new InboxItem(InboxItemKind.Abort) { Id = id, Failure = failure });
            }
        }
        Wake?.Invoke();
    }

    /// <summary>On prefill: a request with this room ended elsewhere; decode's claim, should it come here, is answered with the reason.</summary>
    public void Refuse(BootstrapRoom room, RequestFailure failure)
    {
        lock (_lock)
        {
            // Only a rank that hangs gets here; decode then waits for its own deadline.
            if (_arrived.Count >= MaxArrivals) return;
            _arrived.Add(new InboxItem(InboxItemKind.Refused) { Room = room, Failure = failure });
        }
        Wake?.Invoke();
    }

    void IRankResolutionSink.OnResolved(BootstrapRoom room, ResolvedRank resolved) =>
        Post(new InboxItem(InboxItemKind.Resolved) { Room = room, Resolved = resolved });

    void IRankResolutionSink.OnResolveFailed(BootstrapRoom room, RequestFailure failure) =>
        Post(new InboxItem(InboxItemKind.ResolveFailed) { Room = room, Failure = failure });

    /// <summary>For the rank: what has arrived since the last call, in order. The list is good until the next call.</summary>
    internal List<InboxItem> TakeAll()
    {
        lock (_lock)
        {
            _taken.Clear();
            (_arrived, _taken) = (_taken, _arrived);
            return _taken;
        }
    }

    /// <summary>For the rank: a step with so many prompt tokens begins.</summary>
    internal void StepBegins(int promptTokens, TimeSpan now)
    {
        Interlocked.Exchange(ref _headSinceTicks, now.Ticks);
        Interlocked.Exchange(ref _stepPromptTokens, promptTokens);
    }

    /// <summary>For the rank: the step has ended and is not booked yet.</summary>
    internal void StepEnds() => Interlocked.Exchange(ref _stepPromptTokens, 0);

    /// <summary>For the rank: what the step computed is booked.</summary>
    internal void StepBooked(TimeSpan now) =>
        Interlocked.Exchange(ref _headSinceTicks, UncomputedPromptTokens > 0 ? now.Ticks : TimeSpan.MaxValue.Ticks);

    /// <summary>For the rank: <paramref name="count"/> prompt tokens of some request are computed or imported.</summary>
    internal void Computed(int count) => Interlocked.Add(ref _uncomputedPromptTokens, -count);

    /// <summary>For the rank: cells of a request were taken back, and <paramref name="count"/> prompt tokens have to be computed again.</summary>
    internal void Uncomputed(int count) => Interlocked.Add(ref _uncomputedPromptTokens, count);

    /// <summary>For the rank: the request has ended.</summary>
    /// <param name="uncomputedTokens">Prompt tokens that were not reported as computed.</param>
    internal void Ended(GenerationRequest request, int uncomputedTokens)
    {
        lock (_lock)
        {
            if (!_live.Remove(request.Id)) throw new UnreachableException($"{request.Id} ended twice on dp rank {DpRank}.");
        }
        Interlocked.Add(ref _uncomputedPromptTokens, -uncomputedTokens);
        Interlocked.Add(ref _livePromptTokens, -request.PromptTokens.Length);
    }

    private void Post(InboxItem item)
    {
        lock (_lock) _arrived.Add(item);
        Wake?.Invoke();
    }
}
