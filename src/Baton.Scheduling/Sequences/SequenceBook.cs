using Baton.Core.Failures;
using Baton.Core.Ids;
using Baton.Core.Requests;
using Baton.Scheduling.Ranks;

namespace Baton.Scheduling.Sequences;

/// <summary>All live sequences of one rank by their ids, and the one place where they end.</summary>
internal sealed class SequenceBook<T>(RankInbox inbox) where T : LiveSequence
{
    private readonly Dictionary<RequestId, T> _live = [];
    private long _tickets;

    public DpRank DpRank => inbox.DpRank;

    public int Count => _live.Count;

    public long NextTicket() => _tickets++;

    public void Add(T sequence) => _live.Add(sequence.Id, sequence);

    public T? Find(RequestId id) => _live.GetValueOrDefault(id);

    /// <summary>Any live sequence, or null: for ending them all while the set shrinks.</summary>
    public T? Any()
    {
        foreach (T sequence in _live.Values) return sequence;
        return null;
    }

    public Dictionary<RequestId, T>.ValueCollection All => _live.Values;

    /// <summary>Tells the inbox's gauge how far the prompt is.</summary>
    public void ReportProgress(T sequence)
    {
        int done = Math.Min(sequence.ComputedTokens, sequence.PromptLength);
        if (done > sequence.ReportedTokens) inbox.Computed(done - sequence.ReportedTokens);
        else if (done < sequence.ReportedTokens) inbox.Uncomputed(sequence.ReportedTokens - done);
        sequence.ReportedTokens = done;
    }

    /// <summary>A request that never became a sequence.</summary>
    public void Refuse(GenerationRequest request, RequestFailure failure)
    {
        inbox.Ended(request, request.PromptTokens.Length);
        request.Sink.OnEnd(new GenerationEnd
        {
            Kind = FinishKind.Abort,
            Failure = failure,
            DpRank = DpRank,
            PromptTokens = request.PromptTokens.Length,
        });
    }

    /// <summary>The one end. The caller has told the peer and given back slot and cells.</summary>
    public void End(T sequence, GenerationEnd end)
    {
        sequence.HasEnded = true;
        _live.Remove(sequence.Id);
        inbox.Ended(sequence.Request, sequence.PromptLength - sequence.ReportedTokens);
        sequence.Request.Sink.OnEnd(end);
    }
}
