using Baton.Core.Ids;
using Baton.Scheduling.Dispatch;

namespace Baton.Serving.Workers;

/// <summary>What <see cref="WorkerBuilder"/> puts together, and what has to be taken apart again in the opposite order.</summary>
internal sealed class WorkerParts : IAsyncDisposable
{
    private readonly Stack<Func<ValueTask>> _undo = new();

    public required ServeOptions Options { get; init; }
    public required WorkerClock Clock { get; init; }
    public required string InstanceId { get; init; }
    public required ServingMetrics Metrics { get; init; }
    public List<RankThread> Ranks { get; } = [];
    public LiveRuns Live { get; } = new();
    /// <summary>On prefill workers.</summary>
    public PrefillRooms? Rooms { get; set; }
    public BootstrapAddress? Bootstrap { get; set; }
    /// <summary>Role-specific health, beyond the ranks themselves.</summary>
    public Func<string?>? FindProblem { get; set; }

    /// <summary>Runs when the worker ends, after the ranks; last in, first out.</summary>
    public void OnDispose(Func<ValueTask> undo) => _undo.Push(undo);

    public void Own(IDisposable part) => _undo.Push(() =>
    {
        part.Dispose();
        return ValueTask.CompletedTask;
    });

    public async ValueTask DisposeAsync()
    {
        while (_undo.TryPop(out Func<ValueTask>? undo)) await undo();
    }
}
