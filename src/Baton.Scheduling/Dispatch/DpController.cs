using Baton.Core.Failures;
using Baton.Core.Ids;
using Baton.Core.Ranks;
using Baton.Core.Requests;
using Baton.Scheduling.Ranks;

namespace Baton.Scheduling.Dispatch;

/// <summary>Gives each request of a worker to one of its ranks: a pinned rank first, then the load balance method.</summary>
/// <remarks>Thread-safe. Choice, registration and submit happen under one lock, so a burst is spread as if it came one by one.</remarks>
public sealed class DpController
{
    private readonly Lock _lock = new();
    private readonly IReadOnlyList<IRank> _ranks;
    private readonly DpControllerOptions _options;
    private readonly PrefillRooms? _rooms;
    private readonly SpeculativeLoads _loads;
    private int _nextTurn;
    private int _lastLeast;

    /// <param name="ranks">In order of their rank numbers; at least one.</param>
    /// <param name="rooms">On prefill workers; null elsewhere.</param>
    public DpController(IReadOnlyList<IRank> ranks, DpControllerOptions options, PrefillRooms? rooms = null)
    {
        ArgumentOutOfRangeException.ThrowIfZero(ranks.Count);
        if (options.Role == WorkerRole.Prefill && rooms is null)
        {
            throw new ArgumentNullException(nameof(rooms), "A prefill worker has to register rooms.");
        }
        (_ranks, _options, _rooms) = (ranks, options, rooms);
        _loads = new SpeculativeLoads(ranks, options.SnapshotInterval);
        _lastLeast = ranks.Count - 1;
    }

    public int DpSize => _ranks.Count;

    public LoadBalanceMethod Method => _options.Method;

    /// <summary>Picks the rank, registers the room where decode cannot infer it, and submits.</summary>
    /// <param name="now">The worker's clock.</param>
    public DispatchResult Dispatch(GenerationRequest request, TimeSpan now)
    {
        lock (_lock)
        {
            DispatchResult result = DispatchLocked(request, now);
            if (result.Failure is { } failure && HandedOver(request) is { } bootstrap) _rooms!.Refuse(bootstrap, failure);
            return result;
        }
    }

    private DispatchResult DispatchLocked(GenerationRequest request, TimeSpan now)
    {
        (DpRank rank, RequestFailure? failure) = Choose(request, now);         // 1. routed rank, else the method
        failure ??= CheckPrefillHint(request);                                 // 2. a hint that no decode worker could follow
        failure ??= CheckConflict(request, rank);                              // 3. decode would look for the KV elsewhere
        if (failure is not null) return new DispatchResult(rank, failure, IsRoomRegistered: false);
        failure = Place(request, rank, out bool isRegistered);                 // 4. the room is known before the rank works on it
        if (failure is not null) return new DispatchResult(rank, failure, IsRoomRegistered: false);
        failure = _ranks[rank.Value].Inbox.TrySubmit(request);                 // 5. inbox
        if (failure is not null && HandedOver(request) is { } bootstrap) _rooms!.Unplace(bootstrap.Room);
        return new DispatchResult(rank, failure, isRegistered);
    }

    /// <summary>Writes down which rank has the room, for claims that come to another one, and tells the bootstrap server where decode has to ask.</summary>
    private RequestFailure? Place(GenerationRequest request, DpRank rank, out bool isRegistered)
    {
        isRegistered = false;
        if (HandedOver(request) is not { } bootstrap) return null;
        if (_rooms!.TryPlace(request, bootstrap.Room, rank) is { } duplicate) return duplicate;
        if (!MustRegister(request, rank)) return null;
        isRegistered = _rooms.Register(bootstrap.Room, rank);
        if (isRegistered) return null;
        _rooms.Unplace(bootstrap.Room);
        return RequestFailure.Of(FailureReason.QueueFull, $"{bootstrap.Room}: this worker has as many rooms as it can tell the bootstrap server about.");
    }

    private (DpRank Rank, RequestFailure? Failure) Choose(GenerationRequest request, TimeSpan now)
    {
        if (request.RoutedDpRank is { } routed) return (routed, CheckRouted(request, routed));
        if (_options.Method == LoadBalanceMethod.FollowBootstrapRoom && request.Bootstrap is { } bootstrap)
        {
            DpRank implied = bootstrap.Room.Modulo(DpSize);
            return (implied, IsAvailable(implied.Value) ? null : Unavailable(request, implied, $"{bootstrap.Room} belongs to it under follow_bootstrap_room"));
        }
        int chosen = _options.Method switch
        {
            LoadBalanceMethod.TotalRequests => _loads.TakeFewestRequests(now, IsAvailable),
            LoadBalanceMethod.TotalTokens => _loads.TakeFewestTokens(now, request.PromptTokens.Length, IsAvailable),
            LoadBalanceMethod.LeastWork => TakeLeastWork(),
            // follow_bootstrap_room without a room (a health check on a unified worker, say): SGLang asserts, we take turns.
            _ => TakeTurn(),
        };
        return chosen >= 0
            ? (new DpRank(chosen), null)
            : (DpRank.Zero, RequestFailure.Of(FailureReason.RankUnavailable, $"{request.Id}: none of the {DpSize} dp ranks takes requests."));
    }

    private RequestFailure? CheckRouted(GenerationRequest request, DpRank routed)
    {
        if (!routed.IsBelow(DpSize))
        {
            return RequestFailure.Of(FailureReason.RankOutOfRange, $"routed_dp_rank: {routed} is outside [0, {DpSize}) for {request.Id}.");
        }
        return IsAvailable(routed.Value) ? null : Unavailable(request, routed, "routed_dp_rank asks for it");
    }

    /// <summary>Round robin as SGLang counts: the counter moves over the active ranks, and pinned requests do not move it.</summary>
    private int TakeTurn()
    {
        int active = 0;
        for (int i = 0; i < DpSize; i++) active += IsAvailable(i) ? 1 : 0;
        if (active == 0) return -1;
        int skip = _nextTurn++ % active;
        if (_nextTurn < 0) _nextTurn = 0;
        for (int i = 0; i < DpSize; i++)
        {
            if (IsAvailable(i) && skip-- == 0) return i;
        }
        return -1;
    }

    /// <summary>The rank that will be through with its prompts first. Ties go round, so an idle worker does not favour rank 0.</summary>
    private int TakeLeastWork()
    {
        int best = -1;
        (long First, long Second, long Third, long Fourth) bestWork = default;
        for (int step = 1; step <= DpSize; step++)
        {
            int i = (_lastLeast + step) % DpSize;
            if (!IsAvailable(i)) continue;
            (long, long, long, long) work = WorkOf(_ranks[i].Inbox);
            if (best >= 0 && work.CompareTo(bestWork) >= 0) continue;
            (best, bestWork) = (i, work);
        }
        if (best >= 0) _lastLeast = best;
        return best;
    }

    private (long, long, long, long) WorkOf(RankInbox inbox)
    {
        // Decode computes no prompts: there the running batch is the work, and how much KV it reads.
        if (_options.Role == WorkerRole.Decode) return (inbox.LiveRequests, inbox.LivePromptTokens, 0, 0);
        long uncomputed = inbox.UncomputedPromptTokens - (_options.RanksStepTogether ? inbox.StepPromptTokens : 0);
        // Tokens count as computed when their step ends. Of two equal ranks the one whose step began first is nearer to that, by up to a chunk.
        long headSince = uncomputed > 0 && _options.Role == WorkerRole.Prefill && !_options.RanksStepTogether ? inbox.HeadSince.Ticks : 0;
        return (uncomputed, headSince, inbox.LiveRequests, inbox.LivePromptTokens);
    }

    private RequestFailure? CheckPrefillHint(GenerationRequest request) =>
        _options.Role == WorkerRole.Prefill && request.Bootstrap?.PrefillDpRankHint is { } hint && !hint.IsBelow(DpSize)
            ? RequestFailure.Of(FailureReason.RankOutOfRange, $"disagg_prefill_dp_rank: {hint} is outside [0, {DpSize}) for {request.Id}.")
            : null;

    private RequestFailure? CheckConflict(GenerationRequest request, DpRank rank)
    {
        if (_options.Method != LoadBalanceMethod.FollowBootstrapRoom || _options.ForceQueryPrefillDpRank) return null;
        if (HandedOver(request) is not { } bootstrap || IsPinnedByHint(request, rank)) return null;
        DpRank implied = bootstrap.Room.Modulo(DpSize);
        return rank == implied ? null : RequestFailure.Of(FailureReason.RankConflict,
            $"{bootstrap.Room}: routed_dp_rank is {rank}, but under follow_bootstrap_room decode will look at dp rank {implied} (room % {DpSize}).");
    }

    private bool MustRegister(GenerationRequest request, DpRank rank)
    {
        // One rank: decode needs no table. A hint is decode's to follow only when the same request pins the same rank here.
        if (DpSize == 1) return false;
        if (_options.ForceQueryPrefillDpRank) return true;
        return _options.Method != LoadBalanceMethod.FollowBootstrapRoom && !IsPinnedByHint(request, rank);
    }

    private static bool IsPinnedByHint(GenerationRequest request, DpRank rank) =>
        request.RoutedDpRank == rank && request.Bootstrap?.PrefillDpRankHint == rank;

    /// <summary>What decode knows the request by; null when its KV stays here.</summary>
    private BootstrapInfo? HandedOver(GenerationRequest request) =>
        _options.Role == WorkerRole.Prefill && request.Bootstrap is { Address.IsFake: false } bootstrap ? bootstrap : null;

    private bool IsAvailable(int rank) => _ranks[rank].Inbox.IsAccepting;

    private static RequestFailure Unavailable(GenerationRequest request, DpRank rank, string why) =>
        RequestFailure.Of(FailureReason.RankUnavailable, $"{request.Id}: dp rank {rank} takes no requests, and {why}.");
}
