using Baton.Core.Failures;
using Baton.Core.Handover;
using Baton.Core.Ids;
using Baton.Core.Requests;

namespace Baton.Core.Resolution;

/// <summary>Finds the prefill rank that holds a room, off the rank threads. The fake backend has one that answers at once.</summary>
public interface IRankResolver
{
    /// <summary>Starts to resolve and returns at once. Exactly one answer goes to <paramref name="answer"/>, from any thread, unless cancelled before.</summary>
    /// <param name="bootstrap">Address, room and hint of the request.</param>
    /// <param name="answer">Must not block; a rank's answer goes to its inbox.</param>
    void Begin(BootstrapInfo bootstrap, IRankResolutionSink answer);

    /// <summary>The request ended first. Harmless when the answer is already under way.</summary>
    void Cancel(BootstrapRoom room);

    /// <summary>Prefill said that another rank holds the room: looks up that rank's endpoint and answers again.</summary>
    void BeginRedirect(BootstrapInfo bootstrap, DpRank rightRank, IRankResolutionSink answer);
}

public interface IRankResolutionSink
{
    void OnResolved(BootstrapRoom room, ResolvedRank resolved);

    void OnResolveFailed(BootstrapRoom room, RequestFailure failure);
}

/// <param name="Endpoint">KV endpoint and rank.</param>
/// <param name="RoundTrips">Bootstrap requests that this room waited for: 0 when the topology and endpoint were cached and no query was needed.</param>
public sealed record ResolvedRank(KvEndpoint Endpoint, RankSource Source, int RoundTrips);
