using Baton.Core.Failures;
using Baton.Core.Ids;
using Baton.Core.Requests;

namespace Baton.Simulation.Cluster;

/// <summary>What the client of one request saw.</summary>
public sealed class RequestRecord
{
    public required int Index { get; init; }
    public required TimeSpan ArrivedAt { get; init; }
    public required int PromptTokens { get; init; }
    public BootstrapRoom Room { get; set; }
    public TimeSpan? FirstTokenAt { get; set; }
    public TimeSpan? LastTokenAt { get; set; }
    /// <summary>Longest gap between two tokens.</summary>
    public TimeSpan WorstGap { get; set; }
    public int OutputTokens { get; set; }
    /// <summary>Hash over the tokens of the answer.</summary>
    public ulong AnswerHash { get; set; }
    public TimeSpan? EndedAt { get; set; }
    public RequestFailure? Failure { get; set; }
    /// <summary>The rank that had the prompt, by its own word, and the one that decode took the KV from.</summary>
    public DpRank? PrefillRank { get; set; }
    public DpRank? ClaimedRank { get; set; }
    public RankSource RankSource { get; set; }
    public TimeSpan? Ttft => FirstTokenAt - ArrivedAt;
}
