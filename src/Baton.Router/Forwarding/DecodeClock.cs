using Baton.Router.Errors;

namespace Baton.Router.Forwarding;

/// <summary>The deadlines of one decode leg in one token: first byte, progress, the whole request, the client's leaving and the router's end.</summary>
internal sealed class DecodeClock : IDisposable
{
    private readonly RouterOptions _options;
    private readonly TimeProvider _time;
    private readonly CancellationTokenSource _limit;
    private readonly CancellationTokenRegistration _gone, _ended;
    private readonly CancellationToken _shutdown;
    private readonly long _start;
    private const string Client = "the client";
    private string _waitingFor = "an answer";

    public DecodeClock(RouterOptions options, TimeProvider time, CancellationToken clientGone, CancellationToken shutdown)
    {
        (_options, _time, _start) = (options, time, time.GetTimestamp());
        _limit = new CancellationTokenSource(Timeout.InfiniteTimeSpan, time);
        _shutdown = shutdown;
        _gone = clientGone.UnsafeRegister(Cancel, _limit);
        _ended = shutdown.UnsafeRegister(Cancel, _limit);

        static void Cancel(object? limit) => ((CancellationTokenSource)limit!).Cancel();
    }

    public CancellationToken Token => _limit.Token;

    /// <summary>The leg was sent: until decode's first byte the TTFT deadline counts when there is one, and the whole request's.</summary>
    public void ExpectFirstByte()
    {
        _waitingFor = "its first byte";
        _limit.CancelAfter(Least(_options.TtftTimeout > TimeSpan.Zero ? _options.TtftTimeout : _options.RequestTimeout));
    }

    /// <summary>From here to the next call no more than the stall deadline may pass.</summary>
    public CancellationToken ExpectProgress()
    {
        _waitingFor = "the next bytes";
        _limit.CancelAfter(Least(_options.StallTimeout));
        return _limit.Token;
    }

    /// <summary>The stall deadline for a client that does not take what is there: its fault, not the worker's.</summary>
    /// <remarks>
    /// The server closes the connection of a client whose write is cancelled, and the client never hears why. So only a client that takes
    /// nothing is given up in a write; the deadline of the whole request is judged before it.
    /// </remarks>
    /// <exception cref="OperationCanceledException">A deadline passed while the bytes were on their way here.</exception>
    public CancellationToken ExpectClient()
    {
        if (Least(_options.StallTimeout) > TimeSpan.Zero) _limit.CancelAfter(_options.StallTimeout);
        else _limit.Cancel();
        _limit.Token.ThrowIfCancellationRequested();
        _waitingFor = Client;
        return _limit.Token;
    }

    public void Cancel() => _limit.Cancel();

    public RouterError Explain(string worker, Exception e, bool began) => _shutdown.IsCancellationRequested
        ? new RouterError(503, "draining", "The router is shutting down and its grace period is over. Send the request again, to another router.") { IsRetryable = true }
        : e is InvalidDataException
        ? new RouterError(502, "read_response_failed", $"The worker {worker}: {e.Message}") { Leg = ErrorLeg.Decode, Worker = worker, IsWorkerFault = true }
        : _waitingFor == Client
        ? new RouterError(504, "client_stalled", $"The client took nothing for too long, and its answer was given up ({_time.GetElapsedTime(_start).TotalSeconds:0.###} s since the leg was sent).")
        : new RouterError(504, began || _waitingFor == "the next bytes" ? "stream_stalled" : "first_token_timeout",
            $"The worker {worker} was waited for too long: {_waitingFor} did not come in time ({_time.GetElapsedTime(_start).TotalSeconds:0.###} s since the leg was sent).")
        { Leg = ErrorLeg.Decode, Worker = worker, IsRetryable = true, IsWorkerFault = true };

    public void Dispose()
    {
        _gone.Dispose();
        _ended.Dispose();
        _limit.Dispose();
    }

    private TimeSpan Least(TimeSpan wait)
    {
        TimeSpan left = _options.RequestTimeout - _time.GetElapsedTime(_start);
        return left < TimeSpan.Zero ? TimeSpan.Zero : left < wait ? left : wait;
    }
}
