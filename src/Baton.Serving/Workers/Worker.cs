using System.Text.Json;
using Baton.Core.Failures;
using Baton.Core.Ids;
using Baton.Core.Ranks;
using Baton.Core.Requests;
using Baton.Core.Text;
using Baton.Scheduling.Dispatch;
using Baton.Serving.Disaggregation;
using Baton.Serving.Output;
using Baton.Serving.Requests;
using Microsoft.Extensions.Logging;

namespace Baton.Serving.Workers;

/// <summary>A running worker without its HTTP side: ranks on their threads, and the controller in front of them.</summary>
/// <remarks>Built by <see cref="WorkerBuilder"/>. Both the HTTP server and <c>BatonEngine</c> stand on it.</remarks>
public sealed class Worker : IAsyncDisposable
{
    private static readonly TimeSpan DrainPoll = TimeSpan.FromMilliseconds(20);

    private readonly WorkerParts _parts;
    private readonly DpController _controller;
    private readonly ILogger _logger;
    private int _isDraining;

    internal Worker(WorkerParts parts, DpController controller, CallContext calls, ILogger<Worker> logger)
    {
        (_parts, _controller, Calls, _logger) = (parts, controller, calls, logger);
        StartedAtUnixSeconds = parts.Clock.UnixSeconds;
        foreach (RankThread rank in parts.Ranks) rank.Start();
    }

    public ServeOptions Options => _parts.Options;
    public WorkerClock Clock => _parts.Clock;
    public CallContext Calls { get; }
    public long StartedAtUnixSeconds { get; }
    public ITextModel Text => Calls.Text;
    /// <summary>How the controller spreads, by its name on the wire.</summary>
    public string MethodName => _controller.Method.WireName;
    public IReadOnlyList<RankThread> Ranks => _parts.Ranks;
    /// <summary>The prefill worker's bootstrap server, wherever it runs; null on other roles.</summary>
    public BootstrapAddress? Bootstrap => _parts.Bootstrap;
    /// <summary>New at every start.</summary>
    public string InstanceId => _parts.InstanceId;
    public ServingMetrics Metrics => _parts.Metrics;

    public bool IsDraining => Volatile.Read(ref _isDraining) != 0;

    /// <summary>Why the worker should not get requests now; null when it should.</summary>
    public string? FindHealthProblem()
    {
        if (IsDraining) return "the worker is shutting down";
        foreach (RankThread rank in Ranks)
        {
            if (rank.Fault is { } fault) return fault.Message;
        }
        return _parts.FindProblem?.Invoke();
    }

    public int LiveRequests => Ranks.Sum(rank => rank.Rank.Inbox.LiveRequests);

    /// <summary>Gives one sequence to a rank.</summary>
    /// <param name="failure">Set when no rank took it; the run is null then.</param>
    public SequenceRun? Start(PlannedSequence sequence, out RequestFailure? failure)
    {
        TimeSpan now = Clock.Now;
        SequenceRun run = new(sequence, Text, now)
        {
            FirstToken = () => Metrics.FirstToken(Options.Role, Clock.Now - now),
            Ended = OnEnded,
        };
        if (!Live.TryAdd(run))
        {
            failure = RequestFailure.Of(FailureReason.InvalidRequest, $"rid: {sequence.Id} is already running on this worker.");
            if (sequence.Bootstrap is { } refused) _parts.Rooms?.Refuse(refused, failure);
            return null;
        }
        GenerationRequest request = new()
        {
            Id = sequence.Id,
            PromptTokens = sequence.PromptTokens,
            Sampling = sequence.Sampling,
            Bootstrap = sequence.Bootstrap,
            RoutedDpRank = sequence.RoutedDpRank,
            Priority = sequence.Priority,
            AcceptedAt = now,
            Sink = run,
        };
        DispatchResult result = _controller.Dispatch(request, now);
        Metrics.Accepted(Options.Role);
        failure = result.Failure;
        if (failure is not null)
        {
            _logger.RequestFailed(sequence.Id, failure.Reason, failure.Message);
            Metrics.Failed(Options.Role, failure.Reason);
            Live.Remove(run);
            return null;
        }
        RankThread rank = Ranks[result.Rank.Value];
        run.Attach(
            result.Rank,
            why => rank.Rank.Inbox.Abort(sequence.Id, why),
            () => new GenerationEnd { Kind = FinishKind.Abort, DpRank = result.Rank, Failure = rank.Fault, PromptTokens = sequence.PromptTokens.Length },
            rank.Died);
        return run;
    }

    /// <summary>Tells decode about a prefill leg whose body was refused: decode may have taken its own leg, and would wait for a prompt that nobody computes.</summary>
    internal void Refuse(JsonElement body, BadRequestException bad)
    {
        if (_parts is not { Rooms: { } rooms, Bootstrap: { } bootstrap }) return;
        RequestFailure failure = RequestFailure.Of(FailureReason.InvalidRequest, bad.Message);
        foreach (BootstrapRoom room in RefusedRooms.In(body)) rooms.Refuse(new BootstrapInfo(bootstrap, room, null), failure);
    }

    /// <summary>A request with these rooms ends before it begins: on prefill, decode's half of it hears why instead of waiting.</summary>
    public void Refuse(IEnumerable<BootstrapInfo> rooms, RequestFailure failure)
    {
        if (_parts.Rooms is not { } known) return;
        foreach (BootstrapInfo room in rooms) known.Refuse(room, failure);
    }

    /// <summary>Ends requests by id, as SGLang's abort: an id is a prefix of the ids that batches and samples made from it.</summary>
    public void Abort(string? rid, bool all) => Live.Abort(rid, all);

    private LiveRuns Live => _parts.Live;

    /// <summary>Takes no more requests, gives those inside until the deadline, and ends the rest with <see cref="FailureReason.ShuttingDown"/>.</summary>
    public async Task DrainAsync(TimeSpan deadline, CancellationToken ct)
    {
        if (Interlocked.Exchange(ref _isDraining, 1) != 0) return;
        _logger.Draining(LiveRequests, deadline.TotalSeconds);
        foreach (RankThread rank in Ranks) rank.Rank.Inbox.Drain();
        TimeSpan end = Clock.Now + deadline;
        while (LiveRequests > 0 && Clock.Now < end && !ct.IsCancellationRequested) await Task.Delay(DrainPoll, Clock.Time, CancellationToken.None);
        if (LiveRequests == 0) return;
        _logger.DrainDeadline(LiveRequests);
        foreach (RankThread rank in Ranks)
            rank.Rank.Inbox.Stop(RequestFailure.Of(FailureReason.ShuttingDown, $"dp rank {rank.Rank.DpRank} is shutting down."));
        // One more step of each rank carries the ends out.
        TimeSpan last = Clock.Now + TimeSpan.FromSeconds(2);
        while (LiveRequests > 0 && Clock.Now < last) await Task.Delay(DrainPoll, Clock.Time, CancellationToken.None);
    }

    private void OnEnded(SequenceRun run, GenerationEnd end)
    {
        Live.Remove(run);
        if (run.Answer.Sequence.Bootstrap is { } bootstrap) _parts.Rooms?.Ended(bootstrap, end.Failure);
        Metrics.Ended(Options.Role, end, Clock.Now - run.AcceptedAt);
        if (end.Failure is { Reason: not FailureReason.Aborted } failure) _logger.RequestFailed(run.Answer.Sequence.Id, failure.Reason, failure.Message);
    }

    public async ValueTask DisposeAsync()
    {
        await DrainAsync(TimeSpan.Zero, CancellationToken.None);
        foreach (RankThread rank in Ranks) rank.Dispose();
        await _parts.DisposeAsync();
    }
}
