using Baton.Core.Engine;
using Baton.Core.Failures;
using Baton.Core.Ids;
using Baton.Core.Requests;

namespace Baton.Scheduling.Sequences;

/// <summary>One request inside a rank, from its arrival to its end. The rank's thread owns it.</summary>
internal class LiveSequence
{
    private readonly int[] _output;
    private List<TokenLogprob>? _inputLogprobs;

    /// <param name="ticket">Order of arrival in this rank.</param>
    /// <param name="maxNewTokens">Already cut to what the context and the cells allow.</param>
    public LiveSequence(GenerationRequest request, long ticket, int maxNewTokens, TimeSpan now)
    {
        (Request, Ticket, MaxNewTokens, ArrivedAt, QueuedAt) = (request, ticket, maxNewTokens, now, now);
        Sampling = request.Sampling;
        Tokens = request.PromptTokens;
        // The whole answer at once: nothing is allocated per token, and a retraction can hand its tokens to the engine again.
        _output = new int[maxNewTokens];
    }

    public GenerationRequest Request { get; }
    public RequestId Id => Request.Id;
    public long Ticket { get; }
    public int MaxNewTokens { get; }
    public TimeSpan ArrivedAt { get; }
    /// <summary>When its present wait for a slot began: arrival, or the last retraction.</summary>
    public TimeSpan QueuedAt { get; private set; }
    public TimeSpan? StartedAt { get; set; }
    public SamplingOptions Sampling { get; set; }
    public int PromptLength => Request.PromptTokens.Length;
    public bool HasEnded { get; set; }

    /// <summary>Index of the engine sequence it owns, or -1.</summary>
    public int Slot { get; set; } = -1;
    public bool HasSlot => Slot >= 0;
    public SequenceId Sequence => new(Slot);
    /// <summary>The engine has heard of the slot, so it has to be closed there.</summary>
    public bool IsInEngine { get; set; }
    public bool HasSampler { get; set; }

    /// <summary>What has to be computed or imported before the next token: the prompt, and after a retraction the answer so far as well.</summary>
    public ReadOnlyMemory<int> Tokens { get; private set; }
    /// <summary>Positions [0, ComputedTokens) of <see cref="Tokens"/> have cells.</summary>
    public int ComputedTokens { get; set; }
    public bool IsComputed => ComputedTokens == Tokens.Length;
    /// <summary>Prompt tokens that the inbox's gauge counts as done.</summary>
    public int ReportedTokens { get; set; }

    public int OutputCount { get; private set; }
    public ReadOnlyMemory<int> Output => _output.AsMemory(0, OutputCount);
    public int LastToken => _output[OutputCount - 1];
    /// <summary>Tokens of prompt and answer together; the last one of a running sequence has no cell yet.</summary>
    public int TotalTokens => PromptLength + OutputCount;
    public int RemainingNewTokens => MaxNewTokens - OutputCount;
    public IReadOnlyList<TokenLogprob>? InputLogprobs => _inputLogprobs;

    /// <summary>Higher priority first, then who came first.</summary>
    public bool GoesBefore(LiveSequence other) =>
        Request.Priority != other.Request.Priority ? Request.Priority > other.Request.Priority : Ticket < other.Ticket;

    public void AddOutput(int tokenId) => _output[OutputCount++] = tokenId;

    public void AddInputLogprob(in InputLogprob logprob)
    {
        // Positions that are computed again after a retraction are known already.
        _inputLogprobs ??= [];
        int start = Math.Max(Request.Sampling.InputLogprobStart, 0);
        if (logprob.Position == start + _inputLogprobs.Count) _inputLogprobs.Add(logprob.Token);
    }

    /// <summary>Its cells are gone: the prompt has to be computed again.</summary>
    /// <param name="keepOutput">The answer so far as well. Otherwise it is forgotten and will be drawn again, the same.</param>
    public void Restart(TimeSpan now, bool keepOutput)
    {
        if (!keepOutput) OutputCount = 0;
        if (OutputCount > 0)
        {
            int[] tokens = new int[TotalTokens];
            Request.PromptTokens.CopyTo(tokens);
            Output.CopyTo(tokens.AsMemory(PromptLength));
            Tokens = tokens;
        }
        ComputedTokens = 0;
        HasSampler = false;
        QueuedAt = now;
    }

    public SequenceStart ToStart() => new(Sequence, Sampling, Request.PromptTokens, Output);

    /// <summary>Says whether the token that was just added ends the answer, in SGLang's order: length, then tokens.</summary>
    /// <param name="isEndOfGeneration">One of the model's own end tokens.</param>
    public bool IsEndedBy(int tokenId, bool isEndOfGeneration, out FinishKind kind)
    {
        kind = FinishKind.Length;
        if (OutputCount >= MaxNewTokens) return true;
        kind = FinishKind.Stop;
        // ignore_eos switches the stop token ids off as well, as in SGLang.
        if (Sampling.IgnoreEos || OutputCount < Sampling.MinNewTokens) return false;
        if (isEndOfGeneration) return true;
        IReadOnlyList<int> stops = Sampling.StopTokenIds;
        for (int i = 0; i < stops.Count; i++)
        {
            if (stops[i] == tokenId) return true;
        }
        return false;
    }

    /// <summary>The common part of every end report.</summary>
    public GenerationEnd ToEnd(FinishKind kind, DpRank rank, RequestFailure? failure, TimeSpan now) => new()
    {
        Kind = kind,
        StopTokenId = kind == FinishKind.Stop ? LastToken : null,
        Failure = failure,
        DpRank = rank,
        PromptTokens = PromptLength,
        CompletionTokens = OutputCount,
        InputLogprobs = _inputLogprobs,
        QueueTime = (StartedAt ?? now) - ArrivedAt,
    };
}
