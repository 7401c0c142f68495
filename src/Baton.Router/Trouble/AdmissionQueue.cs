using Baton.Router.Errors;

namespace Baton.Router.Trouble;

/// <summary>How many requests run at once, how many wait, and for how long.</summary>
public sealed record AdmissionOptions
{
    /// <summary>Requests between their first byte in and their last byte out; -1 is no limit.</summary>
    public int MaxConcurrent { get; init; } = -1;
    /// <summary>Requests that may wait for a place.</summary>
    public int QueueSize { get; init; } = 100;
    public TimeSpan QueueTimeout { get; init; } = TimeSpan.FromSeconds(60);
    /// <summary>Requests let in per second over a longer time; null is no limit. As many as may run at once (or one second's worth) may come together.</summary>
    public double? RatePerSecond { get; init; }
    /// <summary>Running requests of one API key; -1 is no limit.</summary>
    public int MaxConcurrentPerKey { get; init; } = -1;
}

/// <summary>The <c>x-priority</c> header.</summary>
public enum PriorityClass
{
    System,
    Interactive,
    Default,
    Bulk,
}

/// <summary>Lets a bounded number of requests in; the rest wait in four queues that are served 8 : 4 : 2 : 1, or are turned away.</summary>
/// <remarks>A place is held until the answer's last byte. Thread-safe; no lock is held while a waiter is woken.</remarks>
public sealed class AdmissionQueue(AdmissionOptions options, TimeProvider time)
{
    private static readonly int[] Weights = [8, 4, 2, 1];
    private readonly Lock _lock = new();
    private readonly LinkedList<Waiter>[] _queues = [new(), new(), new(), new()];
    private readonly int[] _credit = [.. Weights];
    private readonly Dictionary<string, int> _perKey = [];
    private readonly TokenBucket? _rate = options.RatePerSecond is { } rate ? new TokenBucket(rate, options.MaxConcurrent > 0 ? options.MaxConcurrent : Math.Max(1, rate)) : null;
    private int _running;
    private int _waiting;

    private sealed class Waiter(string? key)
    {
        public string? Key { get; } = key;
        public TaskCompletionSource Admitted { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }

    public int Running => Volatile.Read(ref _running);

    public int Waiting => Volatile.Read(ref _waiting);

    public static PriorityClass ClassOf(string? header) => header switch
    {
        "system" => PriorityClass.System,
        "interactive" => PriorityClass.Interactive,
        "bulk" => PriorityClass.Bulk,
        _ => PriorityClass.Default,
    };

    /// <summary>Waits for a place. Null: admitted, and <see cref="Leave"/> must be called once. Otherwise why not.</summary>
    /// <exception cref="OperationCanceledException">The client left while it waited.</exception>
    public async ValueTask<RouterError?> EnterAsync(PriorityClass priority, string? key, CancellationToken clientGone)
    {
        Waiter waiter;
        LinkedListNode<Waiter> place;
        lock (_lock)
        {
            if (_rate?.TryTake(time.GetElapsedTime(0)) is { } wait)
            {
                return new RouterError(429, "rate_limited", $"More than {options.RatePerSecond} requests per second came (--rate-limit-tokens-per-second). Retry later.")
                { IsRetryable = true, RetryAfter = wait };
            }
            // Whoever waits and could run goes first; a waiter held back by its own key's limit blocks nobody else.
            if (HasPlace(key) && (_waiting == 0 || !_queues.Any(q => q.Any(w => HasPlace(w.Key)))))
            {
                Take(key);
                return null;
            }
            if (_waiting >= options.QueueSize)
            {
                _rate?.GiveBack();
                return new RouterError(429, "queue_full", $"{_running} requests run and {_waiting} wait, which is the limit. Retry later, or raise --max-concurrent-requests or --queue-size.")
                { IsRetryable = true, RetryAfter = TimeSpan.FromSeconds(1) };
            }
            waiter = new Waiter(key);
            place = _queues[(int)priority].AddLast(waiter);
            _waiting++;
        }
        using CancellationTokenSource limit = new(options.QueueTimeout, time);
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, clientGone);
        await using CancellationTokenRegistration wake = either.Token.Register(() => waiter.Admitted.TrySetCanceled(either.Token));
        try
        {
            await waiter.Admitted.Task;
            return null;
        }
        catch (OperationCanceledException)
        {
            lock (_lock)
            {
                // No list: it was being admitted when its time ran out, and Leave passes the place on.
                if (place.List is not null)
                {
                    _queues[(int)priority].Remove(place);
                    _waiting--;
                }
            }
            clientGone.ThrowIfCancellationRequested();
            return new RouterError(408, "queue_timeout", $"No place came free within {options.QueueTimeout.TotalSeconds} s ({Running} running, {Waiting} waiting).")
            { IsRetryable = true, RetryAfter = TimeSpan.FromSeconds(1) };
        }
    }

    /// <summary>Gives the place back and lets the next one in.</summary>
    public void Leave(string? key)
    {
        List<Waiter> admitted = [];
        lock (_lock)
        {
            _running--;
            if (key is not null && options.MaxConcurrentPerKey >= 0 && --_perKey[key] == 0) _perKey.Remove(key);
            while (TakeNext() is { } next) admitted.Add(next);
        }
        foreach (Waiter waiter in admitted)
        {
            // Lost against its own timeout: the place goes to whoever is next.
            if (!waiter.Admitted.TrySetResult()) Leave(waiter.Key);
        }
    }

    private Waiter? TakeNext()
    {
        // Not with all places taken: that would refill the credits of classes that had their turn.
        if (_waiting == 0 || (options.MaxConcurrent >= 0 && _running >= options.MaxConcurrent)) return null;
        for (int round = 0; round < 2; round++)
        {
            for (int i = 0; i < _queues.Length; i++)
            {
                if (_credit[i] == 0) continue;
                for (LinkedListNode<Waiter>? node = _queues[i].First; node is not null; node = node.Next)
                {
                    if (!HasPlace(node.Value.Key)) continue;
                    _credit[i]--;
                    _queues[i].Remove(node);
                    _waiting--;
                    Take(node.Value.Key);
                    return node.Value;
                }
            }
            Weights.CopyTo(_credit, 0);
        }
        return null;
    }

    private bool HasPlace(string? key) =>
        (options.MaxConcurrent < 0 || _running < options.MaxConcurrent)
        && (key is null || options.MaxConcurrentPerKey < 0 || _perKey.GetValueOrDefault(key) < options.MaxConcurrentPerKey);

    private void Take(string? key)
    {
        _running++;
        if (key is not null && options.MaxConcurrentPerKey >= 0) _perKey[key] = _perKey.GetValueOrDefault(key) + 1;
    }
}
