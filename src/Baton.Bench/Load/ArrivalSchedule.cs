namespace Baton.Bench.Load;

/// <summary>When each request is meant to be sent, from the start of the run. Fixed before the run, so that nothing the server does can move it.</summary>
public static class ArrivalSchedule
{
    /// <summary>All at once for an infinite rate, else a Poisson process: the first at 0, then exponential gaps with mean 1 / rate.</summary>
    /// <exception cref="BenchException">The rate is not above 0.</exception>
    public static TimeSpan[] Poisson(int count, double requestsPerSecond, Random random)
    {
        if (!(requestsPerSecond > 0)) throw new BenchException($"--request-rate {requestsPerSecond}: give a rate above 0, or inf for all at once.");
        TimeSpan[] at = new TimeSpan[count];
        if (double.IsPositiveInfinity(requestsPerSecond)) return at;
        double seconds = 0;
        for (int i = 1; i < count; i++)
        {
            seconds += -Math.Log(1 - random.NextDouble()) / requestsPerSecond;
            at[i] = TimeSpan.FromSeconds(seconds);
        }
        return at;
    }

    /// <summary>The trace's own times, stretched by <paramref name="slowdown"/> and starting at 0.</summary>
    /// <exception cref="BenchException">A request of the dataset has no time.</exception>
    public static TimeSpan[] FromTrace(IReadOnlyList<BenchRequest> requests, double slowdown)
    {
        TimeSpan[] at = new TimeSpan[requests.Count];
        for (int i = 0; i < at.Length; i++)
        {
            TimeSpan given = requests[i].At ?? throw new BenchException(
                $"--use-trace-timestamps: request {i} of the dataset has no timestamp. Use --dataset-name trace, or give --request-rate.");
            at[i] = (given - requests[0].At!.Value) * slowdown;
        }
        return at;
    }
}
