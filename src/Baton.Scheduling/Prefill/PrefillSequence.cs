using Baton.Core.Handover;
using Baton.Core.Ids;
using Baton.Core.Requests;
using Baton.Scheduling.Sequences;

namespace Baton.Scheduling.Prefill;

/// <summary>A request on a prefill rank: a prompt to compute and to hand over.</summary>
internal sealed class PrefillSequence(GenerationRequest request, long ticket, TimeSpan now) : LiveSequence(request, ticket, maxNewTokens: 1, now)
{
    /// <summary>Nobody will claim it: a health check or a warm-up. It ends with its first token.</summary>
    public bool IsLocal { get; } = request.Bootstrap is not { Address.IsFake: false };

    public BootstrapRoom Room { get; } = request.Bootstrap?.Room ?? default;

    /// <summary>When decode claimed the room: it has reserved its cells.</summary>
    public TimeSpan? ClaimedAt { get; set; }

    /// <summary>Decode waits for it, or nobody has to.</summary>
    public bool IsWanted => IsLocal || ClaimedAt is not null;

    /// <summary>Positions [0, PlannedExport) are copied out once the present step is done; [0, ExportedTokens) are.</summary>
    public int PlannedExport { get; set; }

    public int ExportedTokens { get; set; }

    public long HandoverBytes { get; set; }

    public FirstToken? First { get; set; }

    /// <summary>The sink has the first token: a prompt that is computed again draws the same one.</summary>
    public bool IsFirstTold { get; set; }

    public bool IsLastSent { get; set; }
}
