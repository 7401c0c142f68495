using System.IO.Pipelines;

namespace Baton.Bootstrap.Tests;

/// <summary>Keeps what is to run elsewhere until the test runs it.</summary>
internal sealed class HeldScheduler : PipeScheduler
{
    private readonly Queue<(Action<object?> Run, object? State)> _held = new();

    public int Count => _held.Count;

    public override void Schedule(Action<object?> action, object? state) => _held.Enqueue((action, state));

    public void RunAll()
    {
        while (_held.TryDequeue(out (Action<object?> Run, object? State) next)) next.Run(next.State);
    }
}
