using Baton.Router.Rooms;

namespace Baton.Router.Trouble;

/// <summary>When and how soon a failed attempt is repeated.</summary>
public sealed record RetryOptions
{
    /// <summary>The total number of attempts, the first one included: SGLang's <c>--retry-max-retries</c> counts so.</summary>
    public int MaxAttempts { get; init; } = 5;
    public TimeSpan InitialBackoff { get; init; } = TimeSpan.FromMilliseconds(50);
    public TimeSpan MaxBackoff { get; init; } = TimeSpan.FromSeconds(30);
    public double Multiplier { get; init; } = 1.5;
    /// <summary>A delay is multiplied by 1 + U[-jitter, +jitter].</summary>
    public double Jitter { get; init; } = 0.2;
    /// <summary>No attempt begins later than this after the first.</summary>
    public TimeSpan TotalTime { get; init; } = TimeSpan.FromSeconds(20);
    public bool IsEnabled { get; init; } = true;

    /// <summary>Wait before attempt <paramref name="retry"/> + 2, that is, before the retry with this 0-based number.</summary>
    public TimeSpan Delay(int retry, RouterRandom random)
    {
        double plain = Math.Min(InitialBackoff.TotalSeconds * Math.Pow(Multiplier, retry), MaxBackoff.TotalSeconds);
        return TimeSpan.FromSeconds(plain * (1 + Jitter * (2 * random.NextDouble() - 1)));
    }
}

/// <summary>Router-wide brake on retries: at most a tenth of the requests of the last ten seconds, and ten free ones.</summary>
/// <remarks>Without it a fleet that fails under load gets five times the load. Thread-safe; time is an argument.</remarks>
public sealed class RetryBudget
{
    private const int Free = 10;
    private const double Share = 0.1;
    private static readonly TimeSpan Slot = TimeSpan.FromSeconds(1);
    private readonly Lock _lock = new();
    private readonly int[] _requests = new int[10];
    private readonly int[] _retries = new int[10];
    private long _slot;

    public void CountRequest(TimeSpan now)
    {
        lock (_lock)
        {
            Move(now);
            _requests[_slot % 10]++;
        }
    }

    /// <summary>Takes one retry from the budget, or refuses.</summary>
    public bool TryTake(TimeSpan now)
    {
        lock (_lock)
        {
            Move(now);
            if (_retries.Sum() >= Free + (int)(_requests.Sum() * Share)) return false;
            _retries[_slot % 10]++;
            return true;
        }
    }

    private void Move(TimeSpan now)
    {
        long slot = now.Ticks / Slot.Ticks;
        for (long passed = Math.Max(_slot + 1, slot - 9); passed <= slot; passed++) _requests[passed % 10] = _retries[passed % 10] = 0;
        _slot = Math.Max(_slot, slot);
    }
}
