namespace Baton.Bench.Conformance;

/// <summary>One line of the conformance list of a PD router.</summary>
/// <param name="Id">Number in the list of docs/router.md; a letter or a dot where one number takes several checks.</param>
/// <param name="Title">What is asked of the router.</param>
/// <param name="Expected">What a passing router shows, for the table.</param>
/// <param name="RunAsync">Returns what was seen; throws <see cref="ConformanceException"/> or <see cref="NotApplicableException"/>.</param>
public sealed record ConformanceCheck(string Id, string Title, string Expected, Func<ConformanceStage, Task<string>> RunAsync)
{
    /// <summary>Prefill workers that the check needs.</summary>
    public int PrefillCount { get; init; } = 1;

    public int DecodeCount { get; init; } = 1;

    /// <summary>Ranks that every prefill worker reports.</summary>
    public int PrefillDpSize { get; init; } = 1;

    public int DecodeDpSize { get; init; } = 1;

    /// <summary>Workers listen on the IPv6 loopback.</summary>
    public bool IsIpv6 { get; init; }
}

/// <summary>The router did something else than was expected.</summary>
/// <param name="seen">What it did.</param>
public sealed class ConformanceException(string seen) : Exception(seen);

/// <summary>The check cannot be run against this router or in this way; the text says why.</summary>
public sealed class NotApplicableException(string why) : Exception(why);

/// <summary>What the checks take from outside.</summary>
public sealed record ConformanceSettings
{
    public required TimeProvider Time { get; init; }
    /// <summary>The longest wait for anything that ought to happen.</summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromSeconds(30);
    /// <summary>From one leg's failure to the client's answer and to the other leg's end.</summary>
    public TimeSpan CouplingLimit { get; init; } = TimeSpan.FromMilliseconds(50);
    /// <summary>From decode's first byte to the client's.</summary>
    public TimeSpan FirstByteLimit { get; init; } = TimeSpan.FromMilliseconds(15);
    /// <summary>How long the router under test keeps a breaker open.</summary>
    public TimeSpan BreakerOpenTime { get; init; } = TimeSpan.FromSeconds(15);
    /// <summary>Rooms to draw for each dp size.</summary>
    public int RoomDraws { get; init; } = 100_000;
    /// <summary>The router under test chooses prefill workers by <c>cache_aware</c>.</summary>
    public bool IsCacheAware { get; init; }
}
