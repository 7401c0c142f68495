using System.Threading.Channels;
using Baton.Core.Failures;
using Baton.Core.Ids;
using Baton.Core.Requests;
using Baton.Core.Text;
using Baton.Serving.Requests;

namespace Baton.Serving.Output;

/// <summary>One sequence on its way: the rank writes tokens, one reader turns them into an <see cref="Answer"/>.</summary>
/// <remarks>
/// The channel holds at most max_new_tokens entries, which is all that a rank can produce, so the rank's thread never waits for a
/// slow client and a slow client never makes memory grow beyond its own answer.
/// </remarks>
public sealed class SequenceRun : IGenerationSink, IDisposable
{
    private readonly Channel<OutputToken> _tokens;
    private readonly Answer _answer;
    private readonly Lock _lock = new();
    private Func<RequestFailure, bool>? _abort;
    private RequestFailure? _earlyAbort;
    private CancellationTokenRegistration _rankDeath;
    private GenerationEnd? _end;

    public SequenceRun(PlannedSequence sequence, ITextModel model, TimeSpan acceptedAt)
    {
        AcceptedAt = acceptedAt;
        _answer = new Answer(sequence, model);
        _tokens = Channel.CreateBounded<OutputToken>(new BoundedChannelOptions(Math.Max(1, sequence.Sampling.MaxNewTokens))
        {
            SingleReader = true,
            SingleWriter = true,
            AllowSynchronousContinuations = false,
        });
    }

    public Answer Answer => _answer;

    /// <summary>On the worker's clock.</summary>
    public TimeSpan AcceptedAt { get; }

    /// <summary>Called for the first token, on the rank's thread: must not block.</summary>
    internal Action? FirstToken { get; set; }

    /// <summary>The rank that took it.</summary>
    public DpRank DpRank { get; private set; }

    /// <summary>Tokens that wait for the reader.</summary>
    public int WaitingTokens => _tokens.Reader.Count;

    /// <summary>Called once when the rank reports the end, on the rank's thread: must not block.</summary>
    internal Action<SequenceRun, GenerationEnd>? Ended { get; set; }

    /// <summary>Connects the run to the rank that took it.</summary>
    /// <param name="abort">Ends the sequence on its rank.</param>
    /// <param name="rankDied">Fires when the rank's thread is gone and can end nothing any more.</param>
    internal void Attach(DpRank rank, Func<RequestFailure, bool> abort, Func<GenerationEnd> endOfDeadRank, CancellationToken rankDied)
    {
        DpRank = rank;
        RequestFailure? early;
        lock (_lock) (_abort, early) = (abort, _earlyAbort);
        // The rank has had it for a moment, and somebody may have ended it in that moment.
        if (early is not null) abort(early);
        _rankDeath = rankDied.Register(() => OnEnd(endOfDeadRank()));
    }

    void IGenerationSink.OnToken(in OutputToken token)
    {
        if (FirstToken is { } first)
        {
            FirstToken = null;
            first();
        }
        _tokens.Writer.TryWrite(token);
    }

    void IGenerationSink.OnEnd(GenerationEnd end) => OnEnd(end);

    /// <summary>Waits for news and takes in all that is there.</summary>
    /// <returns>False when the answer is finished: <see cref="Answer.End"/> is set.</returns>
    public async ValueTask<bool> AdvanceAsync(CancellationToken ct)
    {
        while (await _tokens.Reader.WaitToReadAsync(ct))
        {
            bool isNews = false;
            while (_tokens.Reader.TryRead(out OutputToken token))
            {
                isNews |= _answer.MatchedStop is null;
                // The rank does not know stop strings: it is told to end, and what it draws until then is dropped.
                if (_answer.Append(token)) Abort(RequestFailure.Of(FailureReason.Aborted, $"{_answer.Sequence.Id}: a stop string was found."));
            }
            if (isNews && _answer.MatchedStop is null) return true;
        }
        if (_answer.End is null) _answer.Finish(_end!);
        return false;
    }

    /// <summary>Asks the rank to end this sequence. Harmless after the end.</summary>
    public void Abort(RequestFailure failure)
    {
        IsAborted = true;
        Func<RequestFailure, bool>? abort;
        lock (_lock)
        {
            abort = _abort;
            if (abort is null) _earlyAbort ??= failure;
        }
        abort?.Invoke(failure);
    }

    /// <summary>The end was asked for on this worker.</summary>
    public bool IsAborted { get; private set; }

    /// <summary>Whoever lets go of a run that has not ended gives it up.</summary>
    public void Dispose()
    {
        _rankDeath.Dispose();
        if (Volatile.Read(ref _end) is null) Abort(RequestFailure.Of(FailureReason.Aborted, $"{_answer.Sequence.Id}: the client went away."));
    }

    private void OnEnd(GenerationEnd end)
    {
        if (Interlocked.CompareExchange(ref _end, end, null) is not null) return;
        Ended?.Invoke(this, end);
        _tokens.Writer.TryComplete();
    }
}
