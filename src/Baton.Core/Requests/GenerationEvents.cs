using Baton.Core.Failures;
using Baton.Core.Ids;

namespace Baton.Core.Requests;

/// <summary>Receives what one request produces. Serving writes it to a bounded channel; the simulator records it.</summary>
public interface IGenerationSink
{
    /// <summary>The next output token. Called on the rank's thread; never after <see cref="OnEnd"/>.</summary>
    void OnToken(in OutputToken token);

    /// <summary>The one end of this request.</summary>
    void OnEnd(GenerationEnd end);
}

/// <summary>One output token of one sequence.</summary>
/// <param name="TokenId">In [0, vocabulary size).</param>
/// <param name="Logprob">Natural log of its probability under the raw logits; NaN when not asked for.</param>
/// <param name="TopLogprobs">Alternatives, most likely first; null when not asked for.</param>
public readonly record struct OutputToken(int TokenId, float Logprob, IReadOnlyList<TokenLogprob>? TopLogprobs);

/// <summary>A token id with the natural log of its probability.</summary>
public readonly record struct TokenLogprob(int TokenId, float Logprob);

public enum FinishKind
{
    /// <summary>An end-of-generation token, a stop token or a stop string.</summary>
    Stop,
    /// <summary>max_new_tokens or the context is used up. Also what a prefill worker answers after a hand-over, with length 0.</summary>
    Length,
    /// <summary>Failed or aborted: <see cref="GenerationEnd.Failure"/> says why.</summary>
    Abort,
}

/// <summary>How one request ended, with the numbers that <c>meta_info</c> reports.</summary>
public sealed record GenerationEnd
{
    public required FinishKind Kind { get; init; }
    /// <summary>The token that ended it, for <see cref="FinishKind.Stop"/>; null when a stop string did.</summary>
    public int? StopTokenId { get; init; }
    /// <summary>Set exactly when <see cref="Kind"/> is <see cref="FinishKind.Abort"/>.</summary>
    public RequestFailure? Failure { get; init; }
    public required DpRank DpRank { get; init; }
    /// <summary>On decode: the rank that held the KV, and how it was found.</summary>
    public DpRank? PrefillDpRank { get; init; }
    public RankSource RankSource { get; init; }
    public int PromptTokens { get; init; }
    public int CompletionTokens { get; init; }
    public int CachedTokens { get; init; }
    /// <summary>Log probabilities of prompt tokens from <c>InputLogprobStart</c> on; the first of a prompt has none (NaN).</summary>
    public IReadOnlyList<TokenLogprob>? InputLogprobs { get; init; }
    /// <summary>Bytes of KV cache that were handed over, and how long from claim to last frame. Zero when nothing was.</summary>
    public long HandoverBytes { get; init; }
    public TimeSpan HandoverTime { get; init; }
    /// <summary>Waiting time before the first computation (prefill, unified) or before the claim (decode).</summary>
    public TimeSpan QueueTime { get; init; }
}

/// <summary>How decode learned which prefill rank holds the room. Reported in <c>meta_info.rank_source</c> in lower case.</summary>
public enum RankSource
{
    None,
    /// <summary><c>disagg_prefill_dp_rank</c> in the request.</summary>
    Hint,
    /// <summary>The prefill worker has one rank.</summary>
    Single,
    /// <summary><c>room % dp_size</c> under <c>follow_bootstrap_room</c>.</summary>
    Room,
    /// <summary>The bootstrap server's room table.</summary>
    Query,
}
