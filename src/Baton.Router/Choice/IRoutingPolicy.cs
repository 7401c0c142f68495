using Baton.Core.Ids;
using Baton.Router.Bodies;

namespace Baton.Router.Choice;

/// <summary>Picks one of several candidates that all may take the request. Synchronous and thread-safe: servers and simulators call it alike.</summary>
public interface IRoutingPolicy
{
    /// <summary>The name on the command line.</summary>
    string Name { get; }

    /// <summary>Chooses; a dry run leaves no trace in the policy's memory.</summary>
    /// <param name="candidates">At least one; ready, admitted by their breakers, serving the model.</param>
    /// <returns>A refusal, or an index into <paramref name="candidates"/>, with the branch of the policy that decided, for explanations.</returns>
    PolicyPick Pick(IReadOnlyList<Candidate> candidates, in PolicyRequest request);

    /// <summary>The header <c>x-smg-target-worker</c> pins its choice.</summary>
    bool HonoursTarget => false;

    /// <summary>False: candidates are workers, and each chooses its rank itself.</summary>
    bool ChoosesRanks => true;

    /// <summary>The policy looks at what workers tell of their KV caches: somebody has to listen to them.</summary>
    bool ReadsKvEvents => false;

    /// <summary>The figure that the policy compares, lower is better; null when it compares nothing.</summary>
    double? Score(in Candidate candidate, in PolicyRequest request) => null;

    /// <summary>A worker was replaced or removed: what was remembered about it no longer holds.</summary>
    void Forget(Workers.Worker worker)
    {
    }
}

/// <summary>What a policy may look at.</summary>
/// <param name="Role">Which leg is being placed.</param>
/// <param name="Facts">Of the body.</param>
/// <param name="Key">The client's routing key (session header), or null.</param>
/// <param name="Prompt">Raw prompt bytes as they stand in the body, or empty.</param>
/// <param name="Now">Monotonic time.</param>
public readonly record struct PolicyRequest(WorkerRole Role, RequestFacts Facts, string? Key, ReadOnlyMemory<byte> Prompt, TimeSpan Now)
{
    public bool IsDryRun { get; init; }

    /// <summary>Raw <c>tools</c> of a chat, which its template writes in front of the conversation; or empty.</summary>
    public ReadOnlyMemory<byte> Tools { get; init; }
}

/// <param name="Index">Of the chosen candidate.</param>
/// <param name="Branch">Why, in one word or two: a value of the <c>branch</c> tag.</param>
public readonly record struct PolicyPick(int Index, string Branch)
{
    /// <summary>Share of the prompt that the candidate holds, or was sent before, 0 to 1; null where the policy does not look.</summary>
    public double? MatchedShare { get; init; }

    /// <summary>Tokens of the longest match, also when it was too short to decide; null where the policy does not look, and for text.</summary>
    public int? MatchedTokens { get; init; }

    /// <summary>What that match is known by: <c>kv_events</c>, the worker's own word, or <c>sent_before</c>.</summary>
    public string? MatchedBy { get; init; }

    /// <summary>Why the policy takes none of the candidates; null when it took one.</summary>
    public string? Refusal { get; init; }
}
