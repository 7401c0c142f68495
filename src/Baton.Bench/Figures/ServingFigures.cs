using Baton.Bench.Load;

namespace Baton.Bench.Figures;

/// <summary>Service goals that goodput is counted under. A null goal always holds.</summary>
/// <param name="Ttft">Bound on a request's TTFT, as bench_serving measures it.</param>
/// <param name="Itl">Bound on each gap between two tokens of a request.</param>
public sealed record ServiceGoals(TimeSpan? Ttft, TimeSpan? Itl)
{
    public static readonly ServiceGoals None = new(null, null);

    public bool IsAny => Ttft is not null || Itl is not null;

    public bool Holds(RequestRecord record) =>
        record.IsSuccess
        && (Ttft is not { } ttft || record.Ttft <= ttft)
        && (Itl is not { } itl || record.InterTokenMs.TrueForAll(gap => gap <= itl.TotalMilliseconds));
}

/// <summary>The aggregates of one run. Latencies in milliseconds, over successful requests.</summary>
/// <remarks>Definitions are bench_serving's; those that it lacks say so.</remarks>
public sealed record ServingFigures
{
    public required TimeSpan Duration { get; init; }
    public required int Issued { get; init; }
    public required int Completed { get; init; }
    public required long InputTokens { get; init; }
    public required long CachedTokens { get; init; }
    public required long OutputTokens { get; init; }
    public required Distribution E2e { get; init; }
    public required Distribution Ttft { get; init; }
    public required Distribution Tpot { get; init; }
    public required Distribution Itl { get; init; }
    /// <summary>Not in bench_serving: TTFT from the intended time, so with lateness and queueing in it.</summary>
    public required Distribution TtftFromIntended { get; init; }
    /// <summary>Not in bench_serving: how late the generator itself was. Over all requests, failed ones too.</summary>
    public required Distribution Lateness { get; init; }
    /// <summary>Not in bench_serving: waiting for <c>--max-concurrency</c>. Over all requests.</summary>
    public required Distribution Queueing { get; init; }
    /// <summary>Sum of latencies over the duration.</summary>
    public required double Concurrency { get; init; }
    public required double PeakOutputTokensPerSecond { get; init; }
    public required int PeakConcurrentRequests { get; init; }
    public required ServiceGoals Goals { get; init; }
    /// <summary>Requests per second inside <see cref="Goals"/>.</summary>
    public required double Goodput { get; init; }
    /// <summary>Label to count, most frequent first.</summary>
    public required IReadOnlyList<(string Label, int Count, string Example)> Errors { get; init; }

    public double RequestThroughput => PerSecond(Completed);
    public double InputThroughput => PerSecond(InputTokens);
    public double OutputThroughput => PerSecond(OutputTokens);
    public double TotalThroughput => PerSecond(InputTokens + OutputTokens);

    /// <param name="duration">Wall time that rates refer to.</param>
    public static ServingFigures From(IReadOnlyList<RequestRecord> records, TimeSpan duration, ServiceGoals goals)
    {
        RequestRecord[] good = [.. records.Where(record => record.IsSuccess)];
        double seconds = duration.TotalSeconds;
        (double peakTokens, int peakRequests) = PeakPerSecond(good);
        return new ServingFigures
        {
            Duration = duration,
            Issued = records.Count,
            Completed = good.Length,
            InputTokens = good.Sum(record => (long)record.PromptTokens),
            CachedTokens = good.Sum(record => (long)record.CachedTokens),
            OutputTokens = good.Sum(record => (long)record.OutputTokens),
            E2e = new Distribution(good.Select(record => record.Latency.TotalMilliseconds)),
            Ttft = new Distribution(good.Select(record => record.Ttft.TotalMilliseconds)),
            Tpot = new Distribution(good.Where(record => record.Tpot is not null).Select(record => record.Tpot!.Value.TotalMilliseconds)),
            Itl = new Distribution(good.SelectMany(record => record.InterTokenMs)),
            TtftFromIntended = new Distribution(good.Select(record => record.TtftFromIntended.TotalMilliseconds)),
            Lateness = new Distribution(records.Select(record => record.Lateness.TotalMilliseconds)),
            Queueing = new Distribution(records.Select(record => record.Queueing.TotalMilliseconds)),
            Concurrency = seconds > 0 ? good.Sum(record => record.Latency.TotalSeconds) / seconds : 0,
            PeakOutputTokensPerSecond = peakTokens,
            PeakConcurrentRequests = peakRequests,
            Goals = goals,
            Goodput = seconds > 0 ? records.Count(goals.Holds) / seconds : 0,
            Errors = [.. records.Where(record => !record.IsSuccess)
                .GroupBy(record => record.Error!.Label, StringComparer.Ordinal)
                .Select(group => (group.Key, group.Count(), group.First().Error!.Message))
                .OrderByDescending(row => row.Item2).ThenBy(row => row.Key, StringComparer.Ordinal)],
        };
    }

    private double PerSecond(double amount) => Duration > TimeSpan.Zero ? amount / Duration.TotalSeconds : 0;

    /// <summary>Busiest one-second bucket. Requests count in their first and last bucket in full, so concurrency is overstated, as in bench_serving.</summary>
    private static (double Tokens, int Requests) PeakPerSecond(RequestRecord[] good)
    {
        if (good.Length == 0) return (0, 0);
        TimeSpan origin = good.Min(record => record.StartedAt);
        TimeSpan end = good.Max(record => record.EndedAt);
        int[] tokens = new int[Bucket(end - origin) + 2];
        int[] requests = new int[tokens.Length];
        foreach (RequestRecord record in good)
        {
            double at = (record.StartedAt + record.Ttft - origin).TotalMilliseconds;
            Count(tokens, at);
            foreach (double gap in record.InterTokenMs) Count(tokens, at += gap);
            for (int bucket = Bucket(record.StartedAt - origin); bucket <= Bucket(record.EndedAt - origin); bucket++) requests[bucket]++;
        }
        return (tokens.Max(), requests.Max());
    }

    private static int Bucket(TimeSpan offset) => (int)(offset.Ticks / TimeSpan.TicksPerSecond);

    // Summed gaps can pass the last bucket's edge by a rounding error.
    private static void Count(int[] buckets, double atMs) => buckets[Math.Min((int)(atMs / 1000), buckets.Length - 1)]++;
}
