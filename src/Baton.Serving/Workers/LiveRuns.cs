using System.Collections.Concurrent;
using Baton.Core.Failures;
using Baton.Serving.Output;

namespace Baton.Serving.Workers;

/// <summary>The sequences of a worker that have not ended, by id. Bounded by what the ranks take.</summary>
internal sealed class LiveRuns
{
    private readonly ConcurrentDictionary<string, SequenceRun> _runs = new(StringComparer.Ordinal);

    public bool TryAdd(SequenceRun run) => _runs.TryAdd(run.Answer.Sequence.Id.Value, run);

    public void Remove(SequenceRun run) => _runs.TryRemove(new(run.Answer.Sequence.Id.Value, run));

    /// <summary>Ends one id, all that a batch or n &gt; 1 made from it (rid_0, rid_1, ...), or everything.</summary>
    public void Abort(string? rid, bool all)
    {
        foreach ((string id, SequenceRun run) in _runs)
        {
            bool isMeant = all || (rid is { Length: > 0 } && (id == rid || id.StartsWith(rid + "_", StringComparison.Ordinal)));
            if (isMeant) run.Abort(RequestFailure.Of(FailureReason.Aborted, $"{id}: aborted by /abort_request."));
        }
    }
}
