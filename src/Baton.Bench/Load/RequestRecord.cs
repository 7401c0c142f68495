namespace Baton.Bench.Load;

/// <summary>What happened to one request. Times are on the run's clock, from its start.</summary>
/// <remarks>
/// Intended, dispatched, started, first token, end: a request that the generator, or <c>--max-concurrency</c>, holds back keeps its
/// intended time, so that a slow server cannot hide by slowing the generator down (coordinated omission).
/// </remarks>
public sealed class RequestRecord(int index, BenchRequest request)
{
    public int Index { get; } = index;
    public BenchRequest Request { get; } = request;

    /// <summary>When the arrival process wanted it sent.</summary>
    public TimeSpan IntendedAt { get; set; }
    /// <summary>When the generator got to it. Later than intended: the generator's own lateness.</summary>
    public TimeSpan DispatchedAt { get; set; }
    /// <summary>Just before the POST, where bench_serving's clocks start. Later than dispatched: waiting for <c>--max-concurrency</c>.</summary>
    public TimeSpan StartedAt { get; set; }
    /// <summary>First event with content; null when none came.</summary>
    public TimeSpan? FirstTokenAt { get; set; }
    /// <summary>Last line received, <c>[DONE]</c> included.</summary>
    public TimeSpan EndedAt { get; set; }

    public int PromptTokens { get; set; } = request.PromptTokens;
    public int CachedTokens { get; set; }
    public int OutputTokens { get; set; }
    /// <summary>Gaps between tokens in milliseconds, as bench_serving spreads them over the tokens of one event.</summary>
    public List<double> InterTokenMs { get; } = [];
    /// <summary>When each event with content came, for gaps that no averaging has touched. Only kept when it is set before sending.</summary>
    public List<TimeSpan>? ContentAt { get; init; }
    /// <summary>Only kept with <c>--output-details</c>.</summary>
    public string? GeneratedText { get; set; }
    public RequestError? Error { get; set; }

    /// <summary>The rank that answered: decode's, or the unified worker's.</summary>
    public int? DpRank { get; set; }
    public int? PrefillDpRank { get; set; }
    /// <summary>How decode found the prefill rank: hint, single, room or query.</summary>
    public string? RankSource { get; set; }
    /// <summary>From the router's <c>x-baton-prefill</c> and <c>x-baton-decode</c> headers, where it exposes them.</summary>
    public string? PrefillWorker { get; set; }
    public string? DecodeWorker { get; set; }
    public long HandoverBytes { get; set; }
    public TimeSpan HandoverTime { get; set; }

    public bool IsSuccess => Error is null;
    public TimeSpan Lateness => DispatchedAt - IntendedAt;
    public TimeSpan Queueing => StartedAt - DispatchedAt;
    /// <summary>bench_serving's TTFT: it does not see lateness or queueing.</summary>
    public TimeSpan Ttft => (FirstTokenAt ?? EndedAt) - StartedAt;
    /// <summary>What a user who arrived at the intended time waited for the first token.</summary>
    public TimeSpan TtftFromIntended => (FirstTokenAt ?? EndedAt) - IntendedAt;
    public TimeSpan Latency => EndedAt - StartedAt;
    /// <summary>(latency - TTFT) / (output tokens - 1); null for fewer than two tokens.</summary>
    public TimeSpan? Tpot => OutputTokens > 1 ? (Latency - Ttft) / (OutputTokens - 1) : null;
}
