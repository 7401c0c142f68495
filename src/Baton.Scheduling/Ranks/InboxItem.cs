using Baton.Core.Failures;
using Baton.Core.Ids;
using Baton.Core.Requests;
using Baton.Core.Resolution;

namespace Baton.Scheduling.Ranks;

/// <summary>What other threads tell a rank.</summary>
public enum InboxItemKind
{
    /// <summary>A request to schedule.</summary>
    Submit,
    /// <summary>End this request, with the given reason.</summary>
    Abort,
    /// <summary>The resolver found the prefill rank of a room.</summary>
    Resolved,
    /// <summary>The resolver gave up on a room.</summary>
    ResolveFailed,
    /// <summary>A request with this room ended before any rank of the prefill worker had it, or on another rank.</summary>
    Refused,
}

/// <summary>One message of a <see cref="RankInbox"/>; which members are set follows from <see cref="Kind"/>.</summary>
public readonly record struct InboxItem(InboxItemKind Kind)
{
    public GenerationRequest? Request { get; init; }
    public RequestId Id { get; init; }
    public BootstrapRoom Room { get; init; }
    public ResolvedRank? Resolved { get; init; }
    public RequestFailure? Failure { get; init; }
}
