using Baton.Core.Handover;
using Baton.Core.Ids;
using Baton.Core.Kv;
using Baton.Core.Requests;
using Baton.Core.Resolution;
using Baton.Scheduling.Sequences;

namespace Baton.Scheduling.Decode;

/// <summary>A request on a decode rank: a prompt whose KV comes from elsewhere, and an answer to draw.</summary>
internal sealed class DecodeSequence(GenerationRequest request, long ticket, int maxNewTokens, TimeSpan now)
    : LiveSequence(request, ticket, maxNewTokens, now)
{
    private KvCoverage _coverage = new(request.PromptTokens.Length);

    /// <summary>No prefill half: a health check or a warm-up. The prompt is computed here.</summary>
    public bool IsLocal { get; } = request.Bootstrap is not { Address.IsFake: false };

    public BootstrapInfo? Bootstrap => Request.Bootstrap;

    public BootstrapRoom Room { get; } = request.Bootstrap?.Room ?? default;

    public DecodeStage Stage { get; set; }

    /// <summary>The prefill rank that holds, or held, the KV.</summary>
    public ResolvedRank? Prefill { get; set; }

    public bool WasRedirected { get; set; }

    /// <summary>First claim; the waiting timeout counts from here.</summary>
    public TimeSpan? ClaimedAt { get; set; }

    public TimeSpan? LastFrameAt { get; set; }

    public FirstToken? First { get; set; }

    public long HandoverBytes { get; set; }

    /// <summary>Positions that have arrived, whether imported or not.</summary>
    public int ArrivedTokens => _coverage.CoveredCount;

    public bool TryArrive(KvRange range) => _coverage.TryAdd(range);
}
