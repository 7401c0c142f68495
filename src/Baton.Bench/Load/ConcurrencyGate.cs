namespace Baton.Bench.Load;

/// <summary>Lets at most <paramref name="limit"/> requests be under way; the others wait in the order in which they came.</summary>
/// <remarks>Unlike SemaphoreSlim it continues a waiter on the releasing thread, which keeps virtual time single-threaded and saves a hop under load.</remarks>
public sealed class ConcurrencyGate(int limit)
{
    private readonly Lock _lock = new();
    private readonly Queue<TaskCompletionSource> _waiting = new();
    private int _free = limit > 0 ? limit : throw new BenchException($"--max-concurrency {limit}: give at least 1, or leave it out for no limit.");

    public ValueTask EnterAsync()
    {
        lock (_lock)
        {
            if (_free > 0)
            {
                _free--;
                return ValueTask.CompletedTask;
            }
            TaskCompletionSource turn = new();
            _waiting.Enqueue(turn);
            return new ValueTask(turn.Task);
        }
    }

    public void Leave()
    {
        TaskCompletionSource? next;
        lock (_lock)
        {
            if (!_waiting.TryDequeue(out next))
            {
                _free++;
                return;
            }
        }
        next.SetResult();
    }
}
