using Baton.Core.Failures;
using Baton.Core.Requests;
using Baton.Serving.Requests;
using Baton.Serving.Workers;

namespace Baton.Serving.Output;

/// <summary>A call failed as a whole, before anything was written: the failure table says how it is answered.</summary>
public sealed class CallFailedException(RequestFailure failure) : Exception(failure.Message)
{
    public RequestFailure Failure { get; } = failure;
}

/// <summary>All sequences of one call on their way. Disposing it gives up those that have not ended.</summary>
public sealed class CallRun : IDisposable
{
    private readonly List<SequenceRun> _runs = [];

    private CallRun(GenerationCall call) => Call = call;

    public GenerationCall Call { get; }

    public IReadOnlyList<SequenceRun> Runs => _runs;

    /// <summary>Dispatches every sequence, or none: when one is refused, those before it are given up.</summary>
    /// <exception cref="CallFailedException">A sequence was refused.</exception>
    public static CallRun Start(Worker worker, GenerationCall call)
    {
        CallRun started = new(call);
        foreach (PlannedSequence sequence in call.Sequences)
        {
            if (worker.Start(sequence, out RequestFailure? failure) is { } run)
            {
                started._runs.Add(run);
                continue;
            }
            // Decode's half of the call waits for each of its rooms, those behind the refused one too.
            worker.Refuse(call.Sequences.Skip(started._runs.Count + 1).Select(one => one.Bootstrap).OfType<BootstrapInfo>(), failure!);
            started.Dispose();
            throw new CallFailedException(failure!);
        }
        return started;
    }

    /// <summary>Waits for every sequence's end.</summary>
    /// <exception cref="CallFailedException">One failed. An abort that somebody asked for is an answer and not a failure.</exception>
    public async Task CompleteAsync(CancellationToken ct)
    {
        foreach (SequenceRun run in _runs)
        {
            while (await run.AdvanceAsync(ct))
            {
            }
            if (FailureOf(run) is { } failure) throw new CallFailedException(failure);
        }
    }

    /// <summary>Whichever sequence has news, until all have ended. Each sequence's last report has <see cref="Answer.End"/> set.</summary>
    public async IAsyncEnumerable<int> NewsAsync([System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken ct)
    {
        if (_runs.Count == 1)
        {
            while (await _runs[0].AdvanceAsync(ct)) yield return 0;
            yield return 0;
            yield break;
        }
        // An answer is only read between two of its own advances, so no lock is needed.
        List<Task<int>> waiting = [.. Enumerable.Range(0, _runs.Count).Select(i => AdvanceAsync(i, ct))];
        while (waiting.Count > 0)
        {
            Task<int> first = await Task.WhenAny(waiting);
            waiting.Remove(first);
            int index = await first;
            yield return index;
            if (_runs[index].Answer.End is null) waiting.Add(AdvanceAsync(index, ct));
        }
    }

    /// <summary>What the client must be told as an error; null for success and for an abort that was asked for here.</summary>
    public static RequestFailure? FailureOf(SequenceRun run) => run.Answer.End?.Failure switch
    {
        { Reason: FailureReason.Aborted } when run.IsAborted => null,
        // Somebody ended the other half; to this client that is a failure like any other of the peer.
        { Reason: FailureReason.Aborted } elsewhere => elsewhere with { Reason = FailureReason.PeerFailed },
        var failure => failure,
    };

    public void Dispose()
    {
        foreach (SequenceRun run in _runs) run.Dispose();
    }

    private async Task<int> AdvanceAsync(int index, CancellationToken ct)
    {
        await _runs[index].AdvanceAsync(ct);
        return index;
    }
}
